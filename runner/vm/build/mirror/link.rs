// SPDX-License-Identifier: GPL-2.0

//! Symbolic links of a user's tree. One that leads out of the tree leads to the same place from the
//! mirror; what is there is read where it is.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use crate::vm::build::mirror::record::Stat;
use crate::vm::host::cache;
use crate::vm::host::key::Key;

/// Target of a link in the mirror, and whether it leads out of the tree.
pub struct Link {
    /// The target as it is written in the mirror.
    pub target: PathBuf,
    /// Whether it leads out of the tree.
    pub is_outside: bool,
}

/// The link in the mirror for the link `path` of the tree, which points to `target`.
pub fn mirrored(tree: &Path, path: &str, target: &Path) -> Link {
    let parent = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut depth = parent.components().count();
    let is_outside = target.components().any(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            false
        }
        Component::ParentDir => match depth.checked_sub(1) {
            Some(less) => {
                depth = less;
                false
            }
            None => true,
        },
        Component::CurDir => false,
        Component::RootDir | Component::Prefix(_) => true,
    });
    let target = if is_outside {
        tree.join(parent).join(target)
    } else {
        target.to_owned()
    };
    Link { target, is_outside }
}

/// State of what is behind a link that leads out of the tree: it changes with every file there,
/// except for those of a repository.
pub fn behind(target: &Path) -> Result<String> {
    let mut found = Vec::new();
    // The link may lead nowhere, which is a state like any other.
    if let Ok(meta) = fs::metadata(target) {
        let mut dirs = Vec::new();
        if meta.is_dir() {
            dirs.push(target.to_owned());
        } else {
            found.push((target.to_owned(), Stat::of(&meta)));
        }
        while let Some(dir) = dirs.pop() {
            let fail = |e| cache::explain(e, "cannot read", &dir);
            for entry in fs::read_dir(&dir).map_err(fail)? {
                let path = entry.map_err(fail)?.path();
                let meta = fs::symlink_metadata(&path)
                    .map_err(|e| cache::explain(e, "cannot read", &path))?;
                if !meta.is_dir() {
                    found.push((path, Stat::of(&meta)));
                } else if path.file_name().is_none_or(|name| name != ".git") {
                    dirs.push(path);
                }
            }
        }
    }
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let key = found.iter().fold(Key::default(), |key, (path, stat)| {
        key.part("path", path.as_os_str().as_bytes())
            .part("stat", format!("{stat:?}").as_bytes())
    });
    Ok(key.finish())
}
