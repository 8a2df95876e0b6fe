// SPDX-License-Identifier: GPL-2.0

//! The processes whose address spaces the stress works on, seen from the runner.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, ftruncate};

use mn_inject::os::kernel;
use mn_inject::os::wait::Limit;

use crate::stress::counts::Counts;
use crate::stress::victim;
use crate::stress::victim::{Role, THREADS, slot};
use crate::stress::world::{Harm, Kind};

/// How long a helper that is no longer needed may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What may be done to a process. A refusal in non-blockable context, with an interval notifier
/// and a plain one that refuses on the same address space, leaves Linux waiting for ever when the
/// former is removed (`mn_hlist_invalidate_range_start` tells the interval tree nothing), so
/// the two never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every kind of notifier, none of which ever refuses.
    Agreeing,
    /// Plain notifiers, which may refuse.
    Plain,
    /// Interval notifiers, which may refuse, and plain ones, which may not.
    Interval,
    /// Nothing at all.
    Untouched,
}

impl Class {
    /// What a notifier of that kind may do to such a process; [`None`] where it may not be there.
    pub const fn harm(self, kind: Kind) -> Option<Harm> {
        match (self, kind.has_range()) {
            (Class::Agreeing, _) | (Class::Interval, false) => Some(Harm::Nothing),
            (Class::Plain, false) => Some(Harm::Any),
            (Class::Interval, true) => Some(Harm::Again),
            (Class::Plain, true) | (Class::Untouched, _) => None,
        }
    }
}

/// A process of ours, in a process group of its own. Dropping it ends it with all its children, and
/// only then its id can be used again.
#[derive(Debug)]
pub struct Victim {
    /// Its process id.
    pub pid: Pid,
    /// What may be done to it.
    pub class: Class,
    slot: File,
    read: Mutex<Read>,
}

/// What was read of a slot.
#[derive(Debug)]
struct Read {
    numbers: Vec<u64>,
    /// Begins when it is first seen to stand still.
    limit: Option<Limit>,
    told: bool,
}

/// A command that is this program again, in a process group of its own.
fn command(role: Role, seed: u64) -> Command {
    let parent = i32::try_from(std::process::id()).unwrap_or(0);
    let arguments = victim::arguments(role, parent, seed);
    let mut command = Command::new("/proc/self/exe");
    command.args(&arguments[1..]).process_group(0);
    command
}

fn pid_of(child: &Child) -> Pid {
    // Process ids are positive i32.
    Pid::from_raw(child.id() as i32)
}

impl Victim {
    /// Starts one that works on its memory.
    pub fn start(role: Role, class: Class, seed: u64) -> Result<Self> {
        let slot = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        ftruncate(&slot, slot::BYTES as i64).context("ftruncate")?;
        let input: OwnedFd = slot.try_clone().context("dup")?;
        let child = command(role, seed)
            .stdin(Stdio::from(input))
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a victim (this program again)")?;
        Ok(Victim {
            pid: pid_of(&child),
            class,
            slot: File::from(slot),
            read: Mutex::new(Read {
                numbers: vec![0; slot::AREA + 2],
                limit: None,
                told: false,
            }),
        })
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        kernel::is_dead(&self.pid.to_string())
    }

    /// Kills it with all its children.
    pub fn kill(&self) -> Result<()> {
        kill_group(self.pid).with_context(|| format!("victim {}", self.pid))
    }

