// SPDX-License-Identifier: GPL-2.0

//! A process that does what a worker tells it, as an owner of a session or for its death.

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

/// How long a helper that is no longer needed may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does what it is told on its standard input. Dropping it ends it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    ended: bool,
    /// Closed to end it.
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts one. Nothing is waited for.
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

    /// Its process id.
    pub fn pid(&self) -> Pid {
        // Process ids are positive i32.
        Pid::from_raw(self.child.id() as i32)
    }

    /// Its next line. It is a program that ends with us, and nothing that it does takes long.
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

    /// Says a line to it.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("it was told to end")?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .context("cannot say anything to a helper")
    }

    /// Kills it. It is still to be waited for.
    pub fn kill(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL).context("cannot kill a helper")
    }

    /// Waits until its state changes, and takes the change.
    pub fn wait(&mut self, limit: Duration) -> Result<WaitStatus> {
        let mut limit = Limit::new(limit);
        loop {
            match waitpid(self.pid(), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(status) => {
                    self.ended =
                        matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
                    return Ok(status);
                }
                Err(errno) => bail!("waiting for helper {}: {errno}", self.pid()),
            }
            if limit.is_over() {
                bail!(
                    "helper {} does not change{}",
                    self.pid(),
                    stacks(&self.pid().to_string())
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // All of this is about our own child, which has not been waited for.
        let pid = self.pid();
        let mut result = self.kill();
        // If it is held on its way out, that stop was waited for and does not come again. Where it
        // is not, or nobody traces it, there is nothing to let go.
        let _ = ptrace::cont(pid, None);
        while result.is_ok() && !self.ended {
            result = match self.wait(PATIENCE) {
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
