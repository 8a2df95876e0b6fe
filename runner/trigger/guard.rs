// SPDX-License-Identifier: GPL-2.0

//! A process that outlives the runner where that is killed (SIGKILL), and takes away what it could
//! not: both of its ends.
//!
//! What was attached by way of the module's device goes with the runner's open files, and its
//! processes go with their parent. Left are what was attached by way of debugfs, the module where the
//! runner has loaded it, and the cgroups that it has made. The guard is told by lines on
//! its standard input that the module is the runner's (`module`), and that there is nothing to do
//! (`done`); the end of the input without that is the runner's.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::getppid;

use crate::injector;
use crate::model::MODULE_NAME;
use crate::os::cgroup;
use crate::os::kernel;
use crate::os::wait::Limit;
use crate::trigger::peer::Peer;

/// How long the processes of a killed run may take to be gone.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two attempts: nobody tells when a module or a cgroup is used no more.
const AGAIN: Duration = Duration::from_millis(10);

/// The process's own end.
pub fn main(cgroup_prefix: &str) -> Result<()> {
    prctl::set_name(c"mn-guard").context("PR_SET_NAME failed")?;
    let runner = getppid();
    // Ctrl-C and a closed terminal are for the runner, which ends in good order.
    SigSet::all()
        .thread_block()
        .context("cannot block signals")?;
    let mut told = String::new();
    io::stdin()
        .read_to_string(&mut told)
        .context("standard input")?;
    if told.ends_with("done\n") {
        return Ok(());
    }
    let is_ours = told.lines().any(|line| line == "module");
    let mut limit = Limit::new(LIMIT);
    loop {
        // Its files are closed before it is dead, and until then what it has left is not stale.
        let cleared = if kernel::is_dead(&runner.to_string()) {
            clear(is_ours, cgroup_prefix)
        } else {
            Err(anyhow!(
                "process {runner} has closed its files and is not dead"
            ))
        };
        if cleared.is_ok() || limit.is_over() {
            return cleared.context("the run was killed, and not all of it can be taken away");
        }
        std::thread::sleep(AGAIN);
    }
}

fn clear(is_ours: bool, cgroup_prefix: &str) -> Result<()> {
    cgroup::remove_stale(cgroup_prefix)?;
    if injector::is_there() {
        for name in injector::stale()? {
            let (control, line) = (injector::control_file(), injector::detach_line(&name));
            fs::write(&control, &line)
                .with_context(|| format!("\"{line}\" > {} failed", control.display()))?;
        }
    }
    if is_ours {
        let name = CString::new(MODULE_NAME).unwrap_or_default();
        match delete_module(&name, DeleteModuleFlags::O_NONBLOCK) {
            // It was killed before it had loaded it.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                return Err(errno).with_context(|| format!("cannot unload {MODULE_NAME}"));
            }
        }
    }
    Ok(())
}

/// The runner's end. Dropping it ends the guard, which then does nothing.
#[derive(Debug)]
pub struct Guard(Peer);

impl Guard {
    /// Starts it.
    pub fn start() -> Result<Self> {
        Ok(Guard(Peer::start("guard")?))
    }

    /// From now on the module is the runner's.
    pub fn guard_module(&mut self) -> Result<()> {
        self.0.say("module")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // One that is gone guards nothing any more, and does no harm either.
        let _ = self.0.say("done");
        self.0.close();
        if let Err(errno) = waitpid(self.0.pid(), None) {
            eprintln!(
                "mn-inject: cannot wait for the guard {}: {errno}",
                self.0.pid()
            );
        }
    }
}
