// SPDX-License-Identifier: GPL-2.0

//! Brings a mirror to the state of its tree.
//!
//! Only what differs is written, and a file whose content is the same keeps its times in the mirror,
//! so that `make` compiles what has changed and nothing else. A written file is newer than
//! everything that was built before, whatever its time in the tree is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use crate::vm::build::mirror::link;
use crate::vm::build::mirror::parallel::in_parallel;
use crate::vm::build::mirror::record::{Entry, Record, Stat, kind};
use crate::vm::host::cache;
use crate::vm::host::key::{hex, sha256};
use crate::vm::host::signals;

/// Times that a file is copied which changes meanwhile.
const TRIES: u32 = 10;

/// Longest time between two changes of a file that may leave it with the same time.
pub const GRANULARITY: Duration = Duration::from_secs(2);

/// A tree and its mirror.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The user's tree.
    pub tree: &'a Path,
    /// Its mirror.
    pub mirror: &'a Path,
    /// [`GRANULARITY`], except in tests.
    pub granularity: Duration,
}

/// A source file of the tree, with its state.
struct Source<'a> {
    path: &'a str,
    meta: Metadata,
}

/// Knowledge of a mirror before a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// There may be files in it that the record does not name.
    Part,
    /// The record names all files; something else may have touched them.
    Names,
    /// It is as the record says.
    All,
}

/// Result of one pass.
pub struct Pass {
    /// The files of the mirror.
    pub record: Record,
    /// The paths that were written to the mirror or removed from it.
    pub changed: Vec<String>,
}

