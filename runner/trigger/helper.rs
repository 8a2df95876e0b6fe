// SPDX-License-Identifier: GPL-2.0

//! A process that makes calls for the runner that may wait for ever, kill the caller, or leave
//! something behind in its task: both of its ends.
//!
//! It is told what to do by lines on its standard input:
//!
//! - `write PATH LINE` is answered by `done ERRNO` (0 or negative),
//! - `read PATH` is answered by `text LINE`, the first line of the file, or by `done ERRNO`,
//! - `reap PID`, which is `process_mrelease(2)`, is answered by `done ERRNO`,
//! - the end of the input ends the process.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::os::sys;
use crate::os::wait::{WaitError, Waiter};
use crate::trigger::peer;
use crate::trigger::peer::Peer;

/// The process's own end. Returns at the end of its input.
pub fn main() -> Result<()> {
    peer::introduce(c"mn-helper")?;
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line).context("standard input")? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.trim_end().splitn(3, ' ').collect();
        let answer = match words[..] {
            ["write", path, text] => done(write(path, text)),
            ["read", path] => match fs::read_to_string(path) {
                Ok(text) => format!("text {}", text.lines().next().unwrap_or_default()),
                Err(error) => done(Err(error)),
            },
            ["reap", pid] => done(reap(pid)),
            _ => bail!("{line:?} is no command for a helper"),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
}

fn done(result: io::Result<()>) -> String {
    let errno = match result {
        Ok(()) => 0,
        Err(error) => -error.raw_os_error().unwrap_or(Errno::EIO as i32),
    };
    format!("done {errno}")
}

fn write(path: &str, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    // One write(2) is one line.
    match file.write(text.as_bytes())? {
        count if count == text.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn reap(pid: &str) -> io::Result<()> {
    let pid = pid.parse().map_err(io::Error::other)?;
    let pidfd = sys::pidfd_open(Pid::from_raw(pid))?;
    Ok(sys::process_mrelease(&pidfd)?)
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It returned: 0 or a negative errno.
    Done(i32),
    /// What was read.
    Text(String),
    /// It did not return within the limit, and perhaps never will.
    Waits,
    /// The process was killed by it.
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
            Answer::Text(text) => f.write_str(text),
            Answer::Waits => f.write_str("waits for ever"),
            Answer::Killed => f.write_str("the caller is killed"),
        }
    }
}

/// The runner's end. A process that waits for ever is left behind, and another one started.
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

    /// Lets it write a line to a file with one write(2).
    pub fn write(
        &mut self,
        path: &Path,
        line: &str,
        waiter: &Waiter,
        limit: Duration,
    ) -> Result<Answer> {
        self.ask(&format!("write {} {line}", path.display()), waiter, limit)
    }

    /// Lets it read the first line of a file.
    pub fn read(&mut self, path: &Path, waiter: &Waiter, limit: Duration) -> Result<Answer> {
        self.ask(&format!("read {}", path.display()), waiter, limit)
    }

    /// Lets it reap a dying process, and waits for nothing: [`Self::answer`] follows.
    pub fn reap(&mut self, pid: Pid) -> Result<()> {
        self.renew()?;
        self.peer.say(&format!("reap {pid}"))
    }

    fn ask(&mut self, command: &str, waiter: &Waiter, limit: Duration) -> Result<Answer> {
        self.renew()?;
        self.peer.say(command)?;
        self.answer(waiter, limit)
    }

    /// What came of what it was told last.
    pub fn answer(&mut self, waiter: &Waiter, limit: Duration) -> Result<Answer> {
        let answer = match self.peer.line("done", waiter, limit) {
            Ok(Some(line)) => match line.split_once(' ') {
                Some(("done", errno)) => {
                    Answer::Done(errno.parse().with_context(|| format!("helper: {line:?}"))?)
                }
                Some(("text", text)) => Answer::Text(text.to_owned()),
                _ => bail!("helper {}: {line:?} is no answer", self.pid()),
            },
            Ok(None) => Answer::Killed,
            Err(error) if is_deadline(&error) => Answer::Waits,
            Err(error) => return Err(error),
        };
        self.is_stuck = answer == Answer::Waits || answer == Answer::Killed;
        Ok(answer)
    }

    /// Another process, where this one is of no use any more.
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
            // It ends as soon as the kernel lets it; nobody can wait for that.
            let _ = kill(pid, Signal::SIGKILL);
            return;
        }
        if let Err(errno) = waitpid(pid, None) {
            eprintln!("mn-inject: cannot wait for helper {pid}: {errno}");
        }
    }
}
