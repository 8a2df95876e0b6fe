// SPDX-License-Identifier: GPL-2.0

//! Victims as the runner handles them: subjects that work on their memory until they are killed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, ftruncate};

use mn_inject::os::kernel;
use mn_inject::os::limit::Limit;

use crate::stress::class::Class;
use crate::stress::counts::Counts;
use crate::stress::memory;
use crate::stress::role::{Role, command};
use crate::stress::slot;
use crate::stress::slot::THREADS;
use crate::stress::stacks::stacks;

/// A victim, in a process group of its own. Dropping this kills it with all its children and waits
/// for them. Only after that can its process id be used again.
#[derive(Debug)]
pub struct Victim {
    /// Its process id.
    pub pid: Pid,
    /// Notifiers that it may have.
    pub class: Class,
    slot: File,
    read: Mutex<Read>,
}

/// State of the reads of a victim's slot.
#[derive(Debug)]
struct Read {
    numbers: Vec<u64>,
    /// Begins when a read shows no progress.
    limit: Option<Limit>,
    reported: bool,
}

impl Victim {
    /// Starts a victim that works on its memory.
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
            // Process ids are positive i32.
            pid: Pid::from_raw(child.id() as i32),
            class,
            slot: File::from(slot),
            read: Mutex::new(Read {
                numbers: vec![0; slot::AREA + 2],
                limit: None,
                reported: false,
            }),
        })
    }

    /// Whether the process has ended.
    pub fn is_dead(&self) -> bool {
        kernel::is_dead(&self.pid.to_string())
    }

    /// Kills the process with all its children.
    pub fn kill(&self) -> Result<()> {
        kill_group(self.pid).with_context(|| format!("victim {}", self.pid))
    }

    /// Kills the process with all its children, and waits until it is a zombie, which keeps its
    /// process id.
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

    /// Returns the exit status of the process if it is neither success nor SIGKILL.
    pub fn odd_end(&self) -> Option<WaitStatus> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        match waitid(Id::Pid(self.pid), flags) {
            Ok(WaitStatus::StillAlive | WaitStatus::Exited(_, 0)) | Err(_) => None,
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => None,
            Ok(status) => Some(status),
        }
    }

    /// Adds the operations since the last read to the counts.
    ///
    /// # Errors
    ///
    /// An operation has failed, or the victim has made no progress for `patience`. Each is reported
    /// once.
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
        let names: Vec<_> = memory::names().collect();
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
        if limit.is_over() && !read.reported && !self.is_dead() {
            read.reported = true;
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

    /// Reads the addresses of the area of the first thread. Returns `None` before it is mapped.
    pub fn area(&self) -> Option<(u64, u64)> {
        let mut numbers = [0; 2];
        for (index, number) in numbers.iter_mut().enumerate() {
            let mut bytes = [0; slot::NUMBER];
            // If the slot cannot be read, the addresses are not known.
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

/// Kills the process group of a process that has not been waited for.
fn kill_group(pid: Pid) -> Result<()> {
    match killpg(pid, Signal::SIGKILL) {
        // The whole group has ended.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => bail!("cannot kill it: {errno}"),
    }
}

/// Waits for all processes of a killed group: its leader, and the children that the leader left
/// behind, which have become children of this process.
fn reap_group(pid: Pid) -> Result<()> {
    loop {
        match waitpid(Pid::from_raw(-pid.as_raw()), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => bail!("cannot wait for it: {errno}"),
        }
    }
}
