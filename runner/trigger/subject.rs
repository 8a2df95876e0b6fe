// SPDX-License-Identifier: GPL-2.0

//! The throw-away process whose address space a scenario works on: both of its ends.
//!
//! It is this program again (`mn-inject target`), so it has an address space that nothing else
//! uses and no libraries. It is told what to do by lines on its standard input:
//!
//! - `prepare OPERATION` is answered by `ready START END` (hexadecimal),
//! - `act` is answered by `done ERRNO` (0 or negative),
//! - `write PATH LINE` opens the file, writes the line, keeps the file open, and is answered alike,
//! - `execute` is answered alike, and then the process is this program from its beginning again,
//! - the end of the input ends the process.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
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

use crate::os::wait::Waiter;
use crate::trigger::operation::{Operation, Prepared};
use crate::trigger::peer;
use crate::trigger::peer::Peer;

/// The process's own end: carries out what its standard input says. Returns at the end of it.
pub fn main() -> Result<()> {
    peer::introduce(c"mn-target")?;
    // On one processor: a page that was touched on another may still be in that one's batch for
    // the LRU lists, where MADV_PAGEOUT does not find it.
    stay_on_this_cpu().context("sched_setaffinity failed")?;

    let mut prepared = None;
    let mut kept = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line).context("standard input")? == 0 {
            return Ok(());
        }
        match line.trim_end().split_once(' ') {
            Some(("prepare", name)) => {
                let operation: Operation = name.parse().map_err(anyhow::Error::msg)?;
                let ready = Prepared::new(operation)
                    .with_context(|| format!("cannot set up the memory for {operation}"))?;
                let (start, end) = ready.watched();
                prepared = Some(ready);
                writeln!(output, "ready {start:x} {end:x}")?;
            }
            None if line.trim_end() == "act" => {
                let prepared = prepared.as_mut().context("\"act\" before \"prepare\"")?;
                let errno = match prepared.act() {
                    Ok(()) => 0,
                    Err(errno) => -(errno as i32),
                };
                writeln!(output, "done {errno}")?;
            }
            Some(("write", rest)) => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let errno = match write_line(path, text) {
                    Ok(file) => {
                        kept.push(file);
                        0
                    }
                    Err(error) => -error.raw_os_error().unwrap_or(Errno::EIO as i32),
                };
                writeln!(output, "done {errno}")?;
            }
            None if line.trim_end() == "execute" => {
                // Before it happens: whatever comes next on the input is for the new program.
                writeln!(output, "done 0")?;
                output.flush()?;
                return Err(Command::new("/proc/self/exe").arg("target").exec())
                    .context("cannot execute this program again");
            }
            _ => bail!("{line:?} is no command for a target"),
        }
        output.flush()?;
    }
}