impl Pair<'_> {
    /// Copies those of the files `paths` that differ from the mirror, and removes all others from
    /// it. `old` is the record of the mirror. Calls `each` before every file that is copied.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or written, or that changes each time when it is copied.
    pub fn pass(
        &self,
        paths: &[String],
        old: &Record,
        known: Known,
        each: &(dyn Fn() + Sync),
    ) -> Result<Pass> {
        let sources = self.sources(paths)?;
        let mut changed = self.remove_others(&sources, old, known)?;
        let copied = in_parallel(&sources, |source| {
            let old = old.files.get(source.path);
            match old.filter(|old| self.is_unchanged(source, old, known)) {
                Some(old) => Ok(Some((old.clone(), false))),
                None => {
                    each();
                    self.update(source, old)
                }
            }
        })?;
        let mut files = BTreeMap::new();
        for (source, copied) in sources.iter().zip(copied) {
            let Some((entry, is_written)) = copied else {
                // It was removed meanwhile.
                changed.push(source.path.to_owned());
                continue;
            };
            if is_written {
                changed.push(source.path.to_owned());
            }
            files.insert(source.path.to_owned(), entry);
        }
        let record = Record::new(files);
        Ok(Pass { record, changed })
    }

    /// The files and links among the paths that exist. A path through a link is not one of the tree:
    /// git lists the files of a directory that was replaced by a link.
    fn sources<'a>(&self, paths: &'a [String]) -> Result<Vec<Source<'a>>> {
        let parents: BTreeSet<&str> = paths.iter().flat_map(|path| parents_of(path)).collect();
        let parents: Vec<&str> = parents.into_iter().collect();
        let are_dirs = in_parallel(&parents, |parent| {
            Ok(stat(&self.tree.join(parent))?.is_some_and(|meta| meta.is_dir()))
        })?;
        let others: HashSet<&str> = parents
            .iter()
            .zip(are_dirs)
            .filter_map(|(parent, is_dir)| (!is_dir).then_some(*parent))
            .collect();
        let is_inside = |path: &str| {
            others.is_empty() || parents_of(path).all(|parent| !others.contains(parent))
        };
        let metas = in_parallel(paths, |path| {
            if is_inside(path) {
                stat(&self.tree.join(path))
            } else {
                Ok(None)
            }
        })?;
        let found = paths.iter().zip(metas);
        let found = found.filter_map(|(path, meta)| Some(Source { path, meta: meta? }));
        Ok(found
            .filter(|source| source.meta.is_file() || source.meta.is_symlink())
            .collect())
    }

    /// Removes everything from the mirror that is not among the sources.
    fn remove_others(
        &self,
        sources: &[Source<'_>],
        old: &Record,
        known: Known,
    ) -> Result<Vec<String>> {
        let wanted: HashSet<&str> = sources.iter().map(|source| source.path).collect();
        let mut others = match known {
            Known::Part => self.walk()?,
            Known::Names | Known::All => old.files.keys().cloned().collect(),
        };
        others.retain(|path| !wanted.contains(path.as_str()));
        for path in &others {
            let full = self.mirror.join(path);
            remove(&full)?;
            for parent in parents_of(path) {
                match fs::remove_dir(self.mirror.join(parent)) {
                    Ok(()) => {}
                    Err(e)
                        if [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotFound]
                            .contains(&e.kind()) => {}
                    Err(e) => return Err(cache::explain(e, "cannot remove", &full)),
                }
            }
        }
        Ok(others)
    }

    /// All files in the mirror.
    fn walk(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut dirs = vec![PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            let full = self.mirror.join(&dir);
            let fail = |e| cache::explain(e, "cannot read", &full);
            for entry in fs::read_dir(&full).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let path = dir.join(entry.file_name());
                if entry.file_type().map_err(fail)?.is_dir() {
                    dirs.push(path);
                } else {
                    // Only names that are UTF-8 are ever written.
                    found.push(path.to_string_lossy().into_owned());
                }
            }
        }
        Ok(found)
    }

    /// Whether neither the file nor its copy was touched since the copy was made.
    fn is_unchanged(&self, source: &Source<'_>, old: &Entry, known: Known) -> bool {
        let copy = || fs::symlink_metadata(self.mirror.join(source.path));
        old.source == Some(Stat::of(&source.meta))
            && (known == Known::All || copy().is_ok_and(|copy| Stat::of(&copy) == old.mirror))
    }

    /// Brings the copy of a file up to date. Returns its entry and whether it was written, or nothing
    /// if the file does not exist any more.
    fn update(&self, source: &Source<'_>, old: Option<&Entry>) -> Result<Option<(Entry, bool)>> {
        signals::check()?;
        let (from, to) = (self.tree.join(source.path), self.mirror.join(source.path));
        let kept = stat(&to)?;
        // The content of the copy, if that is known or can be read.
        let mut kept = match (kept, old) {
            (Some(meta), Some(old)) if Stat::of(&meta) == old.mirror => Some(old.content.clone()),
            (Some(meta), _) if meta.is_file() => {
                let mut content = kind_of(&meta).to_owned();
                content.push_str(
                    &hash(open(&to)?, None).map_err(|e| cache::explain(e, "cannot read", &to))?,
                );
                Some(content)
            }
            _ => None,
        };
        if let Some(parent) = to.parent() {
            cache::make_dir(parent)?;
        }
        let mut is_written = false;
        let settled = settled(&from, |meta| {
            // Unknown while it is written, and after a failure.
            let known = kept.take();
            let (content, written) = self.copy(source.path, meta, known.as_deref())?;
            is_written |= written;
            kept = Some(content.clone());
            Ok(content)
        })?;
        let Some((meta, since, content)) = settled else {
            remove(&to)?;
            return Ok(None);
        };
        let copy = fs::symlink_metadata(&to).map_err(|e| cache::explain(e, "cannot read", &to))?;
        let entry = Entry {
            source: is_old(&meta, since, self.granularity).then(|| Stat::of(&meta)),
            mirror: Stat::of(&copy),
            content,
        };
        Ok(Some((entry, is_written)))
    }

    /// Copies a file or a link, unless its copy has this content already. Returns the content, and
    /// whether it was written.
    fn copy(&self, path: &str, meta: &Metadata, kept: Option<&str>) -> Result<(String, bool)> {
        let (from, to) = (self.tree.join(path), self.mirror.join(path));
        let unreadable = |e| cache::explain(e, "cannot read", &from);
        let unwritable = |e| cache::explain(e, "cannot write", &to);
        let mut content = kind_of(meta).to_owned();
        if meta.is_symlink() {
            let target = fs::read_link(&from).map_err(unreadable)?;
            let target = link::mirrored(self.tree, path, &target).target;
            content.push_str(&sha256(target.as_os_str().as_bytes()));
            let is_written = kept != Some(&content);
            if is_written {
                remove(&to)?;
                symlink(&target, &to).map_err(unwritable)?;
            }
            return Ok((content, is_written));
        }
        if kept.is_some() {
            let hash = hash(open(&from)?, None).map_err(unreadable)?;
            let same = format!("{content}{hash}");
            if kept == Some(&same) {
                return Ok((same, false));
            }
        }
        let source = open(&from)?;
        // A new file, as the old one may be a link or a directory.
        remove(&to)?;
        let mut file = File::create_new(&to).map_err(unwritable)?;
        content.push_str(&hash(source, Some(&mut file)).map_err(unwritable)?);
        let mode = if kind_of(meta) == kind::PROGRAM {
            0o755
        } else {
            0o644
        };
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(unwritable)?;
        Ok((content, true))
    }
}

