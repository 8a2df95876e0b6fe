// SPDX-License-Identifier: GPL-2.0

//! The cache: the directory for everything that was downloaded or built.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use serde::Serialize;

use crate::vm::host::progress::Ui;
use crate::vm::host::{signals, space};

/// Environment variable with the path of the cache.
pub const CACHE_VARIABLE: &str = "MN_INJECT_CACHE";

/// Marks the directory as a cache for backup programs, and as one of this program for `vm clean`.
const TAG: &str = "CACHEDIR.TAG";
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
     # Created by mn-inject; `mn-inject vm clean` removes it.\n";

/// Names of all entries that this program creates in the cache. `vm clean` removes nothing else.
const ENTRIES: &[&str] = &[
    "apt",
    "bindgen",
    "build",
    "images",
    "locks",
    "logs",
    "module",
    "modules",
    "runs",
    "sources",
    "tmp",
    "trees",
    "accel.json",
];

/// The opened cache. `vm clean` returns an error while this value exists.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    _in_use: File,
}

/// A lock, released on drop.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Cache {
    /// Opens the cache. Creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// The directory is neither empty nor a cache of this program, no kernel can be built in its
    /// path, or it cannot be used.
    pub fn open() -> Result<Self> {
        Self::open_at(root()?)
    }

    /// Opens the cache in that directory.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::open`].
    pub fn open_at(root: PathBuf) -> Result<Self> {
        let advice = format!("set {CACHE_VARIABLE} to a directory with another path");
        // Before the directory is created, and after: symbolic links may lead to it.
        space::check_path(&root, &advice)?;
        make_dir(&root)?;
        space::check_path(&root, &advice)?;
        let tag = root.join(TAG);
        if !tag.exists() && has_others_files(&root)? {
            bail!(
                "{}: not empty, and not a cache of mn-inject; set {CACHE_VARIABLE} to a new directory",
                root.display()
            );
        }
        let in_use = use_it(&root)?;
        if !tag.exists() {
            write_atomically(&tag, TAG_TEXT.as_bytes())?;
        }
        Ok(Cache {
            root,
            _in_use: in_use,
        })
    }

    /// Path in the cache. The first component must be one of [`ENTRIES`].
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        debug_assert!(
            relative
                .iter()
                .next()
                .is_some_and(|first| ENTRIES.iter().any(|entry| first == *entry)),
            "{relative:?} is unknown to `vm clean`"
        );
        self.root.join(relative)
    }

    /// Checks that so many bytes are free on the disk of the cache.
    ///
    /// # Errors
    ///
    /// There are fewer, or that cannot be found out.
    pub fn check_room(&self, needed: u64) -> Result<()> {
        let advice = format!("set {CACHE_VARIABLE} to a directory on another disk");
        space::check_room(&self.root, needed, &advice)
    }

    /// Creates a directory in the cache, and returns its path as [`Cache::path`] does.
    pub fn dir(&self, relative: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path(relative);
        make_dir(&path)?;
        Ok(path)
    }

    /// Creates an empty directory, which is removed on drop.
    pub fn temp_dir(&self) -> Result<tempfile::TempDir> {
        let parent = self.dir("tmp")?;
        tempfile::Builder::new()
            .prefix("mn-")
            .tempdir_in(&parent)
            .map_err(|e| explain(e, "cannot make a directory in", &parent))
    }

    /// Acquires a lock. If another process holds it, prints a message and waits.
    ///
    /// # Errors
    ///
    /// The lock cannot be acquired, or [`signals::Interrupted`] while it waits.
    pub fn lock(&self, name: &str, ui: &Ui) -> Result<Lock> {
        let path = self.dir("locks")?.join(name);
        let file = lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        ui.line("wait", &format!("somebody else works on {name}"));
        wait_for(file, &path, File::lock).map(Lock)
    }
}

/// A directory in use: [`keep_newest`] does not remove it while this value exists.
#[derive(Clone, Debug)]
pub struct Hold(#[expect(dead_code, reason = "held, not read")] Arc<File>);

/// Marks a directory as in use. Returns `None` if it does not exist or was removed meanwhile.
pub fn hold(dir: &Path) -> Result<Option<Hold>> {
    let file = match File::open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| explain(e, "cannot open", dir))?,
    };
    // Only keep_newest() takes the exclusive lock, and only while it removes the directory.
    file.lock_shared()
        .map_err(|e| explain(e, "cannot lock", dir))?;
    Ok(is_at(&file, dir).then(|| Hold(Arc::new(file))))
}