/// Opens the file and writes the line with one write(2).
fn write_line(path: &str, line: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    match file.write(line.as_bytes())? {
        count if count == line.len() => Ok(file),
        _ => Err(io::ErrorKind::WriteZero.into()),
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
    ended: bool,
}

impl Subject {
    /// Starts a process and lets it set up the memory for `operation`.
    pub fn start(operation: Operation, waiter: &Waiter, limit: Duration) -> Result<Self> {
        let mut target = Subject {
            peer: Peer::start("target")?,
            watched: (0, 0),
            ended: false,
        };
        target.prepare(operation, waiter, limit)?;
        Ok(target)
    }

    /// Lets the process set up the memory for another operation; what it had is given up.
    pub fn prepare(
        &mut self,
        operation: Operation,
        waiter: &Waiter,
        limit: Duration,
    ) -> Result<()> {
        self.peer.say(&format!("prepare {operation}"))?;
        let answer = self.peer.answer("ready", waiter, limit)?;
        let (start, end) = answer
            .split_once(' ')
            .with_context(|| format!("target {}: \"ready {answer}\"", self.pid()))?;
        self.watched = (
            u64::from_str_radix(start, 16).with_context(|| format!("address {start:?}"))?,
            u64::from_str_radix(end, 16).with_context(|| format!("address {end:?}"))?,
        );
        Ok(())
    }

    /// Lets the process execute this program again, with the memory for `operation`.
    pub fn execute(
        &mut self,
        operation: Operation,
        waiter: &Waiter,
        limit: Duration,
    ) -> Result<()> {
        self.peer.say("execute")?;
        self.acted(waiter, limit)?;
        self.prepare(operation, waiter, limit)
    }

    /// Lets the process write a line to a file, which it then keeps open. Returns 0 or a negative
    /// errno.
    pub fn write_to(
        &mut self,
        path: &Path,
        line: &str,
        waiter: &Waiter,
        limit: Duration,
    ) -> Result<i32> {
        self.peer.say(&format!("write {} {line}", path.display()))?;
        self.acted(waiter, limit)
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.peer.pid()
    }

    /// The addresses that its operation works on.
    pub fn watched(&self) -> (u64, u64) {
        self.watched
    }

    /// Its `comm`, as the kernel's log names it.
    pub fn comm(&self) -> Result<String> {
        let path = format!("/proc/{}/comm", self.pid());
        let comm = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(comm.trim_end_matches('\n').to_owned())
    }

    /// Lets it carry out its operation. Returns what that returned: 0 or a negative errno.
    pub fn act(&mut self, waiter: &Waiter, limit: Duration) -> Result<i32> {
        self.peer.say("act")?;
        self.acted(waiter, limit)
    }

    /// What the operation returned that the process was told to carry out: 0 or a negative errno.
    pub fn acted(&mut self, waiter: &Waiter, limit: Duration) -> Result<i32> {
        let answer = self.peer.answer("done", waiter, limit)?;
        answer
            .parse()
            .with_context(|| format!("target {}: \"done {answer}\"", self.pid()))
    }

    /// Lets it carry out its operation, and waits for nothing: either it is not expected back, or
    /// [`Self::acted`] follows.
    pub fn act_and_die(&mut self) -> Result<()> {
        self.peer.say("act")
    }

    /// Lets the process end by itself, with its own children, and waits for it.
    pub fn finish(mut self, waiter: &Waiter, limit: Duration) -> Result<()> {
        self.end(waiter, limit)
    }

    /// The same where the process's id is still of interest.
    pub fn end(&mut self, waiter: &Waiter, limit: Duration) -> Result<()> {
        self.peer.close();
        let what = format!("the end of target {}", self.pid());
        let status = waiter.child(self.pid(), &what, limit)?;
        // It has been waited for: nothing is left to do for `drop`.
        self.ended = true;
        match status {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => bail!(
                "target {} was to end by itself, but: {status:?}",
                self.pid()
            ),
        }
    }

    /// Leaves the process to itself: one that waits in the kernel for ever, or that must not end.
    pub fn abandon(mut self) {
        self.ended = true;
    }

    /// From now on the process stops on its way out, with its address space still whole
    /// (`PTRACE_EVENT_EXIT`), however it dies.
    pub fn hold_at_exit(&self) -> Result<()> {
        let options = ptrace::Options::PTRACE_O_TRACEEXIT | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::seize(self.pid(), options)
            .with_context(|| format!("cannot trace target {}", self.pid()))
    }

    /// Kills the process; with [`Self::hold_at_exit`] it then stops on its way out.
    pub fn kill(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL)
            .with_context(|| format!("cannot kill target {}", self.pid()))
    }

    /// Waits until the dying process stops on its way out.
    pub fn wait_held(&self, waiter: &Waiter, limit: Duration) -> Result<()> {
        let what = format!("the death of target {}", self.pid());
        match waiter.child(self.pid(), &what, limit)? {
            WaitStatus::PtraceEvent(_, _, event)
                if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 =>
            {
                Ok(())
            }
            status => bail!(
                "target {} was to stop on its way out, but: {status:?}",
                self.pid()
            ),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // All of this is about our own child, which has not been waited for.
        let pid = self.pid();
        let mut result = kill(pid, Signal::SIGKILL).map(|()| true);
        // If it is held already, that stop has been waited for and does not come again. It has
        // no such process (to trace) where it is not.
        match ptrace::cont(pid, None) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => result = Err(errno),
        }
        while let Ok(true) = result {
            result = match waitpid(pid, None) {
                // On its way out: let it go.
                Ok(WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => {
                    ptrace::cont(pid, None).map(|()| true)
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => Ok(false),
                Ok(_) | Err(Errno::EINTR) => Ok(true),
                Err(errno) => Err(errno),
            };
        }
        if let Err(errno) = result {
            eprintln!("mn-inject: cannot end target {pid}: {errno}");
        }
    }
}