/// Kind of a file.
fn kind_of(meta: &Metadata) -> &'static str {
    if meta.is_symlink() {
        kind::LINK
    } else if meta.mode() & 0o111 != 0 {
        kind::PROGRAM
    } else {
        kind::FILE
    }
}

/// The directories above a path in the tree, the deepest first.
fn parents_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/'), |(parent, _)| parent.rsplit_once('/'))
        .map(|(parent, _)| parent)
}

/// State of a file itself, if it exists.
fn stat(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(cache::explain(e, "cannot read", path)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind())
}

/// Removes whatever is at a path.
fn remove(path: &Path) -> Result<()> {
    let removed = match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(e) if !is_absent(&e) => Err(cache::explain(e, "cannot remove", path)),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| cache::explain(e, "cannot read", path))
}

/// SHA-256 of the content of a file, which is written to `copy` at the same time.
fn hash(mut file: File, mut copy: Option<&mut File>) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hash.update(&buffer[..n]);
        if let Some(copy) = &mut copy {
            copy.write_all(&buffer[..n])?;
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Carries out `work` on a file until the file has not changed meanwhile. Returns its state, the
/// time before that was read, and the result; nothing if the file does not exist any more.
fn settled<T>(
    path: &Path,
    mut work: impl FnMut(&Metadata) -> Result<T>,
) -> Result<Option<(Metadata, SystemTime, T)>> {
    for _ in 0..TRIES {
        let since = SystemTime::now();
        let Some(before) = stat(path)? else {
            return Ok(None);
        };
        let result = work(&before);
        let after = stat(path)?;
        if after.is_some_and(|after| Stat::of(&after) == Stat::of(&before)) {
            return Ok(Some((before, since, result?)));
        }
    }
    bail!(
        "{}: it changes faster than it can be copied; run the command again when whatever writes it \
         is done, or let git ignore it",
        path.display()
    )
}

/// Whether any change after `since` changes the state of the file.
fn is_old(meta: &Metadata, since: SystemTime, granularity: Duration) -> bool {
    let changed = u64::try_from(meta.ctime()).map(Duration::from_secs);
    changed.is_ok_and(|changed| {
        SystemTime::UNIX_EPOCH
            .checked_add(changed + granularity)
            .is_some_and(|safe| safe < since)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A pair in a directory, with a mirror that exists.
    fn pair<'a>(tree: &'a Path, mirror: &'a Path) -> Result<Pair<'a>> {
        cache::make_dir(mirror)?;
        Ok(Pair {
            tree,
            mirror,
            granularity: Duration::ZERO,
        })
    }

    #[test]
    fn a_file_is_read_again_only_if_it_or_its_copy_was_touched() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (tree, mirror) = (dir.path().join("tree"), dir.path().join("mirror"));
        let pair = pair(&tree, &mirror)?;
        let paths = ["a", "b"].map(str::to_owned);
        for path in &paths {
            cache::write_atomically(&tree.join(path), b"one")?;
        }
        // The record, the number of files that were read, and the paths that were written.
        let pass = |old: &Record, known| {
            let count = AtomicUsize::new(0);
            let pass = pair.pass(&paths, old, known, &|| {
                count.fetch_add(1, Ordering::Relaxed);
            })?;
            anyhow::Ok((pass.record, count.into_inner(), pass.changed))
        };
        let nothing = Vec::<String>::new();
        let (record, read, changed) = pass(&Record::default(), Known::Part)?;
        assert_eq!((read, changed), (2, paths.to_vec()));
        let (record, read, changed) = pass(&record, Known::Names)?;
        assert_eq!((read, changed), (0, nothing.clone()));
        fs::write(mirror.join("a"), "other")?;
        let (record, read, changed) = pass(&record, Known::Names)?;
        assert_eq!((read, changed), (1, vec!["a".to_owned()]));
        File::open(tree.join("b"))?.set_modified(SystemTime::UNIX_EPOCH)?;
        let (record, read, changed) = pass(&record, Known::All)?;
        assert_eq!((read, changed), (1, nothing.clone()));
        assert_eq!(pass(&record, Known::All)?.1, 0);
        Ok(())
    }

    #[test]
    fn a_path_through_a_link_is_no_path_of_the_tree() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (tree, mirror) = (dir.path().join("tree"), dir.path().join("mirror"));
        let pair = pair(&tree, &mirror)?;
        cache::write_atomically(&dir.path().join("outside/x.c"), b"x")?;
        cache::make_dir(&tree)?;
        symlink("../outside", tree.join("mm"))?;
        let paths = ["mm", "mm/x.c"].map(str::to_owned);
        let pass = pair.pass(&paths, &Record::default(), Known::Part, &|| {})?;
        assert_eq!(pass.record.files.keys().collect::<Vec<_>>(), ["mm"]);
        Ok(())
    }

    #[test]
    fn a_file_that_changes_while_it_is_copied_is_copied_again() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        fs::write(&path, "one")?;
        let mut tries = 0;
        let read = settled(&path, |_| {
            tries += 1;
            let text = fs::read_to_string(&path)?;
            if tries == 1 {
                fs::write(&path, "three")?;
            }
            Ok(text)
        })?;
        assert_eq!(read.map(|(_, _, text)| text).as_deref(), Some("three"));
        assert_eq!(tries, 2);
        Ok(())
    }

    #[test]
    fn a_file_that_changes_all_the_time_is_an_error() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        fs::write(&path, "")?;
        let grow = |meta: &Metadata| Ok(fs::write(&path, vec![0; meta.len() as usize + 1])?);
        let text = format!("{:#}", settled(&path, grow).map(drop).unwrap_err());
        assert!(text.contains("file: it changes faster"), "{text}");
        Ok(())
    }

    #[test]
    fn a_file_that_is_removed_while_it_is_copied_is_none() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        fs::write(&path, "")?;
        assert!(settled(&path, |_| Ok(fs::remove_file(&path)?))?.is_none());
        Ok(())
    }

    #[test]
    fn the_state_of_a_new_file_is_not_relied_on() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        fs::write(&path, "")?;
        let meta = fs::metadata(&path)?;
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(meta.ctime())?);
        assert!(!is_old(
            &meta,
            changed + Duration::from_secs(1),
            GRANULARITY
        ));
        assert!(is_old(&meta, changed + Duration::from_secs(3), GRANULARITY));
        Ok(())
    }
}
