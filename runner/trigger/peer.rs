// SPDX-License-Identifier: GPL-2.0

//! A process that is this program again and takes commands on its standard input: the pipes to it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::os::wait::Patience;

/// Called in the process itself: sets its `comm`, which the kernel's log shows, and has it killed
/// when the thread that started it ends (`PR_SET_PDEATHSIG`), so that it never outlives the run.
pub fn introduce(name: &std::ffi::CStr) -> Result<()> {
    prctl::set_name(name).context("PR_SET_NAME failed")?;
    prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG failed")
}

/// The runner's end of the pipes. Any thread may use it, and must live as long as the process: see
/// [`introduce`].
#[derive(Debug)]
pub struct Peer {
    /// The process's name in messages.
    what: &'static str,
    child: Child,
    /// Closed to end the process.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts this program with a subcommand, which is also the process's name in messages.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub fn start(what: &'static str) -> Result<Self> {
        Self::start_with(what, &[])
    }

    /// Starts this program with a subcommand and its arguments.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
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

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// The process has ended, or [`Self::close`] was called.
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

    /// Waits for its next line, which must begin with `word`, and returns the rest of it.
    ///
    /// # Errors
    ///
    /// It is another line, or as [`Self::line`].
    pub fn answer(
        &mut self,
        word: &str,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<String> {
        let (what, pid) = (self.what, self.pid());
        match self.line(word, patience, limit)? {
            None => bail!("{what} {pid} ended where {word:?} was due"),
            Some(line) => match line.split_once(' ') {
                Some((first, rest)) if first == word => Ok(rest.to_owned()),
                _ => bail!("{what} {pid}: {line:?} where {word:?} was due"),
            },
        }
    }

    /// Waits for its next line; [`None`] if the process has ended. `word` is for messages.
    ///
    /// # Errors
    ///
    /// Each [`WaitError`](crate::os::wait::WaitError), or the line cannot be read.
    pub fn line(
        &mut self,
        word: &str,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<Option<String>> {
        let what = format!("{word:?} of {} {}", self.what, self.pid());
        patience.readable(self.output.get_ref().as_fd(), &what, limit)?;
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .with_context(|| format!("cannot read {what}"))?;
        Ok((!line.is_empty()).then(|| line.trim_end().to_owned()))
    }

    /// Closes its standard input, which tells it to end.
    pub fn close(&mut self) {
        self.input = None;
    }
}
