// SPDX-License-Identifier: GPL-2.0

//! The inputs of a kernel build, and the keys that identify them in the cache.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::vm::arch::Arch;
use crate::vm::build::kernel::config::{KCONFIG, config};
use crate::vm::build::module::Extra;
use crate::vm::build::patch::{Patch, Tree};
use crate::vm::build::source::Source;
use crate::vm::build::toolchain::Toolchain;
use crate::vm::host::cache;
use crate::vm::host::cache::{Cache, Key};
use crate::vm::kernels;

/// Origin of the kernel source.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A packaged source with patches.
    Packaged {
        /// The source in the cache.
        source: Source,
        /// `seed` or `mainline`.
        base: &'static str,
        /// Patches in the order in which they are applied, including the seed patch.
        patches: Vec<Patch>,
    },
    /// A source tree of the user, which is never written to.
    Tree(PathBuf),
}

/// The inputs of a kernel build, except for the toolchain.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Kernel source.
    pub origin: Origin,
    /// Architecture.
    pub arch: Arch,
    /// Name of the kernel configuration.
    pub config: String,
    /// Patches for the module.
    pub module_patches: Vec<Patch>,
    /// A module besides ours.
    pub extra: Option<Extra>,
}

/// Description of a build, for reports and for `build.json` in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildInfo {
    /// Package and version of the source, or the path of the user's tree.
    pub source: String,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the configuration.
    pub config: String,
    /// `NAME (sha256:...)` of each patch, in the order in which they were applied.
    pub patches: Vec<String>,
    /// Toolchain of the build.
    pub toolchain: Toolchain,
}

/// Keys of a kernel. They depend on the contents of its patches, and not on their names.
#[derive(Debug)]
pub(super) struct Keys {
    /// Changes with every input of the kernel build.
    pub(super) kernel: String,
    /// Changes with everything in the kernel build that a module is compiled from.
    pub(super) interface: String,
}

/// Whether a module may be compiled from a file that a patch changes: from any but the C files of
/// mm/. No header is generated from those, and no Rust code includes them.
fn is_seen_by_modules(patch: &Patch) -> bool {
    let is_seen = |path: &PathBuf| {
        !path.starts_with("mm") || path.extension().is_none_or(|extension| extension != "c")
    };
    patch.files().iter().any(is_seen)
}

impl Spec {
    /// Description of the build of this kernel.
    pub(super) fn info(&self, toolchain: &Toolchain) -> BuildInfo {
        let (source, base, patches) = match &self.origin {
            Origin::Packaged {
                source,
                base,
                patches,
            } => (source.name(), *base, patches.as_slice()),
            Origin::Tree(dir) => (dir.display().to_string(), "user tree", &[][..]),
        };
        let describe =
            |patch: &Patch| format!("{} (sha256:{})", patch.name, cache::sha256(&patch.text));
        let all = patches.iter().chain(&self.module_patches);
        BuildInfo {
            source,
            base: base.to_owned(),
            config: self.config.clone(),
            patches: all.map(describe).collect(),
            toolchain: toolchain.clone(),
        }
    }

    /// Keys of the kernel in the cache.
    pub(super) fn keys(&self, toolchain: &Toolchain, tree: &Path) -> Result<Keys> {
        let asked = config(self.arch, &self.config)?.text(tree);
        let key = Key::default()
            .part("config", asked.as_bytes())
            .part("kconfig", KCONFIG.as_bytes())
            .part("toolchain", toolchain.key().as_bytes());
        let key = match self.arch {
            Arch::X86 => key,
            Arch::Um => key.part("make", self.arch.make().join(" ").as_bytes()),
        };
        let (key, patches) = match &self.origin {
            Origin::Packaged {
                source, patches, ..
            } => (
                key.part("source", source.name().as_bytes()),
                patches.as_slice(),
            ),
            Origin::Tree(dir) => {
                let key = key
                    .part("tree", dir.as_os_str().as_encoded_bytes())
                    .part("files", fingerprint(dir)?.as_bytes());
                (key, &[][..])
            }
        };
        let with = |key: Key, patch: &Patch| key.part("patch", &patch.text);
        let seen = patches.iter().filter(|patch| is_seen_by_modules(patch));
        Ok(Keys {
            interface: seen.fold(key.clone(), with).finish(),
            kernel: patches.iter().fold(key, with).finish(),
        })
    }

    /// Whether this program was tested with the source.
    pub(super) fn is_tested(&self) -> bool {
        match &self.origin {
            Origin::Packaged { source, .. } => kernels::is_tested(&source.package, &source.version),
            Origin::Tree(_) => false,
        }
    }

    /// Path of the source tree.
    pub(super) fn tree(&self, cache: &Cache) -> PathBuf {
        match &self.origin {
            Origin::Packaged { source, .. } => Tree::new(&source.dir(cache)).path().to_owned(),
            Origin::Tree(dir) => dir.clone(),
        }
    }

