// SPDX-License-Identifier: GPL-2.0

//! The subject: the throw-away process whose address space a scenario works on. Both of its ends.
//!
//! It is this program again (`mn-inject subject`), so it has no libraries, and an address space
//! that nothing else uses. It takes commands as lines on its standard input:
//!
//! - `prepare OPERATION PLACE FILLED` is answered by `ready START END CALLER CHILD`: the addresses,
//!   hexadecimal, the thread that the operation makes call the notifiers, and a child or 0,
//! - `act` is answered by `done ERRNO` (0 or negative),
//! - `write PATH LINE` opens the file, writes the line, keeps the file open, and is answered by
//!   `done ERRNO`,
//! - `execute` is answered by `done 0`, and then the process executes this program again,
//! - the end of the input ends the process.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::injector::line;
use crate::os::wait::Patience;
use crate::trigger::operation::Work;
use crate::trigger::peer;
use crate::trigger::peer::Peer;
use crate::trigger::prepared::Prepared;

/// Subcommand of this program that is the process, and its name in messages.
const COMMAND: &str = "subject";

/// Body of the process. Returns at the end of its input.
pub fn main() -> Result<()> {
    peer::introduce(c"mn-subject")?;
    // A page that was touched on another processor may still be in that one's batch for the LRU
    // lists, where MADV_PAGEOUT does not find it.
    stay_on_this_cpu().context("sched_setaffinity failed")?;

    let mut prepared = None;
    let mut kept = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut command = String::new();
    loop {
        command.clear();
        if input.read_line(&mut command).context("standard input")? == 0 {
            return Ok(());
        }
        match command.trim_end().split_once(' ') {
            Some(("prepare", words)) => {
                let work: Work = words.parse().map_err(anyhow::Error::msg)?;
                let ready = Prepared::new(work)
                    .with_context(|| format!("cannot set up the memory for {work}"))?;
                let (start, end) = ready.watched();
                let caller = ready.caller().unwrap_or(std::process::id() as i32);
                let child = ready.child().map_or(0, Pid::as_raw);
                prepared = Some(ready);
                writeln!(output, "ready {start:x} {end:x} {caller} {child}")?;
            }
            None if command.trim_end() == "act" => {
                let prepared = prepared.as_mut().context("\"act\" before \"prepare\"")?;
                let errno = match prepared.act() {
                    Ok(()) => 0,
                    Err(errno) => -(errno as i32),
                };
                writeln!(output, "done {errno}")?;
            }
            Some(("write", rest)) => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let written = line::write_to(Path::new(path), text);
                writeln!(output, "done {}", line::code(&written))?;
                kept.extend(written);
            }
            None if command.trim_end() == "execute" => {
                // Answered first: the next line on the input is for the new program.
                writeln!(output, "done 0")?;
                output.flush()?;
                return Err(Command::new("/proc/self/exe").arg(COMMAND).exec())
                    .context("cannot execute this program again");
            }
            _ => bail!("{command:?} is no command for a subject"),
        }
        output.flush()?;
    }
}

fn stay_on_this_cpu() -> nix::Result<()> {
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    sched_setaffinity(Pid::from_raw(0), &here)
}

/// The runner's end. Dropping it ends the process and waits for it.
#[derive(Debug)]
pub struct Subject {
    peer: Peer,
    watched: (u64, u64),
    caller: i32,
    child: i32,
    ended: bool,
}

impl Subject {
    /// Starts a process that sets up the memory for `work`.
    ///
    /// # Errors
    ///
    /// The process cannot be started, or does not answer within `limit`.
    pub fn start(work: impl Into<Work>, patience: &dyn Patience, limit: Duration) -> Result<Self> {
        let mut subject = Subject {
            peer: Peer::start(COMMAND)?,
            watched: (0, 0),
            caller: 0,
            child: 0,
            ended: false,
        };
        subject.prepare(work, patience, limit)?;
        Ok(subject)
    }

