// SPDX-License-Identifier: GPL-2.0

//! Patches of a packaged kernel source and of the module.
//!
//! There is one tree per source. To change from one set of patches to another, only the files that
//! differ are written, so `make` rebuilds only what depends on them. The original of every file
//! that was ever changed is kept beside the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::vm::build::stage;
use crate::vm::host::cache;

/// Folder with the sources of the module. A patch of files in it is a patch of the module.
const MODULE_FOLDER: &str = "module";

/// A patch. It is read only once, so the patch that is applied is the one that was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Name of the file.
    pub name: String,
    /// Content of the file.
    pub text: Vec<u8>,
}

impl Patch {
    /// Reads a patch of the user.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a patch, or changes both the kernel and the module.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| {
            format!(
                "cannot read the patch {}; give --patch the path of a file",
                path.display()
            )
        })?;
        let paths = touched(&text);
        if paths.is_empty() {
            bail!(
                "{}: not a patch: it names no file (`--- a/FILE`, `+++ b/FILE`); \
                 make one with `git diff` or `git format-patch`",
                path.display()
            );
        }
        let is_of_module = |path: &PathBuf| path.starts_with(MODULE_FOLDER);
        if paths.iter().any(is_of_module) && !paths.iter().all(is_of_module) {
            bail!(
                "{}: it changes both the kernel and the module ({MODULE_FOLDER}/); make two patches of it",
                path.display()
            );
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Patch {
            name: name.to_string_lossy().into_owned(),
            text,
        })
    }

    /// Whether it changes the module and not the kernel.
    pub fn is_of_module(&self) -> bool {
        let files = self.files();
        files.iter().any(|path| path.starts_with(MODULE_FOLDER))
    }

    /// Files that it may change, from the top of the tree.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        touched(&self.text)
    }
}

/// A source tree, with the originals of the files that were ever changed in it.
#[derive(Debug)]
pub struct Tree {
    tree: PathBuf,
    originals: PathBuf,
}

/// A time before every object, since the epoch. The epoch itself is often a time that is not known.
const LONG_AGO: Duration = Duration::from_secs(1_000_000_000);

/// Contents of files by path; `None` for a file that does not exist.
pub type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Applies patches in order, and returns the resulting contents of the files that they change.
///
/// `original` returns the content of a file without patches. `onto` names the patched sources in
/// error messages. `scratch` is an empty directory.
///
/// # Errors
///
/// A patch that does not apply, with the message of git.
pub fn apply(
    patches: &[Patch],
    original: impl Fn(&Path) -> Result<Option<Vec<u8>>>,
    onto: &str,
    scratch: &Path,
) -> Result<Files> {
    let mut paths = BTreeSet::new();
    for patch in patches {
        paths.extend(touched(&patch.text));
    }
    let work = scratch.join("work");
    cache::make_dir(&work)?;
    for path in &paths {
        if let Some(content) = original(path)? {
            write(&work.join(path), &content)?;
        }
    }
    for patch in patches {
        let file = scratch.join("patch");
        write(&file, &patch.text)?;
        let mut git = Command::new("git");
        // In a repository, git would take the paths as relative to its top directory.
        git.args(["apply", "--whitespace=nowarn"])
            .arg(&file)
            .current_dir(&work)
            .env("GIT_CEILING_DIRECTORIES", scratch)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE");
        stage::output(&mut git).with_context(|| {
            format!(
                "the patch {} does not apply to {onto}; nothing was changed",
                patch.name
            )
        })?;
    }
    let mut files = Files::new();
    for path in paths {
        let content = read_if_there(&work.join(&path))?;
        files.insert(path, content);
    }
    Ok(files)
}

impl Tree {
    /// Tree in `dir/linux`, with the originals in `dir/originals`.
    pub fn new(dir: &Path) -> Self {
        Tree {
            tree: dir.join("linux"),
            originals: dir.join("originals"),
        }
    }