    /// Identifier of the source tree, for the names of its lock, logs and build directories.
    pub(super) fn tree_id(&self) -> String {
        match &self.origin {
            Origin::Packaged { source, .. } => source.id(),
            Origin::Tree(dir) => id_of_tree(dir),
        }
    }

    /// Description of the kernel in progress messages.
    pub(super) fn describe(&self) -> String {
        match &self.origin {
            Origin::Packaged {
                source, patches, ..
            } => {
                let names: Vec<_> = patches.iter().map(|patch| patch.name.as_str()).collect();
                let with = if names.is_empty() {
                    "no patch".to_owned()
                } else {
                    names.join(", ")
                };
                format!("{} with {with}, config {}", source.name(), self.config)
            }
            Origin::Tree(dir) => format!("{}, config {}", dir.display(), self.config),
        }
    }
}

/// Identifier of a source tree of the user.
pub fn id_of_tree(dir: &Path) -> String {
    let key = Key::default().part("dir", dir.as_os_str().as_encoded_bytes());
    format!("tree-{}", key.finish())
}

/// Hash over the name, size and modification time of every file in a tree, except for `.git`.
fn fingerprint(dir: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(current) = dirs.pop() {
        let entries =
            fs::read_dir(&current).map_err(|e| cache::explain(e, "cannot read", &current))?;
        for entry in entries {
            let entry = entry.map_err(|e| cache::explain(e, "cannot read", &current))?;
            let path = entry.path();
            let meta =
                fs::symlink_metadata(&path).map_err(|e| cache::explain(e, "cannot read", &path))?;
            if meta.is_dir() {
                if entry.file_name() != ".git" {
                    dirs.push(path);
                }
            } else {
                lines.push(format!(
                    "{} {} {}.{:09}",
                    path.display(),
                    meta.size(),
                    meta.mtime(),
                    meta.mtime_nsec()
                ));
            }
        }
    }
    lines.sort_unstable();
    Ok(cache::sha256(lines.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain() -> Toolchain {
        Toolchain {
            rustc: "/r".into(),
            library: None,
            llvm: "1".to_owned(),
            bindgen: "/b".into(),
            libclang: None,
            versions: Default::default(),
        }
    }

    fn spec(name: &str, text: &str) -> Spec {
        Spec {
            origin: Origin::Packaged {
                source: Source {
                    package: "p".to_owned(),
                    version: "1".to_owned(),
                    suite: "s".to_owned(),
                },
                base: "mainline",
                patches: vec![Patch {
                    name: name.to_owned(),
                    text: text.into(),
                }],
            },
            arch: Arch::X86,
            config: "core".to_owned(),
            module_patches: Vec::new(),
            extra: None,
        }
    }

    #[test]
    fn the_key_depends_on_contents_and_not_on_names() -> Result<()> {
        let toolchain = toolchain();
        let tree = Path::new("/no/such/tree");
        let key_of = |name: &str, text: &str, toolchain: &Toolchain| {
            spec(name, text)
                .keys(toolchain, tree)
                .map(|keys| keys.kernel)
        };
        let key = key_of("a", "x", &toolchain)?;
        assert_eq!(key, key_of("b", "x", &toolchain)?);
        assert_ne!(key, key_of("a", "y", &toolchain)?);
        let mut other = toolchain.clone();
        other.versions.insert("rustc".to_owned(), "2".to_owned());
        assert_ne!(key, key_of("a", "x", &other)?);
        Ok(())
    }

    #[test]
    fn kernels_with_other_c_files_in_mm_have_one_interface() -> Result<()> {
        let toolchain = toolchain();
        let tree = Path::new("/no/such/tree");
        let interface = |files: &[&str]| {
            let hunk = |file| format!("--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-x\n+y\n");
            let text: String = files.iter().map(hunk).collect();
            spec("a", &text)
                .keys(&toolchain, tree)
                .map(|keys| keys.interface)
        };
        let unpatched = interface(&[])?;
        assert_eq!(unpatched, interface(&["mm/memory.c"])?);
        assert_eq!(unpatched, interface(&["mm/memory.c", "mm/kasan/init.c"])?);
        for seen in [
            "mm/internal.h",
            "mm/Kconfig",
            "include/linux/mm.h",
            "rust/helpers/mm.c",
            "kernel/bounds.c",
        ] {
            let other = interface(&["mm/memory.c", seen])?;
            assert_ne!(unpatched, other, "{seen}");
            assert_ne!(other, interface(&[seen])?, "{seen}");
        }
        Ok(())
    }

    #[test]
    fn the_fingerprint_changes_with_a_file_but_not_with_git() -> Result<()> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join(".git"))?;
        fs::write(dir.path().join("a"), "1")?;
        let before = fingerprint(dir.path())?;
        fs::write(dir.path().join(".git/x"), "1")?;
        assert_eq!(before, fingerprint(dir.path())?);
        fs::write(dir.path().join("a"), "12")?;
        assert_ne!(before, fingerprint(dir.path())?);
        Ok(())
    }
}
