// SPDX-License-Identifier: GPL-2.0

//! A process that outlives a runner that is killed (SIGKILL), and cleans up after it: both of its
//! ends.
//!
//! The kernel detaches what was attached through the module's device when the runner's files are
//! closed, and kills the runner's other processes (`PR_SET_PDEATHSIG`). The guard does the rest: it
//! detaches what was attached through debugfs, unloads the module if the runner has loaded it,
//! removes the runner's cgroups, and gives the kernel's settings the values back that they had. It
//! reads lines on its standard input: `runner PID` comes first, `setting INDEX VALUE` is such a
//! value, `module` means that the module is the runner's, `done` that nothing is left to do. If the
//! input ends without `done`, the runner was killed.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::getpid;

use crate::injector;
use crate::injector::{line, load};
use crate::model::MODULE_NAME;
use crate::os::cgroup;
use crate::os::kept::Setting;
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
    // Not the parent: that is another process already if the runner was killed early. Before it has
    // said who it is, it has changed nothing.
    let Some(runner) = told.lines().find_map(|line| line.strip_prefix("runner ")) else {
        return Ok(());
    };
    let is_ours = told.lines().any(|line| line == "module");
    let settings: Vec<_> = told.lines().filter_map(setting).collect();
    let mut limit = Limit::new(LIMIT);
    loop {
        // Its files are closed before it is dead, and until then nothing that it left is stale.
        let cleared = if kernel::is_dead(runner) {
            clear(is_ours, cgroup_prefix).and_then(|()| restore(&settings))
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

/// A setting with the value that it had, from a line.
fn setting(line: &str) -> Option<(Setting, &str)> {
    let (index, value) = line.strip_prefix("setting ")?.split_once(' ')?;
    let setting = Setting::ALL.get(index.parse::<usize>().ok()?)?;
    Some((*setting, value))
}

/// Gives the settings their values back. One that was not changed is not written.
fn restore(settings: &[(Setting, &str)]) -> Result<()> {
    settings
        .iter()
        .filter(|(setting, value)| setting.value().is_ok_and(|now| now != *value))
        .try_for_each(|(setting, value)| setting.set(value))
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
        let mut guard = Peer::start("guard")?;
        guard.say(&format!("runner {}", getpid()))?;
        for (index, setting) in Setting::ALL.iter().enumerate() {
            // A kernel need not have all of them.
            if let Ok(value) = setting.value() {
                guard.say(&format!("setting {index} {value}"))?;
            }
        }
        Ok(Guard(guard))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_as_it_was_told() {
        for (index, expected) in Setting::ALL.iter().enumerate() {
            let line = format!("setting {index} 0x0007");
            assert_eq!(setting(&line), Some((*expected, "0x0007")));
        }
        for line in [
            "module",
            "setting",
            "setting 0",
            "setting 7 1",
            "setting x 1",
        ] {
            assert_eq!(setting(line), None, "{line}");
        }
    }
}