/// Whether `path` still is the file that was opened.
fn is_at(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|meta| meta.ino()).ok();
    ours.is_some() && ours == fs::metadata(path).map(|meta| meta.ino()).ok()
}

/// Removes all but the `count` newest directories in `dir`, except for those in use. Errors are
/// ignored: the next call tries again.
pub fn keep_newest(dir: &Path, count: usize) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let old = found.len().saturating_sub(count);
    for (_, path) in &found[..old] {
        // The exclusive lock is held until the directory is removed, so no process can start to use it.
        let Ok(file) = File::open(path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            drop(fs::remove_dir_all(path));
        }
    }
}

/// Makes a directory the newest one for [`keep_newest`].
pub fn touch(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(|e| explain(e, "cannot touch", dir))
}

/// Marks the cache as in use.
fn use_it(root: &Path) -> Result<File> {
    let path = root.join("locks/in-use");
    loop {
        make_dir(&root.join("locks"))?;
        let file = lock_file(&path)?;
        // No other process uses the cache, so temporary files are those of a killed run.
        if file.try_lock().is_ok() {
            match fs::remove_dir_all(root.join("tmp")) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(explain(e, "cannot clear", &root.join("tmp")));
                }
                _ => {}
            }
        }
        let file = wait_for(file, &path, File::lock_shared)?;
        // If this waited for `vm clean`, the lock file was removed, and a new one is needed.
        if is_at(&file, &path) {
            return Ok(file);
        }
    }
}

/// Waits for a lock and for signals at the same time.
fn wait_for(file: File, path: &Path, lock: fn(&File) -> io::Result<()>) -> Result<File> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    // flock() cannot wait for a file descriptor at the same time, so a thread waits. After a signal
    // the process exits, and the thread with it.
    let waiter = std::thread::spawn(move || {
        let result = lock(&file);
        drop(writer);
        result.map(|()| file)
    });
    signals::wait_readable(&reader, None)?;
    match waiter.join() {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        Err(_) => bail!("the thread that waits for {} panicked", path.display()),
    }
}

/// Whether a directory has entries besides the locks, which are created before the tag.
fn has_others_files(root: &Path) -> Result<bool> {
    let entries = fs::read_dir(root).map_err(|e| explain(e, "cannot read", root))?;
    Ok(entries.flatten().any(|entry| entry.file_name() != "locks"))
}

/// Path of the cache, which may not exist.
fn root() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(CACHE_VARIABLE).filter(|path| !path.is_empty()) {
        return std::path::absolute(&path)
            .with_context(|| format!("{CACHE_VARIABLE} is not a usable path: {path:?}"));
    }
    let xdg = etcetera::choose_base_strategy()
        .with_context(|| format!("cannot find the home directory; set {CACHE_VARIABLE}"))?;
    Ok(xdg.cache_dir().join("mn-inject"))
}

/// `mn-inject vm clean`: removes all entries of this program from the cache.
pub fn clean(ui: &Ui) -> Result<()> {
    let root = root()?;
    if !root.join(TAG).exists() {
        ui.line("clean", &format!("nothing to remove in {}", root.display()));
        return Ok(());
    }
    let text = fs::read_to_string(root.join(TAG)).unwrap_or_default();
    if text != TAG_TEXT {
        bail!(
            "{}: its {TAG} is not the one that mn-inject writes, so nothing was removed",
            root.display()
        );
    }
    make_dir(&root.join("locks"))?;
    let lock = lock_file(&root.join("locks/in-use"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "{}: in use by another mn-inject; nothing was removed. Try again when it is done",
            root.display()
        ),
        Err(TryLockError::Error(e)) => {
            return Err(e).with_context(|| format!("cannot lock {}/locks/in-use", root.display()));
        }
    }
    // The locks and the tag are removed last: until then, an interrupted clean can be repeated.
    let last = ["locks", TAG];
    let first = ENTRIES
        .iter()
        .copied()
        .filter(|entry| !last.contains(entry));
    for entry in first.chain(last) {
        let path = root.join(entry);
        let removed = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    match fs::remove_dir(&root) {
        Ok(()) => ui.line("clean", &format!("removed {}", root.display())),
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => ui.line(
            "clean",
            &format!(
                "removed what mn-inject made in {}; the rest was left",
                root.display()
            ),
        ),
        Err(e) => return Err(e).with_context(|| format!("cannot remove {}", root.display())),
    }
    Ok(())
}

/// Opens a lock file. Creates it if it does not exist.
fn lock_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| explain(e, "cannot open the lock", path))
}

