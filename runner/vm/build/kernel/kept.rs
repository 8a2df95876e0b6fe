// SPDX-License-Identifier: GPL-2.0

//! Kernels and modules that were built before, in the cache.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::vm::build::module::Sources;
use crate::vm::host::cache;
use crate::vm::host::cache::Hold;

/// The build of one module.
pub(super) struct ModuleBuild {
    /// Its name in progress messages.
    pub(super) what: &'static str,
    pub(super) sources: Sources,
    /// File name of the built module.
    pub(super) file: &'static str,
    /// Directory in the cache in which it is built.
    pub(super) staged: PathBuf,
    /// Directory in the cache in which it is kept.
    pub(super) kept: PathBuf,
}

impl ModuleBuild {
    /// Path of the built module.
    pub(super) fn path(&self) -> PathBuf {
        self.kept.join(self.file)
    }

    /// The built module, if it is in the cache.
    pub(super) fn kept(&self) -> Result<Option<Hold>> {
        kept(&self.kept, self.file)
    }
}

/// A directory in the cache, if that file is in it, as the one that was used last.
pub(super) fn kept(dir: &Path, file: &str) -> Result<Option<Hold>> {
    match cache::hold(dir)? {
        Some(hold) if dir.join(file).exists() => {
            cache::touch(dir)?;
            Ok(Some(hold))
        }
        _ => Ok(None),
    }
}

/// Message for what was put into the cache and is not there.
pub(super) fn lost(dir: &Path) -> String {
    let dir = dir.display();
    format!("{dir}: another process has removed it meanwhile; the same command builds it again")
}
