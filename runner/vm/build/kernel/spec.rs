// SPDX-License-Identifier: GPL-2.0

//! The inputs of a kernel build, and the keys that identify them in the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::vm::arch::Arch;
use crate::vm::build::kernel::config::config;
use crate::vm::build::mirror::Mirror;
use crate::vm::build::module::Extra;
use crate::vm::build::patch::{Patch, Tree};
use crate::vm::build::source::Source;
use crate::vm::build::toolchain::Toolchain;
use crate::vm::config_line::ConfigLine;
use crate::vm::host::cache::Cache;
use crate::vm::host::key::{Key, sha256};
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
    /// The mirror of a source tree of the user.
    Tree(Arc<Mirror>),
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
    /// Options on top of it.
    pub config_add: Vec<ConfigLine>,
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
    /// The commit of the user's tree, with `-dirty` if a tracked file differs from it.
    pub commit: Option<String>,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the configuration.
    pub config: String,
    /// Options that were set on top of it, as `CONFIG_NAME=VALUE`.
    pub config_add: Vec<String>,
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

/// Whether a module may be compiled from a file of the kernel: from any but the C files of mm/. No
/// header is generated from those, and no Rust code includes them.
fn is_seen_by_modules(path: &Path) -> bool {
    !path.starts_with("mm") || path.extension().is_none_or(|extension| extension != "c")
}

/// Whether a module may be compiled from a file that a patch changes.
fn changes_modules(patch: &Patch) -> bool {
    patch.files().iter().any(|path| is_seen_by_modules(path))
}

impl Spec {
    /// Description of the build of this kernel.
    pub(super) fn info(&self, toolchain: &Toolchain) -> BuildInfo {
        let (source, commit, base, patches) = match &self.origin {
            Origin::Packaged {
                source,
                base,
                patches,
            } => (source.name(), None, *base, patches.as_slice()),
            Origin::Tree(mirror) => {
                let source = mirror.tree().display().to_string();
                let commit = mirror.commit().map(str::to_owned);
                (source, commit, "user tree", &[][..])
            }
        };
        let describe = |patch: &Patch| format!("{} (sha256:{})", patch.name, sha256(&patch.text));
        let all = patches.iter().chain(&self.module_patches);
        BuildInfo {
            source,
            commit,
            base: base.to_owned(),
            config: self.config.clone(),
            config_add: self.config_add.iter().map(ConfigLine::to_string).collect(),
            patches: all.map(describe).collect(),
            toolchain: toolchain.clone(),
        }
    }

    /// Keys of the kernel in the cache.
    pub(super) fn keys(&self, toolchain: &Toolchain, tree: &Path) -> Result<Keys> {
        let guest = config(self.arch, &self.config)?;
        let asked = guest.text(tree, &self.config_add);
        let key = Key::default()
            .part("config", asked.as_bytes())
            .part("kconfig", guest.kconfig().as_bytes())
            .part("toolchain", toolchain.key().as_bytes());
        let key = match self.arch {
            Arch::X86 => key,
            Arch::Um => key.part("make", self.arch.make().join(" ").as_bytes()),
        };
        let (source, patches) = match &self.origin {
            Origin::Tree(mirror) => {
                let tree = mirror.tree().as_os_str().as_encoded_bytes();
                let key = key.part("tree", tree);
                let keys = |counts: fn(&Path) -> bool| {
                    let files = mirror.fingerprint(counts);
                    key.clone().part("files", files.as_bytes()).finish()
                };
                return Ok(Keys {
                    interface: keys(is_seen_by_modules),
                    kernel: keys(|_| true),
                });
            }
            Origin::Packaged {
                source, patches, ..
            } => (source, patches),
        };
        let key = key.part("source", source.name().as_bytes());
        let with = |key: Key, patch: &Patch| key.part("patch", &patch.text);
        let seen = patches.iter().filter(|patch| changes_modules(patch));
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

    /// Path of the source tree that is built.
    pub(super) fn tree(&self, cache: &Cache) -> PathBuf {
        match &self.origin {
            Origin::Packaged { source, .. } => Tree::new(&source.dir(cache)).path().to_owned(),
            Origin::Tree(mirror) => mirror.path(),
        }
    }

    /// Identifier of the source tree, for the names of its lock and its logs.
    pub(super) fn tree_id(&self) -> String {
        match &self.origin {
            Origin::Packaged { source, .. } => source.id(),
            Origin::Tree(mirror) => mirror.id().to_owned(),
        }
    }

    /// Path of a directory for builds of this source with this configuration and toolchain. `folder`
    /// is `build` or `module`. Those of a user's tree are removed together with its mirror.
    pub(super) fn dir(&self, folder: &str, toolchain: &Toolchain, cache: &Cache) -> PathBuf {
        let name = format!("{}{}-{}", self.arch.prefix(), self.config, toolchain.key());
        match &self.origin {
            Origin::Packaged { source, .. } => {
                cache.path(folder).join(format!("{}-{name}", source.id()))
            }
            Origin::Tree(mirror) => mirror.root().join(folder).join(name),
        }
    }

    /// Name of the configuration and what is set on top of it.
    fn options(&self) -> String {
        let additions = self.config_add.iter().map(|line| format!(" + {line}"));
        std::iter::once(self.config.clone())
            .chain(additions)
            .collect()
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
                format!("{} with {with}, config {}", source.name(), self.options())
            }
            Origin::Tree(mirror) => {
                format!("{}, config {}", mirror.tree().display(), self.options())
            }
        }
    }
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
            config_add: Vec::new(),
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
        let mut with = spec("a", "x");
        with.config_add = vec!["CONFIG_ZSMALLOC=y".parse().map_err(anyhow::Error::msg)?];
        assert_ne!(key, with.keys(&toolchain, tree)?.kernel);
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
}
