// SPDX-License-Identifier: GPL-2.0

//! The sources of the module, which are embedded in this program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::observe::kunit::Planned;
use crate::vm::build::patch;
use crate::vm::build::patch::Patch;
use crate::vm::host::cache;
use crate::vm::host::cache::Key;

/// File name of the built module.
pub const FILE: &str = "mmu_notifier_inject.ko";

/// Path and content of every file for the build of the module.
const SOURCES: &[(&str, &str)] = &[
    ("Kbuild", include_str!("../../../Kbuild")),
    (
        "module/abstractions.rs",
        include_str!("../../../module/abstractions.rs"),
    ),
    (
        "module/breach.rs",
        include_str!("../../../module/breach.rs"),
    ),
    (
        "module/chance.rs",
        include_str!("../../../module/chance.rs"),
    ),
    (
        "module/command.rs",
        include_str!("../../../module/command.rs"),
    ),
    (
        "module/control.rs",
        include_str!("../../../module/control.rs"),
    ),
    (
        "module/counters.rs",
        include_str!("../../../module/counters.rs"),
    ),
    (
        "module/example.rs",
        include_str!("../../../module/example.rs"),
    ),
    ("module/files.rs", include_str!("../../../module/files.rs")),
    (
        "module/filter.rs",
        include_str!("../../../module/filter.rs"),
    ),
    ("module/help.txt", include_str!("../../../module/help.txt")),
    ("module/how.rs", include_str!("../../../module/how.rs")),
    (
        "module/injector.rs",
        include_str!("../../../module/injector.rs"),
    ),
    ("module/log.rs", include_str!("../../../module/log.rs")),
    (
        "module/mmu_notifier_inject.rs",
        include_str!("../../../module/mmu_notifier_inject.rs"),
    ),
    (
        "module/notifier.rs",
        include_str!("../../../module/notifier.rs"),
    ),
    (
        "module/readings.rs",
        include_str!("../../../module/readings.rs"),
    ),
    (
        "module/session.rs",
        include_str!("../../../module/session.rs"),
    ),
    (
        "module/snapshot.rs",
        include_str!("../../../module/snapshot.rs"),
    ),
    (
        "module/targets.rs",
        include_str!("../../../module/targets.rs"),
    ),
    ("module/text.rs", include_str!("../../../module/text.rs")),
    ("module/zap.rs", include_str!("../../../module/zap.rs")),
];

/// Sources for one build of the module.
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
            let file = dir.join(path);
            if fs::read(&file).is_ok_and(|there| there == *text) {
                continue;
            }
            cache::write_atomically(&file, text)?;
        }
        Ok(())
    }
}

/// KUnit suites and test cases in the sources.
pub fn unit_tests() -> Planned {
    let mut planned = Planned::new();
    for (_, text) in SOURCES {
        let mut suite = None;
        let mut is_case = false;
        for line in text.lines().map(str::trim) {
            if let Some((_, rest)) = line.split_once("kunit_tests(")
                && line.starts_with("#[")
                && let Some((name, _)) = rest.split_once(')')
            {
                suite = Some(planned.entry(name.to_owned()).or_default());
            } else if line == "#[test]" {
                is_case = true;
            } else if let Some((name, _)) =
                line.strip_prefix("fn ").and_then(|fun| fun.split_once('('))
                && let Some(cases) = &mut suite
                && std::mem::take(&mut is_case)
            {
                cases.push(name.to_owned());
            }
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_test_is_found() {
        let planned = unit_tests();
        let planned: usize = planned.values().map(Vec::len).sum();
        let there: usize = SOURCES
            .iter()
            .map(|(_, text)| text.matches("#[test]").count())
            .sum();
        assert!(there > 0);
        assert_eq!(planned, there);
    }

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

    #[test]
    fn every_source_file_is_embedded() -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut dirs = vec![root.join("module")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if !path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with('.'))
                {
                    let name = path.strip_prefix(root)?;
                    assert!(
                        SOURCES.iter().any(|(known, _)| Path::new(known) == name),
                        "{} is missing in runner/vm/build/module.rs",
                        name.display()
                    );
                }
            }
        }
        Ok(())
    }
}
