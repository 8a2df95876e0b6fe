// SPDX-License-Identifier: GPL-2.0

//! Checks of what is asked for, before packages are installed, a source is fetched or anything is
//! built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::vm::args::KernelArgs;
use crate::vm::build::{kernel, source};
use crate::vm::host::cache::Cache;
use crate::vm::host::space;

/// Checks the configuration, the source and the disk. Returns the canonical path of the source
/// tree, if the user gives one.
///
/// # Errors
///
/// An unknown configuration; no archive that has the packaged source; a tree that does not exist, that is not a clean kernel tree or whose
/// path kbuild cannot use; not enough room on the disk for the first build of the kernel.
pub fn check(args: &KernelArgs, cache: &Cache) -> Result<Option<PathBuf>> {
    let arch = args.machine.arch();
    kernel::config(arch, &args.config)?;
    let tree = match &args.linux {
        None => {
            source::check(args.kernel, cache)?;
            None
        }
        Some(dir) => Some(canonical(dir)?),
    };
    let needed = first_build(args, tree.as_deref(), cache)?;
    if needed > 0 {
        cache.check_room(needed)?;
    }
    Ok(tree)
}

/// Canonical path of a source tree of the user that can be built.
fn canonical(dir: &Path) -> Result<PathBuf> {
    let tree = fs::canonicalize(dir).with_context(|| {
        format!(
            "cannot find {}; give --linux the top of a kernel tree",
            dir.display()
        )
    })?;
    let advice = "give --linux another one, such as a `git worktree` of it";
    space::check_path(&tree, advice)?;
    check_tree(&tree)?;
    Ok(tree)
}

/// Checks that a source tree of the user can be built in a separate directory.
fn check_tree(dir: &Path) -> Result<()> {
    for needed in ["Kconfig", "Makefile", "mm/mmu_notifier.c"] {
        if !dir.join(needed).exists() {
            bail!(
                "{}: not a Linux source tree ({needed} is missing); give --linux the top of one",
                dir.display()
            );
        }
    }
    for built in [".config", "include/config", "arch/x86/include/generated"] {
        if dir.join(built).exists() {
            bail!(
                "{}: it was built in place ({built} is there), and the kernel refuses to build from \
                 such a tree in another directory. Run `make mrproper` in it (this removes its .config; \
                 keep a copy), or give --linux a clean `git worktree`",
                dir.display()
            );
        }
    }
    Ok(())
}

/// Bytes that the cache grows by before the first kernel of this source and configuration is built;
/// 0 if one was built before.
fn first_build(args: &KernelArgs, tree: Option<&Path>, cache: &Cache) -> Result<u64> {
    let build = space::of_build(&args.config);
    let id = match tree {
        Some(dir) => kernel::id_of_tree(dir),
        None => match source::present(cache, args.kernel)? {
            Some(source) => source.id(),
            None => return Ok(space::SOURCE + build),
        },
    };
    let config = format!("{}{}", args.machine.arch().prefix(), args.config);
    let was_built = was_built(&cache.path("build"), &id, &config);
    Ok(if was_built { 0 } else { build })
}

/// Whether there is a build directory for that tree and configuration.
fn was_built(builds: &Path, id: &str, config: &str) -> bool {
    let prefix = format!("{id}-{config}-");
    // The parent directory is created by the first build of all.
    let Ok(entries) = fs::read_dir(builds) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_another_tree_or_configuration_is_no_earlier_build() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let builds = dir.path().join("build");
        assert!(!was_built(&builds, "linux_7.3", "core"));
        fs::create_dir_all(builds.join("linux_7.3-core-0123"))?;
        assert!(was_built(&builds, "linux_7.3", "core"));
        assert!(!was_built(&builds, "linux_7.3", "debug"));
        assert!(!was_built(&builds, "linux_7.2", "core"));
        assert!(!was_built(&builds, "linux_7", "core"));
        Ok(())
    }

    #[test]
    fn a_tree_that_cannot_be_built_is_explained() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let text = format!("{:#}", check_tree(dir.path()).unwrap_err());
        assert!(text.contains("Kconfig"), "{text}");
        fs::create_dir(dir.path().join("mm"))?;
        for file in ["Kconfig", "Makefile", "mm/mmu_notifier.c", ".config"] {
            fs::write(dir.path().join(file), "")?;
        }
        let text = format!("{:#}", check_tree(dir.path()).unwrap_err());
        assert!(text.contains("make mrproper"), "{text}");
        Ok(())
    }
}
