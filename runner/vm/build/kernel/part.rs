// SPDX-License-Identifier: GPL-2.0

//! The part of the source tree through which `make` has to go. To go through all of it takes half of
//! the time of a build that compiles one file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::vm::build::patch::Files;
use crate::vm::host::cache;
use crate::vm::host::key::sha256;

/// File of a build directory with the patched files from which it was built.
const RECORD: &str = "mn-inject.patched";

/// Word in a record for a hash that is not known.
const UNKNOWN: &str = "?";

/// Directories whose `.c` files no file of another directory includes.
const CLOSED: &[&str] = &["kernel", "mm"];

/// The patched files of a tree, with the hash of each that exists. All others are the originals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Patched(BTreeMap<PathBuf, Option<String>>);

impl Patched {
    pub(super) fn of(files: &Files) -> Self {
        let hash = |content: &Option<Vec<u8>>| content.as_deref().map(sha256);
        let hashes = files
            .iter()
            .map(|(path, content)| (path.clone(), hash(content)));
        Patched(hashes.collect())
    }

    /// Begins a build of these files, and returns the record of the last one; [`None`] where it is
    /// not known what was built. If the build fails, objects of files that it changes are unknown
    /// then, and all others are as they were.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub(super) fn begin(&self, dir: &Path) -> Result<Option<Self>> {
        let text = fs::read(dir.join(RECORD)).ok();
        let last: Option<Patched> = text.and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(last) = &last {
            let mut meanwhile = last.clone();
            for path in self.changes(last) {
                meanwhile.0.insert(path, Some(UNKNOWN.to_owned()));
            }
            meanwhile.note(dir)?;
        }
        Ok(last)
    }

    /// Notes in a build directory what was built.
    pub(super) fn note(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).context("cannot write the record of a build")?;
        cache::write_atomically(&dir.join(RECORD), &text)
    }

    /// Whether a file differs from what it was.
    pub(super) fn differs(&self, last: &Self, path: &Path) -> bool {
        self.0.get(path) != last.0.get(path)
    }

    /// The files that differ from what they were.
    pub(super) fn changes(&self, last: &Self) -> Vec<PathBuf> {
        let differ = |path: &&PathBuf| self.differs(last, path);
        let mut paths: Vec<_> = self.0.keys().chain(last.0.keys()).filter(differ).collect();
        paths.sort();
        paths.dedup();
        paths.into_iter().cloned().collect()
    }
}

/// A directory of the tree that has everything to compile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The directory.
    pub(super) dir: &'static str,
    /// The files that have changed since the last build.
    changed: Vec<PathBuf>,
}

impl Part {
    /// The part with all changes since the last build. [`None`] where something else may have to be
    /// compiled, too.
    pub(super) fn since(last: &Patched, now: &Patched) -> Option<Self> {
        let changed = now.changes(last);
        let first = changed.first()?;
        let dir = CLOSED.iter().find(|dir| first.starts_with(dir))?;
        let is_closed = |path: &PathBuf| {
            let exists = |files: &Patched| files.0.get(path) != Some(&None);
            let is_source = path.extension().is_some_and(|extension| extension == "c");
            path.starts_with(dir) && is_source && exists(last) && exists(now)
        };
        changed
            .iter()
            .all(is_closed)
            .then_some(Part { dir, changed })
    }

    /// Variable of the top Makefile with the directory through which `make` goes. Every Makefile gets
    /// it, also tools/build/Makefile.build, which builds objtool and has one of that name.
    pub(super) fn walk(&self) -> String {
        let is_of_tools = "$(findstring tools/build/Makefile.build,$(MAKEFILE_LIST))";
        format!(
            "build-dir=$(if {is_of_tools},$(srctree)/tools/build,{})",
            self.dir
        )
    }

