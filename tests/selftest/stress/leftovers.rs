// SPDX-License-Identifier: GPL-2.0

//! What a run, or an earlier one that was killed, may have left: targets and processes.

use std::fs;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use mn_inject::injector::{control_file, files, formats};
use mn_inject::os::kernel;

/// Whether the process that attached it is gone, for a target of an earlier run that was killed.
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

/// Detaches what an earlier run left because it was killed. Everything else is somebody's, and
/// would be lost when the module is unloaded.
pub fn remove_stale() -> Result<()> {
    for name in listed()? {
        if !is_stale(&name) {
            bail!("the target {name} is not ours, and unloading the module would detach it");
        }
        control(&format!("detach {name}"))?;
    }
    Ok(())
}

/// Detaches everything that is left, and looks that nothing is then.
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

/// Which of our children still run, now that none should. Waits for those that have ended.
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
    // An option of the kernel; without it at least that somebody is there.
    fs::read_to_string(path).unwrap_or_else(|_| "some process".into())
}

/// Processes whose parent has ended become our children while this exists.
pub struct Subreaper {
    before: bool,
}

impl Subreaper {
    /// Begins.
    pub fn begin() -> Result<Self> {
        let before = prctl::get_child_subreaper().context("PR_GET_CHILD_SUBREAPER failed")?;
        prctl::set_child_subreaper(true).context("PR_SET_CHILD_SUBREAPER failed")?;
        Ok(Subreaper { before })
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        // It was set by the same call before.
        let _ = prctl::set_child_subreaper(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_left_is_stale() {
        assert!(!is_stale(&format!("stress.{}.7", std::process::id())));
        assert!(is_stale("stress.4194305.7"));
        assert!(!is_stale("mn-inject.4194305-7"));
        assert!(!is_stale("4194305"));
    }
}
