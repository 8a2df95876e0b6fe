// SPDX-License-Identifier: GPL-2.0

//! A process that is this program again and does what its standard input says: the pipes to it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::os::wait::{Patience as _, Waiter};

/// In the process itself: gives it the name that the kernel's log has for it, and lets it end with
/// its parent, so that nothing of the runner stays whatever becomes of it.
pub fn introduce(name: &std::ffi::CStr) -> Result<()> {
    prctl::set_name(name).context("PR_SET_NAME failed")?;
    prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG failed")
}

/// The runner's end of the pipes.
#[derive(Debug)]
pub struct Peer {
    /// What it is, for messages.
    what: &'static str,
    child: Child,
    /// Closed to end the process.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts this program with a subcommand, which is what the process is called in messages.
    pub fn start(what: &'static str) -> Result<Self> {
        Self::start_with(what, &[])
    }

    /// The same with arguments.
    pub fn start_with(what: &'static str, arguments: &[String]) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(what)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {what} process (this program again)"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the {what} process has no pipes");
        };
        Ok(Peer {
            what,
            child,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let (what, pid) = (self.what, self.child.id());
        let Some(input) = &mut self.input else {
            bail!("{what} {pid} was told to end already");
        };
        // One write(2) for one line.
        input
            .write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("cannot say {line:?} to {what} {pid}"))
    }

    /// The rest of its next line, which must begin with `word`.
    pub fn answer(&mut self, word: &str, waiter: &Waiter, limit: Duration) -> Result<String> {
        let (what, pid) = (self.what, self.pid());
        match self.line(word, waiter, limit)? {
            None => bail!("{what} {pid} ended where {word:?} was due"),
            Some(line) => match line.split_once(' ') {
                Some((first, rest)) if first == word => Ok(rest.to_owned()),
                _ => bail!("{what} {pid}: {line:?} where {word:?} was due"),
            },
        }
    }

    /// Its next line; nothing where it has ended. `word` is for messages.
    pub fn line(&mut self, word: &str, waiter: &Waiter, limit: Duration) -> Result<Option<String>> {
        let what = format!("{word:?} of {} {}", self.what, self.pid());
        waiter.readable(self.output.get_ref().as_fd(), &what, limit)?;
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .with_context(|| format!("cannot read {what}"))?;
        Ok((!line.is_empty()).then(|| line.trim_end().to_owned()))
    }

    /// Tells it to end.
    pub fn close(&mut self) {
        self.input = None;
    }
}
