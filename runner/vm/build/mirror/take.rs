// SPDX-License-Identifier: GPL-2.0

//! Takes a user's tree as it is now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};

use crate::vm::build::mirror::files::{self, Files};
use crate::vm::build::mirror::link;
use crate::vm::build::mirror::record::Record;
use crate::vm::build::mirror::sync::{GRANULARITY, Known, Pair};
use crate::vm::host::cache::{self, Cache, Hold, Lock};
use crate::vm::host::key::Key;
use crate::vm::host::progress::{Task, Ui};

/// Maximum number of trees in the cache; each takes about 2.5 GB with its build directories.
const TREES_KEPT: usize = 4;

/// Passes over a tree that changes while it is copied.
const PASSES: u32 = 5;

/// Changed files that are named.
const NAMED: usize = 5;

/// A tree of the user and its mirror, which stays as it is while this value exists.
#[derive(Debug)]
pub struct Mirror {
    tree: PathBuf,
    id: String,
    /// Directory in the cache for the mirror and what is built from it.
    root: PathBuf,
    commit: Option<String>,
    record: Record,
    /// State of what is behind links that lead out of the tree, by the path of the link.
    behind: BTreeMap<String, String>,
    _lock: Lock,
    _hold: Hold,
}

/// Identifier of a tree of the user by its canonical path.
pub fn id_of_tree(tree: &Path) -> String {
    let key = Key::default().part("dir", tree.as_os_str().as_encoded_bytes());
    format!("tree-{}", key.finish())
}

/// Directory in the cache for the mirror of a tree and what is built from it.
pub fn root_of(tree: &Path, cache: &Cache) -> PathBuf {
    cache.path("trees").join(id_of_tree(tree))
}

impl Mirror {
    /// Brings the mirror of a tree, given by its canonical path, to the state of the tree at one
    /// moment. Waits for other commands that build from it.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, the tree changes all the time, or
    /// [`Interrupted`](crate::vm::host::signals::Interrupted).
    pub fn take(tree: &Path, cache: &Cache, ui: &Ui) -> Result<Self> {
        let id = id_of_tree(tree);
        let lock = cache.lock(&id, ui)?;
        let root = root_of(tree, cache);
        let hold = claim(&root, cache)?;
        let task = ui.begin("tree", &format!("reading {}", tree.display()));
        let (files, record) = bring_up_to_date(tree, &root, &task)?;
        let behind = behind(tree, &record)?;
        let commit = files.commit.as_deref();
        let commit = commit.map_or(String::new(), |commit| format!(", commit {commit}"));
        let count = record.files.len();
        task.done(&format!("{count} files of {}{commit}", tree.display()));
        Ok(Mirror {
            tree: tree.to_owned(),
            id,
            root,
            commit: files.commit,
            record,
            behind,
            _lock: lock,
            _hold: hold,
        })
    }

    /// Canonical path of the user's tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Path of the mirror.
    pub fn path(&self) -> PathBuf {
        mirror_in(&self.root)
    }

    /// Identifier of the tree.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Directory in the cache for the mirror and what is built from it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit, with `-dirty` if a tracked file differs from it, if git tracks the tree.
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Hash of the names and contents of all files for which `counts` is true.
    pub fn fingerprint(&self, counts: impl Fn(&Path) -> bool) -> String {
        let files = self.record.files.iter();
        let files = files.map(|(path, entry)| (path, &entry.content));
        let all = files.chain(&self.behind);
        let counted = all.filter(|(path, _)| counts(Path::new(path)));
        let key = counted.fold(Key::default(), |key, (path, content)| {
            key.part(path, content.as_bytes())
        });
        key.finish()
    }
}

/// Path of the mirror in the directory of a tree.
fn mirror_in(root: &Path) -> PathBuf {
    root.join("linux")
}

/// Makes the directory of a tree the newest one, and keeps it.
fn claim(root: &Path, cache: &Cache) -> Result<Hold> {
    let trees = cache.dir("trees")?;
    if !root.exists() {
        cache::keep_newest(&trees, TREES_KEPT - 1);
    }
    loop {
        cache::make_dir(&mirror_in(root))?;
        // Nothing if another command has just removed it to make room.
        if let Some(hold) = cache::hold(root)? {
            cache::touch(root)?;
            return Ok(hold);
        }
    }
}

/// Brings the mirror in `root` up to date. Returns the list of files, and the record of the mirror.
fn bring_up_to_date(tree: &Path, root: &Path, task: &Task<'_>) -> Result<(Files, Record)> {
    let mirror = mirror_in(root);
    let pair = Pair {
        tree,
        mirror: &mirror,
        granularity: GRANULARITY,
    };
    let (record_path, mark) = (root.join("files.json"), root.join("incomplete"));
    let recorded = Record::read(&record_path);
    // A run that was killed may have left files that the record does not name.
    let mut known = if recorded.is_some() && !mark.exists() {
        Known::Names
    } else {
        Known::Part
    };
    fs::write(&mark, "").map_err(|e| cache::explain(e, "cannot write", &mark))?;
    let is_first = recorded.is_none();
    let mut record = recorded.clone().unwrap_or_default();
    let mut changed = Vec::new();
    for number in 1..=PASSES {
        let files = files::list(tree)?;
        let copied = AtomicUsize::new(0);
        let pass = pair.pass(&files.paths, &record, known, &|| {
            let count = copied.fetch_add(1, Ordering::Relaxed);
            if count.is_multiple_of(1000) {
                task.note(&format!("{count} of {} files", files.paths.len()));
            }
        })?;
        record = pass.record;
        known = Known::All;
        if !pass.changed.is_empty() {
            // Until nothing has changed since: then the mirror is the tree at one moment.
            changed = pass.changed;
            if number == 1 && !is_first {
                task.line(&format!("changed since the last run: {}", named(&changed)));
            }
            continue;
        }
        if number == 1 && !is_first {
            task.line("nothing has changed since the last run");
        }
        if recorded.as_ref() != Some(&record) {
            record.write(&record_path)?;
        }
        fs::remove_file(&mark).map_err(|e| cache::explain(e, "cannot remove", &mark))?;
        tell(&files, task);
        return Ok((files, record));
    }
    bail!(
        "[tree] {} changes all the time ({}); run the command again when whatever writes there is \
         done, or let git ignore the files",
        tree.display(),
        named(&changed)
    )
}

/// Prints what a reader might not expect to be left out.
fn tell(files: &Files, task: &Task<'_>) {
    if let Some(why) = &files.no_git {
        task.line(&format!(
            "git does not know the tree, so its .gitignore files tell what is source: {why}"
        ));
    }
    if !files.left_out.is_empty() {
        task.line(&format!("left out: {}", named(&files.left_out)));
    }
}

/// The first of some paths, and how many there are.
fn named(paths: &[String]) -> String {
    let first = paths.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let rest = match paths.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", first.join(", "))
}

/// State of what is behind links that lead out of the tree.
fn behind(tree: &Path, record: &Record) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (path, entry) in &record.files {
        if !entry.is_link() {
            continue;
        }
        let full = tree.join(path);
        let target = fs::read_link(&full).map_err(|e| cache::explain(e, "cannot read", &full))?;
        let link = link::mirrored(tree, path, &target);
        if link.is_outside {
            all.insert(path.clone(), link::behind(&link.target)?);
        }
    }
    Ok(all)
}
