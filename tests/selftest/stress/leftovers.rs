// SPDX-License-Identifier: GPL-2.0

//! Targets and processes that this run, or an earlier one that was killed, may have left over.

use std::fs;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use mn_inject::injector::{control_file, files, formats};
use mn_inject::os::kernel;

/// Whether a target belongs to a stress run whose process is gone. The name contains its process
/// id.
fn is_stale(name: &str) -> bool {
    name.strip_prefix("stress.")
        .and_then(|rest| rest.split('.').next())
        .is_some_and(kernel::is_dead)
}

fn control(line: &str) -> Result<()> {
    let path = control_file();
    fs::write(&path, line).with_context(|| format!("{line:?} > {}", path.display()))
}

fn listed() -> Result<Vec<String>> {
    let path = control_file();
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let targets = formats::targets(&text)?;
    Ok(targets.into_iter().map(|target| target.name).collect())
}

/// Detaches the targets of earlier runs that were killed.
///
/// # Errors
///
/// There is another target, which may be in use: unloading the module would detach it.
pub fn remove_stale() -> Result<()> {
    for name in listed()? {
        if !is_stale(&name) {
            bail!("the target {name} is not ours, and unloading the module would detach it");
        }
        control(&format!("detach {name}"))?;
    }
    Ok(())
}

/// Detaches all targets, and checks that none is left.
pub fn detach_all() -> Result<()> {
    for name in listed()? {
        control(&format!("detach {name}"))?;
    }
    let path = files::path("targets");
    let left: Vec<_> = fs::read_dir(&path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    if !left.is_empty() {
        bail!("all targets are detached, but there is {left:?}");
    }
    Ok(())
}

/// Waits for the children of this process that have ended, and returns the process ids of those
/// that still run: empty if there are none.
pub fn children_left() -> String {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => break,
            Err(Errno::ECHILD) => return String::new(),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return format!("waiting for children failed with {errno}"),
        }
    }
    let own = std::process::id();
    let path = format!("/proc/self/task/{own}/children");
    // The file needs CONFIG_PROC_CHILDREN. Without it, return at least that there are children.
    fs::read_to_string(path).unwrap_or_else(|_| "some process".into())
}

/// Makes this process the subreaper while it exists: processes whose parent has ended become
/// children of this one.
pub struct Subreaper {
    before: bool,
}

impl Subreaper {
    /// Sets `PR_SET_CHILD_SUBREAPER`.
    pub fn begin() -> Result<Self> {
        let before = prctl::get_child_subreaper().context("PR_GET_CHILD_SUBREAPER failed")?;
        prctl::set_child_subreaper(true).context("PR_SET_CHILD_SUBREAPER failed")?;
        Ok(Subreaper { before })
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        // It cannot fail: the same call succeeded before.
        let _ = prctl::set_child_subreaper(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_of_a_dead_run_are_stale() {
        assert!(!is_stale(&format!("stress.{}.7", std::process::id())));
        assert!(is_stale("stress.4194305.7"));
        assert!(!is_stale("mn-inject.4194305-7"));
        assert!(!is_stale("4194305"));
    }
}