    /// Whether each file that has changed has an object that is newer. One without an object may be
    /// part of another file, or a header is made from it, as from kernel/bounds.c.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(super) fn is_compiled(&self, tree: &Path, dir: &Path) -> Result<bool> {
        for path in &self.changed {
            let time = |path: &Path| {
                let time = fs::metadata(path).and_then(|meta| meta.modified());
                time.with_context(|| format!("cannot read {}", path.display()))
            };
            let object = dir.join(path).with_extension("o");
            if !object.exists() || time(&object)? < time(&tree.join(path))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn patched(files: &[(&str, Option<&str>)]) -> Patched {
        let files = files.iter().map(|(path, text)| {
            (
                PathBuf::from(path),
                text.map(|text| text.as_bytes().to_vec()),
            )
        });
        Patched::of(&files.collect())
    }

    fn dir(last: &[(&str, Option<&str>)], now: &[(&str, Option<&str>)]) -> Option<&'static str> {
        Part::since(&patched(last), &patched(now)).map(|part| part.dir)
    }

    #[test]
    fn one_directory_is_enough_for_source_files_in_it() {
        let seed = ("mm/a.c", Some("seed"));
        assert_eq!(dir(&[seed], &[("mm/a.c", Some("other"))]), Some("mm"));
        assert_eq!(dir(&[seed], &[]), Some("mm"));
        assert_eq!(dir(&[], &[seed, ("mm/damon/b.c", Some("b"))]), Some("mm"));
        assert_eq!(
            dir(&[("mm/x.h", Some("x"))], &[("mm/x.h", Some("x")), seed]),
            Some("mm")
        );
        assert_eq!(dir(&[], &[("kernel/fork.c", Some("x"))]), Some("kernel"));
    }

    #[test]
    fn everything_else_needs_the_whole_tree() {
        let seed = ("mm/a.c", Some("seed"));
        assert_eq!(dir(&[seed], &[seed]), None);
        assert_eq!(
            dir(&[seed], &[seed, ("include/linux/a.h", Some("a"))]),
            None
        );
        assert_eq!(dir(&[("mm/internal.h", Some("x"))], &[]), None);
        assert_eq!(dir(&[], &[seed, ("kernel/fork.c", Some("x"))]), None);
        assert_eq!(dir(&[], &[("mm/Makefile", Some("x"))]), None);
        assert_eq!(dir(&[], &[("arch/x86/mm/a.c", Some("x"))]), None);
        assert_eq!(dir(&[], &[("mm/a.c", None)]), None);
        assert_eq!(dir(&[("mm/a.c", None)], &[]), None);
    }

    #[test]
    fn a_build_that_fails_leaves_only_what_it_changed_unknown() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let first = patched(&[("mm/a.c", Some("a")), ("mm/b.c", None)]);
        assert_eq!(first.begin(dir.path())?, None);
        assert_eq!(first.begin(dir.path())?, None);
        first.note(dir.path())?;
        let second = patched(&[("mm/a.c", Some("a")), ("mm/c.c", Some("c"))]);
        assert_eq!(second.begin(dir.path())?, Some(first.clone()));
        // It was not noted, so it has failed.
        let left = first.begin(dir.path())?.context("no record")?;
        assert!(!first.differs(&left, "mm/a.c".as_ref()));
        assert!(first.differs(&left, "mm/b.c".as_ref()));
        assert!(first.differs(&left, "mm/c.c".as_ref()));
        fs::write(dir.path().join(RECORD), "[")?;
        assert_eq!(first.begin(dir.path())?, None);
        Ok(())
    }

    #[test]
    fn a_file_without_a_new_object_is_found() -> Result<()> {
        let (tree, build) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let write = |dir: &Path, name: &str, seconds| -> Result<()> {
            fs::create_dir_all(dir.join("mm"))?;
            let file = fs::File::create(dir.join(name))?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))?;
            Ok(())
        };
        write(tree.path(), "mm/a.c", 100)?;
        let part = Part {
            dir: "mm",
            changed: vec!["mm/a.c".into()],
        };
        assert!(!part.is_compiled(tree.path(), build.path())?);
        write(build.path(), "mm/a.o", 101)?;
        assert!(part.is_compiled(tree.path(), build.path())?);
        write(build.path(), "mm/a.o", 99)?;
        assert!(!part.is_compiled(tree.path(), build.path())?);
        Ok(())
    }
}
