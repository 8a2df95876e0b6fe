// SPDX-License-Identifier: GPL-2.0

//! Checks of what is asked for, before packages are installed, a source is fetched or anything is
//! built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::vm::args::KernelArgs;
use crate::vm::build::{kernel, mirror, source};
use crate::vm::host::cache::{self, CACHE_VARIABLE, Cache};
use crate::vm::host::space;

/// Checks the configuration, the source and the disk. Returns the canonical path of the source
/// tree, if the user gives one.
///
/// # Errors
///
/// An unknown configuration; no archive that has the packaged source; a tree that does not exist, that
/// is not a kernel tree or that contains the cache; not enough room on the disk for the first build of
/// the kernel.
pub fn check(args: &KernelArgs, cache: &Cache) -> Result<Option<PathBuf>> {
    let arch = args.machine.arch();
    kernel::config(arch, &args.config)?;
    let tree = match &args.linux {
        None => {
            source::check(args.kernel, cache)?;
            None
        }
        Some(dir) => Some(canonical(dir, cache)?),
    };
    let needed = first_build(args, tree.as_deref(), cache)?;
    if needed > 0 {
        cache.check_room(needed)?;
    }
    Ok(tree)
}

/// Canonical path of a source tree of the user.
fn canonical(dir: &Path, cache: &Cache) -> Result<PathBuf> {
    let tree = fs::canonicalize(dir).with_context(|| {
        format!(
            "cannot find {}; give --linux the top of a kernel tree",
            dir.display()
        )
    })?;
    check_tree(&tree)?;
    let trees = cache.dir("trees")?;
    let trees = fs::canonicalize(&trees).map_err(|e| cache::explain(e, "cannot find", &trees))?;
    if trees.starts_with(&tree) {
        bail!(
            "{}: the cache is in this tree, and would be copied into itself; set {CACHE_VARIABLE} to a \
             directory outside of it",
            tree.display()
        );
    }
    Ok(tree)
}

/// Checks that a directory is a source tree.
fn check_tree(dir: &Path) -> Result<()> {
    for needed in ["Kconfig", "Makefile", "mm/mmu_notifier.c"] {
        if !dir.join(needed).exists() {
            bail!(
                "{}: not a Linux source tree ({needed} is missing); give --linux the top of one",
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
    let config = format!("{}{}", args.machine.arch().prefix(), args.config);
    let (source, was_built) = match tree {
        Some(tree) => {
            let root = mirror::root_of(tree, cache);
            let source = if root.exists() { 0 } else { space::MIRROR };
            let start = format!("{config}-");
            (source, was_built(&root.join("build"), &start))
        }
        None => match source::present(cache, args.kernel)? {
            Some(source) => {
                let start = format!("{}-{config}-", source.id());
                (0, was_built(&cache.path("build"), &start))
            }
            None => (space::SOURCE, false),
        },
    };
    Ok(source + if was_built { 0 } else { build })
}

/// Whether there is a build directory whose name begins with that.
fn was_built(builds: &Path, start: &str) -> bool {
    // The parent directory is created by the first build of all.
    let Ok(entries) = fs::read_dir(builds) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_another_tree_or_configuration_is_no_earlier_build() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let builds = dir.path().join("build");
        assert!(!was_built(&builds, "linux_7.3-core-"));
        fs::create_dir_all(builds.join("linux_7.3-core-0123"))?;
        assert!(was_built(&builds, "linux_7.3-core-"));
        for other in ["linux_7.3-debug-", "linux_7.2-core-", "linux_7-core-"] {
            assert!(!was_built(&builds, other), "{other}");
        }
        Ok(())
    }

    #[test]
    fn a_directory_that_is_no_kernel_tree_is_an_error() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let text = format!("{:#}", check_tree(dir.path()).unwrap_err());
        assert!(text.contains("Kconfig"), "{text}");
        fs::create_dir(dir.path().join("mm"))?;
        for file in ["Kconfig", "Makefile", "mm/mmu_notifier.c"] {
            assert!(check_tree(dir.path()).is_err());
            fs::write(dir.path().join(file), "")?;
        }
        check_tree(dir.path())
    }
}
