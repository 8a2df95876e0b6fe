// SPDX-License-Identifier: GPL-2.0

//! Processes under the control of a worker: owners of sessions, and processes to be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use mn_inject::os::limit::Limit;

use crate::stress::role::{Role, command};
use crate::stress::stacks::stacks;

/// Time limit for the end of a helper that is dropped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is controlled through its standard input. Dropping this kills it and waits for
/// it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    ended: bool,
    /// Standard input of the process, which ends when it is closed.
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts a helper, and does not wait until it is ready.
    pub fn start(role: Role) -> Result<Self> {
        let mut child = command(role, 0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a helper (this program again)")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the helper has no pipes");
        };
        Ok(Helper {
            child,
            ended: false,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    /// Process id of the helper.
    pub fn pid(&self) -> Pid {
        // Process ids are positive i32.
        Pid::from_raw(self.child.id() as i32)
    }

    /// Reads the next line from the helper. Needs no time limit: the helper ends with this process,
    /// and none of its operations takes long.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("cannot read a helper's answer")?;
        if line.is_empty() {
            bail!("helper {} ended where an answer was due", self.pid());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Writes a line to the helper.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("it was told to end")?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .context("cannot say anything to a helper")
    }

    /// Kills the helper, and does not wait for it.
    pub fn kill(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL).context("cannot kill a helper")
    }

    /// Waits until the state of the helper changes, and returns the change. `limit` is for the time
    /// in which it has no page fault; after each, `goes_on` is called.
    pub fn wait(&mut self, limit: Duration, goes_on: impl FnMut()) -> Result<WaitStatus> {
        let status = change_of(self.pid(), limit, goes_on)?;
        self.ended = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
        Ok(status)
    }
}

/// Waits until the state of a child changes. On a busy machine with a slow kernel a process may fill
/// its memory for minutes, so one that still has page faults is not stuck.
fn change_of(pid: Pid, limit: Duration, mut goes_on: impl FnMut()) -> Result<WaitStatus> {
    let mut left = Limit::new(limit);
    let mut faults = None;
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(status) => return Ok(status),
            Err(errno) => bail!("waiting for helper {pid}: {errno}"),
        }
        let now = page_faults(pid);
        if now != faults {
            faults = now;
            left = Limit::new(limit);
            goes_on();
        }
        if left.is_over() {
            bail!("helper {pid} does not change{}", stacks(&pid.to_string()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Number of page faults of a process that needed no disk (`min_flt` of `/proc/PID/stat`).
fn page_faults(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The third field follows the name, which ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(10 - 3)?.parse().ok()
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The helper is a child that has not been waited for, so its process id is still its own.
        let pid = self.pid();
        let mut result = self.kill();
        // If the helper is stopped at its exit and that stop was already waited for, it is not
        // reported again, so continue here. An error means that it is not stopped or not traced.
        let _ = ptrace::cont(pid, None);
        while result.is_ok() && !self.ended {
            result = match self.wait(PATIENCE, || {}) {
                Ok(WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => {
                    ptrace::cont(pid, None).context("cannot let it go")
                }
                result => result.map(drop),
            };
        }
        if let Err(error) = result {
            eprintln!("mn-selftest: helper {pid}: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Result of a wait for a shell with this script, and the number of times that it went on.
    fn waited_for(script: &str, limit: Duration) -> (Result<WaitStatus>, u64) {
        let mut shell = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let mut went_on = 0;
        let pid = Pid::from_raw(shell.id() as i32);
        let result = change_of(pid, limit, || went_on += 1);
        if result.is_err() {
            shell.kill().unwrap();
        }
        // Fails if it was waited for above.
        drop(shell.wait());
        (result, went_on)
    }

    #[test]
    fn a_process_that_has_page_faults_is_not_stuck() {
        // After each fork, the shell has page faults where it writes.
        let forks = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; (:); done";
        let (status, went_on) = waited_for(forks, Duration::from_millis(600));
        assert!(matches!(status, Ok(WaitStatus::Exited(_, 0))), "{status:?}");
        assert!(went_on > 5, "{went_on}");
    }

    #[test]
    fn a_process_that_stands_still_is_found() {
        let (status, _) = waited_for("exec sleep 100", Duration::from_millis(200));
        let error = status.unwrap_err().to_string();
        assert!(error.contains("does not change"), "{error}");
    }
}