    /// Sets up the memory for another operation in the process, in place of what it had.
    ///
    /// # Errors
    ///
    /// The process does not answer within `limit`.
    pub fn prepare(
        &mut self,
        work: impl Into<Work>,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<()> {
        self.peer.say(&format!("prepare {}", work.into()))?;
        let answer = self.peer.answer("ready", patience, limit)?;
        let fields: Vec<&str> = answer.split(' ').collect();
        let [start, end, caller, child] = fields[..] else {
            bail!("subject {}: \"ready {answer}\"", self.pid());
        };
        let address =
            |text| u64::from_str_radix(text, 16).with_context(|| format!("address {text:?}"));
        self.watched = (address(start)?, address(end)?);
        let number = |text: &str| text.parse().with_context(|| format!("process {text:?}"));
        self.caller = number(caller)?;
        self.child = number(child)?;
        Ok(())
    }

    /// Executes this program again in the process (`execve(2)`), which then sets up the memory for
    /// `work`.
    ///
    /// # Errors
    ///
    /// The process does not answer within `limit`.
    pub fn execute(
        &mut self,
        work: impl Into<Work>,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<()> {
        self.peer.say("execute")?;
        self.acted(patience, limit)?;
        self.prepare(work, patience, limit)
    }

    /// Writes a line to a file, in the process, which then keeps the file open. Returns 0 or a
    /// negative errno.
    ///
    /// # Errors
    ///
    /// The process does not answer within `limit`.
    pub fn write_to(
        &mut self,
        path: &Path,
        line: &str,
        patience: &dyn Patience,
        limit: Duration,
    ) -> Result<i32> {
        self.peer.say(&format!("write {} {line}", path.display()))?;
        self.acted(patience, limit)
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.peer.pid()
    }

    /// The addresses that its operation works on.
    pub fn watched(&self) -> (u64, u64) {
        self.watched
    }

    /// The thread that its operation makes call the notifiers.
    pub fn caller(&self) -> i32 {
        self.caller
    }

    /// Its child, which shares its memory and has executed nothing; 0 if it has none.
    pub fn child(&self) -> i32 {
        self.child
    }

    /// Its `comm`, as the kernel's log shows it.
    ///
    /// # Errors
    ///
    /// `/proc/PID/comm` cannot be read.
    pub fn comm(&self) -> Result<String> {
        let path = format!("/proc/{}/comm", self.pid());
        let comm = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(comm.trim_end_matches('\n').to_owned())
    }

    /// Carries out the operation in the process. Returns 0 or a negative errno.
    ///
    /// # Errors
    ///
    /// The process does not answer within `limit`.
    pub fn act(&mut self, patience: &dyn Patience, limit: Duration) -> Result<i32> {
        self.peer.say("act")?;
        self.acted(patience, limit)
    }

    /// Waits for the operation that was started, and returns 0 or a negative errno.
    ///
    /// # Errors
    ///
    /// The process does not answer within `limit`.
    pub fn acted(&mut self, patience: &dyn Patience, limit: Duration) -> Result<i32> {
        let answer = self.peer.answer("done", patience, limit)?;
        answer
            .parse()
            .with_context(|| format!("subject {}: \"done {answer}\"", self.pid()))
    }

    /// Starts the operation in the process without waiting for it: either the process dies in it,
    /// or [`Self::acted`] follows.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn act_and_die(&mut self) -> Result<()> {
        self.peer.say("act")
    }

    /// Ends the process in good order, with its own children, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`Self::end`].
    pub fn finish(mut self, patience: &dyn Patience, limit: Duration) -> Result<()> {
        self.end(patience, limit)
    }

    /// Lets the process end in good order. The caller must call [`Self::end`] afterwards.
    pub fn begin_to_end(&mut self) {
        self.peer.close();
    }

    /// [`Self::finish`] for a caller that still needs the process id.
    ///
    /// # Errors
    ///
    /// The process does not end within `limit`, or with another status than 0.
    pub fn end(&mut self, patience: &dyn Patience, limit: Duration) -> Result<()> {
        self.peer.close();
        let what = format!("the end of subject {}", self.pid());
        let status = patience.child(self.pid(), &what, limit)?;
        // It has been waited for: nothing is left to do for `drop`.
        self.ended = true;
        match status {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => bail!(
                "subject {} was to end by itself, but: {status:?}",
                self.pid()
            ),
        }
    }

    /// Leaves the process alone: it waits in the kernel forever, or must not end.
    pub fn abandon(mut self) {
        self.ended = true;
    }

    /// Makes the process stop when it exits, however it dies, with its address space still whole
    /// (`PTRACE_EVENT_EXIT`). The calling thread becomes its tracer.
    ///
    /// # Errors
    ///
    /// The process cannot be traced.
    pub fn hold_at_exit(&self) -> Result<()> {
        let options = ptrace::Options::PTRACE_O_TRACEEXIT | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::seize(self.pid(), options)
            .with_context(|| format!("cannot trace subject {}", self.pid()))
    }

    /// Kills the process; after [`Self::hold_at_exit`] it then stops while it exits.
    ///
    /// # Errors
    ///
    /// The process has been waited for.
    pub fn kill(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL)
            .with_context(|| format!("cannot kill subject {}", self.pid()))
    }

    /// Waits until the dying process stops at its exit. The caller must have called
    /// [`Self::hold_at_exit`].
    ///
    /// # Errors
    ///
    /// It does not stop within `limit`, or changes its state in another way.
    pub fn wait_held(&self, patience: &dyn Patience, limit: Duration) -> Result<()> {
        let what = format!("the death of subject {}", self.pid());
        match patience.child(self.pid(), &what, limit)? {
            WaitStatus::PtraceEvent(_, _, event)
                if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 =>
            {
                Ok(())
            }
            status => bail!(
                "subject {} was to stop on its way out, but: {status:?}",
                self.pid()
            ),
        }
    }

    /// Lets the dying process, which is held at its exit, go on, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// It is not held, or does not end within `limit`.
    pub fn let_go(&mut self, patience: &dyn Patience, limit: Duration) -> Result<()> {
        let pid = self.pid();
        ptrace::cont(pid, None).with_context(|| format!("subject {pid} is not held"))?;
        let what = format!("the end of subject {pid}");
        match patience.child(pid, &what, limit)? {
            WaitStatus::Signaled(..) | WaitStatus::Exited(..) => {
                self.ended = true;
                Ok(())
            }
            status => bail!("subject {pid} was to end, but: {status:?}"),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The process is our own child and has not been waited for.
        let pid = self.pid();
        let mut result = kill(pid, Signal::SIGKILL).map(|()| true);
        // If it is held already, that stop was waited for and does not come again. ESRCH: it is not
        // held, or not traced.
        match ptrace::cont(pid, None) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => result = Err(errno),
        }
        while let Ok(true) = result {
            result = match waitpid(pid, None) {
                // It stops at its exit: let it go on.
                Ok(WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => {
                    ptrace::cont(pid, None).map(|()| true)
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => Ok(false),
                Ok(_) | Err(Errno::EINTR) => Ok(true),
                Err(errno) => Err(errno),
            };
        }
        if let Err(errno) = result {
            eprintln!("mn-inject: cannot end subject {pid}: {errno}");
        }
    }
}
