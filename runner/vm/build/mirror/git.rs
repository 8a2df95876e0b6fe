// SPDX-License-Identifier: GPL-2.0

//! Questions to git about a user's tree. Nothing here writes to its repository, not even the index,
//! or takes a lock in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::vm::build::stage;

/// Whether git tracks the tree: its top `Kconfig`. A tarball that was unpacked in a repository of
/// something else is not tracked.
///
/// # Errors
///
/// git cannot read the repository, or there is none.
pub fn tracks(tree: &Path) -> Result<bool> {
    Ok(!stage::bytes(git(tree).args(["ls-files", "-z", "--", "Kconfig"]))?.is_empty())
}

/// Files that git tracks or does not ignore, relative to the tree. Some may not exist. The path of a
/// repository in the tree ends with a slash.
pub fn files(tree: &Path) -> Result<Vec<PathBuf>> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let list = stage::bytes(git(tree).args(list))?;
    let paths = list.split(|byte| *byte == 0);
    Ok(paths
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect())
}

/// The commit that is checked out, with `-dirty` if a tracked file differs from it; nothing before
/// the first commit.
pub fn commit(tree: &Path) -> Result<Option<String>> {
    let Ok(head) = stage::output(git(tree).args(["rev-parse", "--verify", "HEAD"])) else {
        return Ok(None);
    };
    // As scripts/setlocalversion does.
    let changes = ["status", "-uno", "--porcelain", "--no-renames", "--", "."];
    let is_clean = stage::bytes(git(tree).args(changes))?.is_empty();
    let dirty = if is_clean { "" } else { "-dirty" };
    Ok(Some(format!("{}{dirty}", head.trim())))
}

/// git in a tree.
fn git(tree: &Path) -> Command {
    let mut git = Command::new("git");
    // `git bisect run`, hooks and the like set variables that name another repository or index.
    stage::clean_environment(&mut git);
    // The user's own list of ignored files may be there.
    if let Some(dir) = std::env::var_os("XDG_CONFIG_HOME") {
        git.env("XDG_CONFIG_HOME", dir);
    }
    git.env("GIT_OPTIONAL_LOCKS", "0")
        // It would be started, and write to the repository.
        .args(["-c", "core.fsmonitor=false"])
        // The tree of another user: its makefiles are executed in any case.
        .args(["-c", "safe.directory=*"])
        .current_dir(tree);
    git
}
