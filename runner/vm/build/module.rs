// SPDX-License-Identifier: GPL-2.0

//! The sources of the module as they are built, with patches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::injector::sources::SOURCES;
use crate::vm::build::patch;
use crate::vm::build::patch::Patch;
use crate::vm::host::cache;
use crate::vm::host::key::Key;

/// File name of the built module.
pub const FILE: &str = "mmu_notifier_inject.ko";

/// Another module that is built for the same kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// File name of the built module.
    pub file: &'static str,
    /// Every file that takes part in its build: path and content.
    pub sources: &'static [(&'static str, &'static str)],
}

/// Sources for one build of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Vec<u8>>);

impl Sources {
    /// Applies patches to the embedded sources. `scratch` is an empty directory.
    ///
    /// # Errors
    ///
    /// A patch that does not apply.
    pub fn new(patches: &[Patch], scratch: &Path) -> Result<Self> {
        let embedded = |path: &Path| {
            let known = SOURCES.iter().find(|(known, _)| Path::new(known) == path);
            Ok(known.map(|(_, text)| text.as_bytes().to_vec()))
        };
        let mut files: BTreeMap<PathBuf, Vec<u8>> = SOURCES
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .collect();
        for (path, content) in patch::apply(patches, embedded, "the module", scratch)? {
            match content {
                Some(content) => files.insert(path, content),
                None => files.remove(&path),
            };
        }
        Ok(Sources(files))
    }

    /// Sources of another module.
    pub fn of(extra: &Extra) -> Self {
        let files = extra.sources.iter();
        Sources(
            files
                .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    /// Name of the module's directory in the cache. It changes with every source file.
    pub fn key(&self) -> String {
        let key = self.0.iter().fold(Key::default(), |key, (path, text)| {
            key.part(&path.to_string_lossy(), text)
        });
        format!("module-{}", key.finish())
    }

    /// Writes the sources to a directory for `make M=`. Files with the same content are not
    /// written, so `make` does not rebuild them.
    pub fn stage(&self, dir: &Path) -> Result<()> {
        for (path, text) in &self.0 {
            cache::write_if_changed(&dir.join(path), text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_patch_changes_the_key_and_the_sources() -> Result<()> {
        let patch = |text: &str| Patch {
            name: "test.patch".to_owned(),
            text: text.into(),
        };
        let scratch = tempfile::tempdir()?;
        let own = Sources::new(&[], &scratch.path().join("1"))?;
        let add = patch("--- /dev/null\n+++ b/module/new.rs\n@@ -0,0 +1 @@\n+new\n");
        let patched = Sources::new(&[add], &scratch.path().join("2"))?;
        assert_ne!(own.key(), patched.key());
        let dir = scratch.path().join("staged");
        patched.stage(&dir)?;
        assert_eq!(fs::read(dir.join("module/new.rs"))?, b"new\n");
        assert!(dir.join("module/log.rs").exists());
        let wrong = patch("--- a/module/log.rs\n+++ b/module/log.rs\n@@ -1 +1 @@\n-x\n+y\n");
        let error = Sources::new(&[wrong], &scratch.path().join("3")).unwrap_err();
        assert!(format!("{error:#}").contains("does not apply to the module"));
        Ok(())
    }
}