/// Creates a directory and its parents.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| explain(e, "cannot make the directory", path))
}

/// Writes a report as JSON, as [`write_atomically`] does.
pub fn write_report(path: &Path, report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(report).context("cannot write the report as JSON")?;
    text.push(b'\n'); // As `--format json` prints it.
    write_atomically(path, &text)
}

/// Writes a file and its parent directories. A reader sees either the old or the new content.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, File::sync_data)
}

/// As [`write_atomically`], without waiting for the disk.
pub fn write_unsynced(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, |_| Ok(()))
}

/// As [`write_atomically`], unless the file has that content: `make` looks at its time.
pub fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    match fs::read(path) {
        Ok(old) if old == content => Ok(()),
        _ => write_atomically(path, content),
    }
}

fn replace(path: &Path, content: &[u8], sync: fn(&File) -> io::Result<()>) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make_dir(dir)?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(content)?;
        sync(file.as_file())?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| explain(e, "cannot write", path))
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| explain(e, "cannot read", path))
}

/// Adds the path to an I/O error, and advice if the disk is full.
pub fn explain(error: io::Error, what: &str, path: &Path) -> anyhow::Error {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let error = anyhow::Error::new(error).context(format!("{what} {}", path.display()));
    if full {
        error.context(disk_full(path))
    } else {
        error
    }
}

/// Error message for a full disk.
pub fn disk_full(path: &Path) -> String {
    format!(
        "the disk that holds {} is full; the first build of a kernel takes about 3 GB. Free some, or set {CACHE_VARIABLE} to a directory on another disk",
        path.display()
    )
}

/// Tries again for some seconds whether a directory that nothing uses is removed: a child of another
/// test holds all locks of this process until its `execve(2)`.
#[cfg(test)]
pub(crate) fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let begin = std::time::Instant::now();
    while begin.elapsed() < std::time::Duration::from_secs(10) {
        if is_so() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_touched_directory_is_kept() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let epoch = SystemTime::UNIX_EPOCH;
        for (age, name) in ["old", "older", "oldest"].iter().enumerate() {
            let path = dir.path().join(name);
            fs::create_dir(&path)?;
            let then = epoch + Duration::from_secs(1000 - age as u64);
            File::open(&path)?.set_modified(then)?;
        }
        touch(&dir.path().join("oldest"))?;
        keep_newest(dir.path(), 2);
        let left = |name: &str| dir.path().join(name).exists();
        assert!(left("oldest") && left("old") && !left("older"));
        keep_newest(dir.path(), 5);
        assert!(left("oldest") && left("old"));
        Ok(())
    }

    #[test]
    fn a_directory_in_use_is_kept() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("kernel");
        assert!(hold(&path)?.is_none());
        fs::create_dir(&path)?;
        let first = hold(&path)?;
        let second = hold(&path)?;
        for holds in [first, second] {
            keep_newest(dir.path(), 0);
            assert!(path.exists());
            assert!(holds.is_some());
        }
        assert!(comes_true(|| {
            keep_newest(dir.path(), 0);
            !path.exists()
        }));
        Ok(())
    }

    #[test]
    fn the_error_for_a_full_disk_gives_advice() {
        let error = explain(
            io::Error::from(io::ErrorKind::StorageFull),
            "cannot write",
            Path::new("/some/file"),
        );
        let text = format!("{error:#}");
        assert!(text.contains("is full"), "{text}");
        assert!(text.contains("/some/file"), "{text}");
    }

    #[test]
    fn a_write_replaces_the_whole_file() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a/b");
        write_atomically(&path, b"one")?;
        write_atomically(&path, b"two")?;
        assert_eq!(read(&path)?, b"two");
        assert_eq!(fs::read_dir(dir.path().join("a"))?.count(), 1);
        Ok(())
    }
}
