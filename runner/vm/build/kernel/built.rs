// SPDX-License-Identifier: GPL-2.0

//! A kernel that was built.

use std::path::PathBuf;

use anyhow::Result;

use crate::contract::Needs;
use crate::vm::build::kernel::config::Config;
use crate::vm::build::kernel::spec::{BuildInfo, Origin};
use crate::vm::build::kernel::text::SourceText;
use crate::vm::host::cache::{Cache, Hold};

/// A kernel and its module, ready to boot.
#[derive(Clone, Debug)]
pub struct Built {
    /// ELF file of the kernel. For x86 it has a PVH entry, so QEMU starts it without decompressing
    /// it; for User Mode Linux it is a program.
    pub kernel: PathBuf,
    /// `.config` of the kernel.
    pub config: PathBuf,
    /// The module.
    pub module: PathBuf,
    /// The module besides it, if one was asked for.
    pub extra: Option<PathBuf>,
    /// Source tree of the kernel: the user's own, or a packaged one in the state of the last kernel
    /// that was built from it, which may be another one.
    pub tree: PathBuf,
    /// Inputs of the build.
    pub info: BuildInfo,
    /// Origin of the source.
    pub(super) origin: Origin,
    /// Whether this program was tested with the source.
    pub tested: bool,
    /// Requirements of the guest.
    pub guest: &'static Config,
    /// Text of the `.config`.
    pub(super) options: String,
    /// Keep the files in the cache while this value exists.
    pub(super) _holds: Vec<Hold>,
}

impl Built {
    /// Whether the kernel has the option that a scenario needs.
    pub fn checks(&self, needs: Needs) -> bool {
        self.has(needs.option())
    }

    /// The source, as it was when the kernel was built.
    ///
    /// # Errors
    ///
    /// Those of applying the patches.
    pub fn text(&self, cache: &Cache) -> Result<SourceText> {
        SourceText::new(&self.origin, cache)
    }

    /// Whether an option, named without `CONFIG_`, is `y`.
    pub fn has(&self, option: &str) -> bool {
        let set = format!("CONFIG_{option}=y");
        self.options.lines().any(|line| line == set)
    }
}

#[cfg(test)]
use {
    crate::vm::arch::Arch, crate::vm::build::kernel::config::config,
    crate::vm::build::source::Source, crate::vm::build::toolchain::Toolchain, std::path::Path,
};

#[cfg(test)]
impl Built {
    /// Placeholder without files, for tests.
    pub fn placeholder(name: &str) -> Self {
        Built {
            kernel: "/kernel".into(),
            config: "/config".into(),
            module: "/module".into(),
            extra: None,
            tree: "/tree".into(),
            info: BuildInfo {
                source: "test".to_owned(),
                commit: None,
                base: "seed".to_owned(),
                config: name.to_owned(),
                config_add: Vec::new(),
                patches: Vec::new(),
                toolchain: Toolchain {
                    rustc: "/rustc".into(),
                    library: None,
                    llvm: "1".to_owned(),
                    bindgen: "/bindgen".into(),
                    libclang: None,
                    versions: std::collections::BTreeMap::new(),
                },
            },
            origin: Origin::Packaged {
                source: Source {
                    package: "test".to_owned(),
                    version: "1".to_owned(),
                    suite: "test".to_owned(),
                },
                base: "seed",
                patches: Vec::new(),
            },
            tested: true,
            guest: config(Arch::X86, name).unwrap(),
            options: config(Arch::X86, name)
                .unwrap()
                .text(Path::new("/tree"), &[]),
            _holds: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_option_that_is_set_is_there() {
        let mut built = Built::placeholder("core");
        built.options = "CONFIG_X86=y\nCONFIG_DEBUG_INFO=y\n".to_owned();
        assert!(built.has("DEBUG_INFO"));
        built.options = "# CONFIG_DEBUG_INFO is not set\nCONFIG_DEBUG_INFO_NONE=y\n".to_owned();
        assert!(!built.has("DEBUG_INFO"));
    }
}
