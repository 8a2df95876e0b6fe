// SPDX-License-Identifier: GPL-2.0

//! A process that outlives a runner that is killed (SIGKILL), and cleans up after it: both of its
//! ends.
//!
//! The kernel detaches what was attached through the module's device when the runner's files are
//! closed, and kills the runner's other processes (`PR_SET_PDEATHSIG`). The guard does the rest: it
//! detaches what was attached through debugfs, unloads the module if the runner has loaded it, and
//! removes the runner's cgroups. It reads lines on its standard input: `module` means that the
//! module is the runner's, `done` that nothing is left to do. If the input ends without `done`, the
//! runner was killed.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::getppid;

use crate::injector;
use crate::injector::{line, load};
use crate::model::MODULE_NAME;
use crate::os::cgroup;
use crate::os::kernel;
use crate::os::limit::Limit;
use crate::trigger::peer::Peer;

/// Time limit for the processes of a killed run to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Pause between two attempts: there is no event for the last user of a module or of a cgroup.
const AGAIN: Duration = Duration::from_millis(10);

/// Body of the process.
pub fn main(cgroup_prefix: &str) -> Result<()> {
    prctl::set_name(c"mn-guard").context("PR_SET_NAME failed")?;
    let runner = getppid();
    // Ctrl-C and a closed terminal end the runner, which then tells the guard to end.
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
        // Its files are closed before it is dead, and until then nothing that it left is stale.
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
            line::write_to(&control, &line)
                .with_context(|| format!("\"{line}\" > {} failed", control.display()))?;
        }
    }
    if is_ours {
        match load::unload() {
            // The runner was killed before it had loaded the module.
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
    /// Starts the process.
    pub fn start() -> Result<Self> {
        Ok(Guard(Peer::start("guard")?))
    }

    /// Makes the guard unload the module when the runner is killed. The caller must have checked
    /// that no module is loaded ([`injector::demand_absent`]).
    pub fn guard_module(&mut self) -> Result<()> {
        self.0.say("module")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A guard that has ended already guards nothing any more, and does no harm either.
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
