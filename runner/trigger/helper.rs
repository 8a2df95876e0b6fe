// SPDX-License-Identifier: GPL-2.0

//! A process that makes system calls for the runner which may never return, kill the caller, or
//! leave something behind in its task: both of its ends.
//!
//! It takes commands as lines on its standard input:
//!
//! - `write PATH LINE` is answered by `done ERRNO` (0 or negative),
//! - `reap PID`, which is `process_mrelease(2)`, is answered by `done ERRNO`,
//! - `perform OPERATION PID START END` (hexadecimal), one of [`Remote`], is answered by `done ERRNO`,
//! - the end of the input ends the process.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::injector::line;
use crate::os::sys;
use crate::os::wait::{Patience, WaitError};
use crate::trigger::peer;
use crate::trigger::peer::Peer;
use crate::trigger::remote::Remote;

/// Body of the process. Returns at the end of its input.
pub fn main() -> Result<()> {
    peer::introduce(c"mn-helper")?;
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut command = String::new();
    loop {
        command.clear();
        if input.read_line(&mut command).context("standard input")? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = command.trim_end().splitn(3, ' ').collect();
        let answer = match words[..] {
            ["write", path, text] => done(&line::write_to(Path::new(path), text)),
            ["reap", pid] => done(&reap(pid)),
            ["perform", remote, rest] => done(&perform(remote, rest)?),
            _ => bail!("{command:?} is no command for a helper"),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
}

fn done<T>(result: &io::Result<T>) -> String {
    format!("done {}", line::code(result))
}

fn reap(pid: &str) -> io::Result<()> {
    let pid = pid.parse().map_err(io::Error::other)?;
    let pidfd = sys::pidfd_open(Pid::from_raw(pid))?;
    Ok(sys::process_mrelease(&pidfd)?)
}

/// Carries out an operation on the process and the addresses in `words`.
fn perform(remote: &str, words: &str) -> Result<io::Result<()>> {
    let remote: Remote = remote.parse().map_err(anyhow::Error::msg)?;
    let words: Vec<&str> = words.split(' ').collect();
    let [pid, start, end] = words[..] else {
        bail!("{words:?} are no process and addresses");
    };
    let address = |text| u64::from_str_radix(text, 16).context("an address");
    let pid = Pid::from_raw(pid.parse().context("a process id")?);
    Ok(remote.perform(pid, (address(start)?, address(end)?)))
}

/// Outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The system call returned: 0 or a negative errno.
    Done(i32),
    /// The call did not return within the limit, and perhaps never will.
    Waits,
    /// The call killed the process.
    Killed,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Done(0) => f.write_str("done"),
            Answer::Done(errno) => {
                let name = Errno::from_raw(errno.saturating_neg());
                write!(f, "{name:?}")
            }
            Answer::Waits => f.write_str("waits forever"),
            Answer::Killed => f.write_str("the caller is killed"),
        }
    }
}

/// The runner's end. If the process never returns from a call or is killed by it, it is left
/// behind, and the next command starts another one.
#[derive(Debug)]
pub struct Helper {
    peer: Peer,
    is_stuck: bool,
}

impl Helper {
    /// Starts a process.
    pub fn start() -> Result<Self> {
        Ok(Helper {
            peer: Peer::start("helper")?,
            is_stuck: false,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.peer.pid()
    }

    /// Writes a line to a file with one `write(2)`.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`].
    pub fn write(
        &mut self,
        path: &Path,
        line: &str,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<Answer> {
        self.ask(&format!("write {} {line}", path.display()), patience, limit)
    }

    /// Starts the `write(2)` of a line to a file without waiting for it. The caller must call
    /// [`Self::answer`] next.
    ///
    /// # Errors
    ///
    /// The command cannot be given.
    pub fn begin_write(&mut self, path: &Path, line: &str) -> Result<()> {
        self.renew()?;
        self.peer.say(&format!("write {} {line}", path.display()))
    }

    /// Starts `process_mrelease(2)` of a dying process without waiting for it. The caller must
    /// call [`Self::answer`] next.
    ///
    /// # Errors
    ///
    /// The command cannot be given.
    pub fn reap(&mut self, pid: Pid) -> Result<()> {
        self.renew()?;
        self.peer.say(&format!("reap {pid}"))
    }

    /// Carries out an operation on these addresses of a process.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`].
    pub fn perform(
        &mut self,
        remote: Remote,
        pid: Pid,
        (start, end): (u64, u64),
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<Answer> {
        let command = format!("perform {remote} {pid} {start:x} {end:x}");
        self.ask(&command, patience, limit)
    }

    fn ask(&mut self, command: &str, patience: &dyn Patience, limit: Duration) -> Result<Answer> {
        self.renew()?;
        self.peer.say(command)?;
        self.answer(patience, limit)
    }

    /// Waits for the outcome of the last command.
    ///
    /// # Errors
    ///
    /// The wait fails for another reason than its limit, or the answer is none of the documented
    /// ones.
    pub fn answer(&mut self, patience: &dyn Patience, limit: Duration) -> Result<Answer> {
        let answer = match self.peer.line("done", patience, limit) {
            Ok(Some(line)) => match line.split_once(' ') {
                Some(("done", errno)) => {
                    Answer::Done(errno.parse().with_context(|| format!("helper: {line:?}"))?)
                }
                _ => bail!("helper {}: {line:?} is no answer", self.pid()),
            },
            Ok(None) => Answer::Killed,
            Err(error) if is_deadline(&error) => Answer::Waits,
            Err(error) => return Err(error),
        };
        self.is_stuck = answer == Answer::Waits || answer == Answer::Killed;
        Ok(answer)
    }

    /// Starts another process if this one is stuck or dead.
    fn renew(&mut self) -> Result<()> {
        if self.is_stuck {
            *self = Helper::start()?;
        }
        Ok(())
    }
}

fn is_deadline(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(WaitError::Deadline { .. }))
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.peer.close();
        let pid = self.pid();
        if self.is_stuck {
            // It dies as soon as it returns from the kernel, which may be never: no wait for it.
            let _ = kill(pid, Signal::SIGKILL);
            return;
        }
        if let Err(errno) = waitpid(pid, None) {
            eprintln!("mn-inject: cannot wait for helper {pid}: {errno}");
        }
    }
}