    /// Path of the tree.
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// Applies patches to the originals, and returns the contents of the patched files. Does not
    /// change the tree. Errors are those of [`apply`].
    pub fn plan(&self, patches: &[Patch], scratch: &Path) -> Result<Files> {
        apply(patches, |path| self.original(path), "this kernel", scratch)
    }

    /// Writes the planned files to the tree, and restores the original of every other file.
    ///
    /// Returns the paths of the files that were changed.
    pub fn bring_to(&self, plan: &Files) -> Result<Vec<PathBuf>> {
        let mut wanted = Files::new();
        for path in self.ever_touched()? {
            let original = self.original(&path)?;
            wanted.insert(path, original);
        }
        for (path, content) in plan {
            self.keep_original(path)?;
            wanted.insert(path.clone(), content.clone());
        }
        let mut written = Vec::new();
        for (path, content) in wanted {
            let file = self.tree.join(&path);
            if read_if_there(&file)? == content {
                continue;
            }
            match content {
                Some(content) => {
                    cache::write_atomically(&file, &content)?;
                    // A script of the kernel's build must stay executable.
                    let original = self.originals.join("files").join(&path);
                    let mode = fs::metadata(original).map(|meta| meta.permissions());
                    let mode = mode.unwrap_or(fs::Permissions::from_mode(0o644));
                    fs::set_permissions(&file, mode)
                        .map_err(|e| cache::explain(e, "cannot set the permissions of", &file))?;
                }
                None => {
                    fs::remove_file(&file)
                        .map_err(|e| cache::explain(e, "cannot remove", &file))?;
                }
            }
            written.push(path);
        }
        Ok(written)
    }

