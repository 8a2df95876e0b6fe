// SPDX-License-Identifier: GPL-2.0

//! The files of a user's tree that are its source.
//!
//! If git tracks the tree: all that git tracks, and all that it does not ignore. Else: all that the
//! `.gitignore` files in the tree, which are part of the kernel's source, do not ignore. The
//! products by which kbuild sees that a tree was built in place never are source, even if they
//! were committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::vm::build::mirror::git;
use crate::vm::host::cache;

/// The source files of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Paths relative to the tree, sorted. Some may not exist.
    pub paths: Vec<String>,
    /// Paths that were left out though nothing ignores them: repositories in the tree, and names
    /// that are not UTF-8, which no makefile of the kernel has.
    pub left_out: Vec<String>,
    /// The commit, if git tracks the tree; see [`git::commit`].
    pub commit: Option<String>,
    /// Why git could not be asked, though the tree seems to be one of git.
    pub no_git: Option<String>,
}

/// Lists the source files of a tree.
///
/// # Errors
///
/// git failed, or a directory cannot be read.
pub fn list(tree: &Path) -> Result<Files> {
    let (is_tracked, no_git) = match git::tracks(tree) {
        Ok(tracked) => (tracked, None),
        Err(error) => {
            let seems = fs::symlink_metadata(tree.join(".git")).is_ok();
            (false, seems.then(|| format!("{error:#}")))
        }
    };
    let (paths, commit) = if is_tracked {
        // At the same time: each reads the whole tree.
        std::thread::scope(|scope| {
            let commit = scope.spawn(|| git::commit(tree));
            let paths = git::files(tree)?;
            let commit = commit
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that runs git panicked")))?;
            anyhow::Ok((paths, commit))
        })?
    } else {
        (walk(tree)?, None)
    };
    let mut files = Files {
        commit,
        no_git,
        ..Files::default()
    };
    for path in paths {
        match path.to_str() {
            Some(path) if is_product(path) => {}
            Some(path) if !path.ends_with('/') => files.paths.push(path.to_owned()),
            _ => files.left_out.push(path.display().to_string()),
        }
    }
    files.paths.sort_unstable();
    // An unmerged file is listed once for each side.
    files.paths.dedup();
    Ok(files)
}

/// Whether kbuild takes a tree with this path for one that was built in place, or would read it
/// instead of what it has generated itself.
fn is_product(path: &str) -> bool {
    let generated = path
        .strip_prefix("arch/")
        .and_then(|path| path.split_once('/'))
        .is_some_and(|(_, path)| path.starts_with("include/generated/"));
    path == ".config"
        || path.starts_with("include/config/")
        || path.starts_with("include/generated/")
        || generated
}

/// A directory to be walked.
struct Dir {
    /// Path relative to the tree.
    path: PathBuf,
    /// The `.gitignore` files from the top to its parent.
    rules: Vec<Rc<Gitignore>>,
}

/// Lists all files that no `.gitignore` of the tree ignores.
fn walk(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![Dir {
        path: PathBuf::new(),
        rules: Vec::new(),
    }];
    while let Some(Dir { path, mut rules }) = dirs.pop() {
        let full = tree.join(&path);
        let fail = |e| cache::explain(e, "cannot read", &full);
        let entries = fs::read_dir(&full)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(fail)?;
        let has = |name: &str| entries.iter().any(|entry| entry.file_name() == name);
        let is_top = path.as_os_str().is_empty();
        if has(".git") && !is_top {
            found.push(path.join(""));
            continue;
        }
        if has(".gitignore") {
            rules.push(Rc::new(rules_of(&full, is_top)?));
        }
        for entry in &entries {
            let name = entry.file_name();
            let is_dir = entry.file_type().map_err(fail)?.is_dir();
            if (is_top && name == ".git") || is_ignored(&rules, &entry.path(), is_dir) {
                continue;
            }
            let path = path.join(name);
            if is_dir {
                let rules = rules.clone();
                dirs.push(Dir { path, rules });
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Reads the `.gitignore` of a directory.
fn rules_of(dir: &Path, is_top: bool) -> Result<Gitignore> {
    let text = cache::read(&dir.join(".gitignore"))?;
    let mut builder = GitignoreBuilder::new(dir);
    for line in String::from_utf8_lossy(&text).lines() {
        // Debian's sources ignore everything at the top, as its repository has none of it.
        if is_top && ["*", "/*", "/**"].contains(&line.trim()) {
            continue;
        }
        // A pattern that cannot be used matches nothing, as in git.
        _ = builder.add_line(None, line);
    }
    Ok(builder.build()?)
}

/// Whether the last rule that matches ignores a path; those of the deepest directory come last.
fn is_ignored(rules: &[Rc<Gitignore>], path: &Path, is_dir: bool) -> bool {
    let matched = rules.iter().rev().map(|rules| rules.matched(path, is_dir));
    matched
        .map(|matched| match matched {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        })
        .find_map(|decided| decided)
        .unwrap_or(false)
}
