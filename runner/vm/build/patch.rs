// SPDX-License-Identifier: GPL-2.0

//! Patches on a packaged source, and on the module's.
//!
//! There is one tree per source, and it is brought from one set of patches to another by writing
//! only the files that differ, so that `make` rebuilds only what they reach. The original of
//! every file that was ever changed is kept beside the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::vm::build::stage;
use crate::vm::host::cache;

/// Folder of the module's sources. A patch of files in it is a patch of the module.
const MODULE_FOLDER: &str = "module";

/// A patch, read once: what is in the key is what is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its file's name.
    pub name: String,
    /// Its text.
    pub text: Vec<u8>,
}

impl Patch {
    /// Reads a patch of the user's.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| {
            format!(
                "cannot read the patch {}; give --patch the path of a file",
                path.display()
            )
        })?;
        if touched(&text).is_empty() {
            bail!(
                "{}: not a patch: it names no file (`--- a/FILE`, `+++ b/FILE`); \
                 make one with `git diff` or `git format-patch`",
                path.display()
            );
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let patch = Patch {
            name: name.to_string_lossy().into_owned(),
            text,
        };
        let of_module = |path: &PathBuf| path.starts_with(MODULE_FOLDER);
        if patch.is_of_module() && !touched(&patch.text).iter().all(of_module) {
            bail!(
                "{}: it changes both the kernel and the module ({}/); make two patches of it",
                path.display(),
                MODULE_FOLDER
            );
        }
        Ok(patch)
    }

    /// Whether it is one of the module, and not of the kernel.
    pub fn is_of_module(&self) -> bool {
        let touched = touched(&self.text);
        touched.iter().any(|path| path.starts_with(MODULE_FOLDER))
    }
}

/// A source tree with the originals of what was changed in it.
#[derive(Debug)]
pub struct Tree {
    tree: PathBuf,
    originals: PathBuf,
}

/// Content by path; `None` where there is no such file.
pub type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What becomes of the files that the patches touch, one patch after the other. `original` gives
/// them as they are; `onto` is what they belong to, for messages.
///
/// # Errors
///
/// The patch that does not apply, with git's own words. `scratch` is an empty directory.
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
        // In a repository git would take the paths for the repository's.
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
    /// The tree in `dir/linux`, with its originals in `dir/originals`.
    pub fn new(dir: &Path) -> Self {
        Tree {
            tree: dir.join("linux"),
            originals: dir.join("originals"),
        }
    }

    /// Where the tree is.
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// What the patched files will be; the tree stays as it is. Errors as [`apply`] does.
    pub fn plan(&self, patches: &[Patch], scratch: &Path) -> Result<Files> {
        apply(patches, |path| self.original(path), "this kernel", scratch)
    }

    /// Brings the tree to the planned state: every other file is the original.
    ///
    /// Returns the paths that were written.
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
                    // Its permissions: some files of the kernel are run.
                    let mode = fs::metadata(self.originals.join("files").join(&path))
                        .map(|meta| meta.permissions());
                    cache::write_atomically(&file, &content)?;
                    use std::os::unix::fs::PermissionsExt;
                    let mode = mode.unwrap_or(fs::Permissions::from_mode(0o644));
                    fs::set_permissions(&file, mode)
                        .map_err(|e| cache::explain(e, "cannot set the permissions of", &file))?;
                }
                None => {
                    fs::remove_file(&file).map_err(|e| cache::explain(e, "cannot remove", &file))?
                }
            }
            written.push(path);
        }
        Ok(written)
    }

    /// A file as it came with the source.
    fn original(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let kept = self.originals.join("files").join(path);
        if let Some(content) = read_if_there(&kept)? {
            return Ok(Some(content));
        }
        if self.originals.join("absent").join(path).exists() {
            return Ok(None);
        }
        read_if_there(&self.tree.join(path))
    }

    /// Keeps a file as it came with the source, or that there was none. To be called before the
    /// first change.
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

/// The files that a patch may read or write. A line of text that only looks like a header adds a
/// file that does not exist, which does no harm; git decides what is a patch.
fn touched(patch: &[u8]) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    for line in String::from_utf8_lossy(patch).lines() {
        let stripped = ["--- ", "+++ "]
            .iter()
            .find_map(|prefix| line.strip_prefix(prefix))
            .and_then(|rest| rest.split('\t').next())
            .and_then(|path| path.trim_end().split_once('/'))
            .map(|(_, path)| path);
        let whole = ["rename from ", "rename to ", "copy from ", "copy to "]
            .iter()
            .find_map(|prefix| line.strip_prefix(prefix));
        let Some(path) = stripped.or(whole) else {
            continue;
        };
        let path = Path::new(path);
        // `/dev/null` is no file, and nothing outside the tree is ours.
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if inside && line != "--- /dev/null" && line != "+++ /dev/null" && path.iter().count() > 0 {
            paths.insert(path.to_owned());
        }
    }
    paths
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

    fn go(tree: &Tree, patches: &[Patch]) -> Result<Vec<PathBuf>> {
        let scratch = tempfile::tempdir()?;
        tree.bring_to(&tree.plan(patches, scratch.path())?)
    }

    #[test]
    fn only_what_differs_is_written_and_all_of_it_comes_back() -> Result<()> {
        let (_dir, tree) = tree()?;
        let all = [patch(CHANGE), patch(ADD), patch(REMOVE)];
        assert_eq!(go(&tree, &all)?.len(), 3);
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\nzwei\nthree\n");
        assert_eq!(fs::read(tree.path().join("mm/new.c"))?, b"new\n");
        assert!(!tree.path().join("mm/y.c").exists());
        assert!(go(&tree, &all)?.is_empty());
        assert_eq!(go(&tree, &all[..1])?.len(), 2);
        assert_eq!(go(&tree, &[])?, [PathBuf::from("mm/x.c")]);
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\ntwo\nthree\n");
        assert_eq!(fs::read(tree.path().join("mm/y.c"))?, b"gone\n");
        assert!(!tree.path().join("mm/new.c").exists());
        Ok(())
    }

    #[test]
    fn patches_build_on_each_other() -> Result<()> {
        let (_dir, tree) = tree()?;
        let second = CHANGE.replace("zwei", "deux").replace("two", "zwei");
        go(&tree, &[patch(CHANGE), patch(&second)])?;
        assert_eq!(fs::read(tree.path().join("mm/x.c"))?, b"one\ndeux\nthree\n");
        Ok(())
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named_and_changes_nothing() -> Result<()> {
        let (_dir, tree) = tree()?;
        let wrong = CHANGE.replace("two", "drei");
        let error = go(&tree, &[patch(ADD), patch(&wrong)]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("test.patch"), "{text}");
        assert!(text.contains("mm/x.c"), "{text}");
        assert!(!tree.path().join("mm/new.c").exists());
        Ok(())
    }

    #[test]
    fn a_patch_cannot_reach_out_of_the_tree() -> Result<()> {
        let (dir, tree) = tree()?;
        let out = ADD.replace("mm/new.c", "../out.c");
        assert!(go(&tree, &[patch(&out)]).is_err());
        assert!(!dir.path().join("out.c").exists());
        Ok(())
    }

    #[test]
    fn a_patch_is_of_the_kernel_or_of_the_module() -> Result<()> {
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
    fn a_file_that_is_no_patch_is_refused() -> Result<()> {
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