    /// Dates the files that were ever changed, for `make` in one build directory: now if `is_new`, and
    /// else before every object. Their own times are about all build directories of the tree together.
    ///
    /// # Errors
    ///
    /// The time of a file cannot be set.
    pub fn date(&self, is_new: impl Fn(&Path) -> bool) -> Result<()> {
        let now = SystemTime::now();
        for path in self.ever_touched()? {
            let file = self.tree.join(&path);
            let time = if is_new(&path) {
                now
            } else {
                SystemTime::UNIX_EPOCH + LONG_AGO
            };
            match File::open(&file).and_then(|file| file.set_modified(time)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(cache::explain(e, "cannot set the time of", &file));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Content of a file in the package.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn original(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let kept = self.originals.join("files").join(path);
        if let Some(content) = read_if_there(&kept)? {
            return Ok(Some(content));
        }
        if self.originals.join("absent").join(path).exists() {
            return Ok(None);
        }
        read_if_there(&self.tree.join(path))
    }

    /// Keeps a copy of a file of the package, or the fact that it does not exist. The caller must
    /// not have changed the file before.
    fn keep_original(&self, path: &Path) -> Result<()> {
        let (kept, absent) = (
            self.originals.join("files").join(path),
            self.originals.join("absent").join(path),
        );
        if kept.exists() || absent.exists() {
            return Ok(());
        }
        let file = self.tree.join(path);
        match read_if_there(&file)? {
            Some(content) => {
                cache::write_atomically(&kept, &content)?;
                let mode = fs::metadata(&file)
                    .map_err(|e| cache::explain(e, "cannot read", &file))?
                    .permissions();
                fs::set_permissions(&kept, mode)
                    .map_err(|e| cache::explain(e, "cannot set the permissions of", &kept))
            }
            None => cache::write_atomically(&absent, b""),
        }
    }

    /// Paths of all files that were ever changed.
    fn ever_touched(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for kind in ["files", "absent"] {
            let root = self.originals.join(kind);
            let mut dirs = vec![root.clone()];
            while let Some(dir) = dirs.pop() {
                let entries = match fs::read_dir(&dir) {
                    Ok(entries) => entries,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(cache::explain(e, "cannot read", &dir)),
                };
                for entry in entries {
                    let path = entry
                        .map_err(|e| cache::explain(e, "cannot read", &dir))?
                        .path();
                    if path.is_dir() {
                        dirs.push(path);
                    } else if let Ok(relative) = path.strip_prefix(&root) {
                        paths.push(relative.to_owned());
                    }
                }
            }
        }
        Ok(paths)
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) => {
            Ok(None)
        }
        Err(e) => Err(cache::explain(e, "cannot read", path)),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        cache::make_dir(dir)?;
    }
    fs::write(path, content).map_err(|e| cache::explain(e, "cannot write", path))
}

/// Paths of all files that a patch may read or write.
///
/// A line of text that only looks like a header adds a file that does not exist, which has no
/// effect. The list cannot come from `git apply --numstat`: it does not have the old name of a
/// renamed file, and a file that is not a patch must be refused even where git is missing.
fn touched(patch: &[u8]) -> BTreeSet<PathBuf> {
    let text = String::from_utf8_lossy(patch);
    text.lines().filter_map(path_in_header).collect()
}

/// Path in a header line of a patch, relative to the tree. `None` for other lines, for
/// `/dev/null`, and for a path that leads out of the tree.
fn path_in_header(line: &str) -> Option<PathBuf> {
    const RENAMES: [&str; 4] = ["rename from ", "rename to ", "copy from ", "copy to "];
    let after = |prefix: &&str| line.strip_prefix(*prefix);
    let path = match ["--- ", "+++ "].iter().find_map(after) {
        // `a/PATH` or `b/PATH`, and perhaps a tab with the time of the last change.
        Some(rest) => match rest.split('\t').next()?.trim_end() {
            "/dev/null" => return None,
            path => path.split_once('/')?.1,
        },
        None => RENAMES.iter().find_map(after)?,
    };
    let mut parts = Path::new(path).components().peekable();
    parts.peek()?;
    parts
        .all(|part| matches!(part, Component::Normal(_)))
        .then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = "--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n";
    const ADD: &str = "--- /dev/null\n+++ b/mm/new.c\n@@ -0,0 +1 @@\n+new\n";
    const REMOVE: &str = "--- a/mm/y.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n";

    fn patch(text: &str) -> Patch {
        Patch {
            name: "test.patch".to_owned(),
            text: text.as_bytes().to_vec(),
        }
    }

    fn tree() -> Result<(tempfile::TempDir, Tree)> {
        let dir = tempfile::tempdir()?;
        write(&dir.path().join("linux/mm/x.c"), b"one\ntwo\nthree\n")?;
        write(&dir.path().join("linux/mm/y.c"), b"gone\n")?;
        let tree = Tree::new(dir.path());
        Ok((dir, tree))
    }

    fn patched(tree: &Tree, patches: &[Patch]) -> Result<Vec<PathBuf>> {
        let scratch = tempfile::tempdir()?;
        tree.bring_to(&tree.plan(patches, scratch.path())?)
    }

    #[test]
    fn only_files_that_differ_are_written_and_originals_are_restored() -> Result<()> {
        let (_dir, tree) = tree()?;
        let all = [patch(CHANGE), patch(ADD), patch(REMOVE)];
        assert_eq!(patched(&tree, &all)?.len(), 3);
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\nzwei\nthree\n");
        assert_eq!(fs::read(tree.path().join("mm/new.c"))?, b"new\n");
        assert!(!tree.path().join("mm/y.c").exists());
        assert!(patched(&tree, &all)?.is_empty());
        assert_eq!(patched(&tree, &all[..1])?.len(), 2);
        assert_eq!(patched(&tree, &[])?, [PathBuf::from("mm/x.c")]);
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\ntwo\nthree\n");
        assert_eq!(fs::read(tree.path().join("mm/y.c"))?, b"gone\n");
        assert!(!tree.path().join("mm/new.c").exists());
        Ok(())
    }

    #[test]
    fn files_are_dated_for_one_build_directory() -> Result<()> {
        let (_dir, tree) = tree()?;
        patched(&tree, &[patch(CHANGE), patch(REMOVE)])?;
        let time = |path| fs::metadata(tree.path().join(path)).and_then(|meta| meta.modified());
        let begin = SystemTime::now();
        tree.date(|path| path == Path::new("mm/x.c"))?;
        assert!(time("mm/x.c")? >= begin);
        patched(&tree, &[])?;
        tree.date(|path| path == Path::new("mm/y.c"))?;
        assert_eq!(time("mm/x.c")?, SystemTime::UNIX_EPOCH + LONG_AGO);
        assert!(time("mm/y.c")? >= begin);
        Ok(())
    }

    #[test]
    fn patches_are_applied_in_order() -> Result<()> {
        let (_dir, tree) = tree()?;
        let second = CHANGE.replace("zwei", "deux").replace("two", "zwei");
        patched(&tree, &[patch(CHANGE), patch(&second)])?;
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\ndeux\nthree\n");
        Ok(())
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named_and_changes_nothing() -> Result<()> {
        let (_dir, tree) = tree()?;
        let wrong = CHANGE.replace("two", "drei");
        let error = patched(&tree, &[patch(ADD), patch(&wrong)]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("test.patch"), "{text}");
        assert!(text.contains("mm/x.c"), "{text}");
        assert!(!tree.path().join("mm/new.c").exists());
        Ok(())
    }

    #[test]
    fn a_patch_cannot_change_files_outside_of_the_tree() -> Result<()> {
        let (dir, tree) = tree()?;
        let out = ADD.replace("mm/new.c", "../out.c");
        assert!(patched(&tree, &[patch(&out)]).is_err());
        assert!(!dir.path().join("out.c").exists());
        Ok(())
    }

    #[test]
    fn a_renamed_file_is_moved_and_moved_back() -> Result<()> {
        let (_dir, tree) = tree()?;
        let rename = "diff --git a/mm/y.c b/mm/z.c\nsimilarity index 100%\n\
            rename from mm/y.c\nrename to mm/z.c\n";
        assert_eq!(patched(&tree, &[patch(rename)])?.len(), 2);
        assert_eq!(fs::read(tree.path().join("mm/z.c"))?, b"gone\n");
        assert!(!tree.path().join("mm/y.c").exists());
        assert_eq!(patched(&tree, &[])?.len(), 2);
        assert!(!tree.path().join("mm/z.c").exists());
        assert!(tree.path().join("mm/y.c").exists());
        Ok(())
    }

    #[test]
    fn paths_are_read_from_the_headers_of_a_patch() {
        for (line, path) in [
            ("--- a/mm/x.c", Some("mm/x.c")),
            ("+++ b/mm/x.c\t2026-01-01 00:00:00", Some("mm/x.c")),
            ("copy to mm/x.c", Some("mm/x.c")),
            ("--- /dev/null", None),
            ("--- /dev/null\t1970-01-01", None),
            ("+++ b/../x.c", None),
            ("rename to /etc/x", None),
            ("--- a/", None),
            ("--- ", None),
            ("-mm/x.c", None),
        ] {
            assert_eq!(
                path_in_header(line).as_deref(),
                path.map(Path::new),
                "{line}"
            );
        }
    }

    #[test]
    fn a_patch_changes_the_kernel_or_the_module() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.patch");
        let of_module = CHANGE.replace("mm/x.c", "module/log.rs");
        for (text, expected) in [(CHANGE, false), (of_module.as_str(), true)] {
            fs::write(&path, text)?;
            assert_eq!(Patch::read(&path)?.is_of_module(), expected, "{text}");
        }
        fs::write(&path, format!("{of_module}{CHANGE}"))?;
        let text = format!("{:#}", Patch::read(&path).unwrap_err());
        assert!(text.contains("both"), "{text}");
        Ok(())
    }

    #[test]
    fn a_file_that_is_not_a_patch_is_an_error() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.patch");
        fs::write(&path, "hello\n")?;
        let text = format!("{:#}", Patch::read(&path).unwrap_err());
        assert!(text.contains("not a patch"), "{text}");
        let text = format!("{:#}", Patch::read(&dir.path().join("none")).unwrap_err());
        assert!(text.contains("none"), "{text}");
        Ok(())
    }
}