    /// Kills it with all its children, and waits until it is dead. Its id stays its own.
    pub fn end(&self, limit: Duration) -> Result<()> {
        self.kill()?;
        let mut limit = Limit::new(limit);
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
            match waitid(Id::Pid(self.pid), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => bail!("waiting for victim {}: {errno}", self.pid),
            }
            if limit.is_over() {
                bail!(
                    "victim {} does not die{}",
                    self.pid,
                    stacks(&self.pid.to_string())
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How it ended, where it did so in a way that none of ours does.
    pub fn odd_end(&self) -> Option<WaitStatus> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        match waitid(Id::Pid(self.pid), flags) {
            Ok(WaitStatus::StillAlive | WaitStatus::Exited(_, 0)) | Err(_) => None,
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => None,
            Ok(status) => Some(status),
        }
    }

    /// Reads what it has done since the last time, and adds it. Says what has failed in it, and
    /// whether it has stood still for `patience`.
    pub fn harvest(&self, counts: &Counts, patience: Duration) -> Result<()> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; slot::BYTES];
        self.slot
            .read_exact_at(&mut bytes, 0)
            .context("cannot read a victim's slot")?;
        let mut numbers = bytes.chunks_exact(slot::NUMBER).map(|bytes| {
            let mut number = [0; slot::NUMBER];
            number.copy_from_slice(bytes);
            u64::from_ne_bytes(number)
        });
        let numbers: Vec<u64> = numbers.by_ref().collect();
        let names: Vec<_> = victim::names().collect();
        let mut failure = None;
        let mut moved = false;
        for thread in 0..THREADS {
            let row = thread * slot::ROW;
            for (column, name) in names.iter().enumerate() {
                let done = numbers[row + column].saturating_sub(read.numbers[row + column]);
                moved |= done > 0;
                counts.add(name, done);
            }
            let (failed, errno) = (row + names.len(), row + names.len() + 1);
            if numbers[failed] != 0 && read.numbers[failed] == 0 {
                let name = usize::try_from(numbers[failed] - 1)
                    .ok()
                    .and_then(|index| names.get(index));
                failure = Some(format!(
                    "{} of {:?} victim {} failed: {}",
                    name.unwrap_or(&"?"),
                    self.class,
                    self.pid,
                    Errno::from_raw(i32::try_from(numbers[errno]).unwrap_or(0))
                ));
            }
        }
        read.numbers = numbers;
        if moved {
            read.limit = None;
        }
        let limit = read.limit.get_or_insert_with(|| Limit::new(patience));
        if limit.is_over() && !read.told && !self.is_dead() {
            read.told = true;
            bail!(
                "victim {} has stood still for {} s{}",
                self.pid,
                patience.as_secs(),
                stacks(&self.pid.to_string())
            );
        }
        match failure {
            Some(failure) => bail!(failure),
            None => Ok(()),
        }
    }

    /// The addresses that its first thread works on, where it has told them.
    pub fn area(&self) -> Option<(u64, u64)> {
        let mut numbers = [0; 2];
        for (index, number) in numbers.iter_mut().enumerate() {
            let mut bytes = [0; slot::NUMBER];
            // Where it cannot be read nobody has told.
            self.slot
                .read_exact_at(&mut bytes, slot::at(slot::AREA + index))
                .ok()?;
            *number = u64::from_ne_bytes(bytes);
        }
        let [start, end] = numbers;
        (start < end).then_some((start, end))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Err(error) = kill_group(self.pid).and_then(|()| reap_group(self.pid)) {
            eprintln!("mn-selftest: victim {}: {error:#}", self.pid);
        }
    }
}

/// Kills the process group of that process, which nobody has waited for.
fn kill_group(pid: Pid) -> Result<()> {
    match killpg(pid, Signal::SIGKILL) {
        // All of it has ended.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => bail!("cannot kill it: {errno}"),
    }
}

/// Waits for all processes of a group that was killed: its leader, and those that the leader left
/// behind, which are ours since then.
fn reap_group(pid: Pid) -> Result<()> {
    loop {
        match waitpid(Pid::from_raw(-pid.as_raw()), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => bail!("cannot wait for it: {errno}"),
        }
    }
}

/// Where all threads of a process stand in the kernel.
pub fn stacks(pid: &str) -> String {
    let mut text = String::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return ", and is gone now".into();
    };
    for task in tasks.flatten() {
        text.push_str(&stack(&task.path().to_string_lossy()));
    }
    text
}

/// Where a thread stands in the kernel, of which `task` is the folder in /proc.
pub fn stack(task: &str) -> String {
    let read = |name: &str| fs::read_to_string(format!("{task}/{name}")).unwrap_or_default();
    format!(
        "\n{task} {}{}",
        read("comm"),
        // Without it (no CONFIG_STACKTRACE) at least the function in which it waits.
        match read("stack") {
            stack if stack.is_empty() => read("wchan"),
            stack => stack,
        }
    )
}

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
        pid_of(&self.child)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusing_plain_notifier_never_meets_an_interval_notifier() {
        for class in [
            Class::Agreeing,
            Class::Plain,
            Class::Interval,
            Class::Untouched,
        ] {
            let kinds = [Kind::Plain, Kind::PlainEnd, Kind::Interval, Kind::TwoPass];
            let refusing = kinds
                .iter()
                .any(|&kind| !kind.has_range() && class.harm(kind) == Some(Harm::Any));
            let interval = kinds
                .iter()
                .any(|&kind| kind.has_range() && class.harm(kind).is_some());
            assert!(!(refusing && interval), "{class:?}");
        }
    }

    #[test]
    fn an_interval_notifier_says_again_or_nothing() {
        for kind in [Kind::Interval, Kind::TwoPass] {
            assert_eq!(Class::Interval.harm(kind), Some(Harm::Again));
            assert_eq!(Class::Agreeing.harm(kind), Some(Harm::Nothing));
            assert_eq!(Class::Untouched.harm(kind), None);
        }
    }
}
