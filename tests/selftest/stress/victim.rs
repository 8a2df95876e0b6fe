// SPDX-License-Identifier: GPL-2.0

//! The processes whose address spaces the stress works on, seen from inside: this program again
//! (`mn-selftest victim`).
//!
//! What was done is counted in a file that is the process's standard input and that it shares with
//! the runner: a process that is killed at any time has said everything by then.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::MmapAdvise;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{execv, ftruncate, getpid, getppid};

use mn_inject::os::sys;
use mn_inject::os::sys::{Area, ChildWork, PAGE};

use crate::stress::choice::{Choices, Operation};
use crate::stress::worker::{errno_of, write_once};

/// What a victim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Works on its memory with several threads, and ends or becomes another program at random.
    Busy,
    /// Works on its memory with one thread, and never ends: nobody attaches to it.
    Control,
    /// Waits with some memory until it is killed.
    Idle,
    /// Takes memory until it is killed, from when its standard input says so.
    Hog,
    /// Opens the device, writes what its standard input says, and holds it open.
    Session,
    /// Nothing: a program to become.
    Leaf,
}

/// `mn-selftest victim`
#[derive(Clone, Debug, Args)]
pub struct VictimArgs {
    /// What it is for
    #[arg(value_enum)]
    pub role: Role,
    /// The process that it dies with
    #[arg(long, default_value_t = 0)]
    pub parent: i32,
    /// Where its random choices start
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// How many threads a busy victim has.
pub const THREADS: usize = 2;

/// The file in which a victim counts: a row for each thread, in it a number for each operation,
/// and at the end of the row the operation that failed (its index and 1) and its errno.
pub mod slot {
    use super::{MEMORY, THREADS};

    /// Numbers in a row.
    pub const ROW: usize = MEMORY.len() + 2;
    /// Bytes of a number.
    pub const NUMBER: usize = size_of::<u64>();
    /// Where the addresses stand that the first thread works on: start and end.
    pub const AREA: usize = THREADS * ROW;
    /// Bytes of the file.
    pub const BYTES: usize = (AREA + 2) * NUMBER;

    /// Where a number stands, in bytes.
    pub const fn at(index: usize) -> u64 {
        (index * NUMBER) as u64
    }
}

/// How long the one rests after each operation to whom nothing happens.
const REST: Duration = Duration::from_millis(5);

/// How many pages a thread works on.
const PAGES: usize = 32;

/// How much memory an idle victim holds.
const IDLE_PAGES: usize = 64;

/// How much memory a hog takes at the most; its cgroup must allow less.
const HOG_PAGES: usize = (64 << 20) / PAGE;

/// The program itself, and the command line of one that has nothing to do.
const SELF: &CStr = c"/proc/self/exe";
const LEAF: [&CStr; 3] = [c"mn-selftest", c"victim", c"leaf"];

/// A thread's memory.
struct Memory {
    choices: Choices,
    rng: Rng,
    area: Area,
    /// Where the area is moved from.
    other: Area,
    shared: Area,
    file: OwnedFd,
}

impl Memory {
    fn new(mut choices: Choices) -> Result<Self, Errno> {
        let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC)?;
        ftruncate(&file, (PAGES * PAGE) as i64)?;
        Ok(Memory {
            rng: choices.step(),
            choices,
            area: Area::map_apart(PAGES, None)?,
            other: Area::map_apart(PAGES, None)?,
            shared: Area::map_apart(PAGES, Some(&file))?,
            file,
        })
    }

    /// Some pages of the area: the first one, and how many.
    fn some_pages(&mut self) -> (usize, usize) {
        let first = self.rng.usize(..PAGES);
        (first, self.rng.usize(1..=PAGES - first))
    }
}

fn child(work: ChildWork<'_>) -> Result<(), Errno> {
    let pid = sys::fork_child(work)?;
    loop {
        return match waitpid(pid, None) {
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno),
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            // It could not write to its memory, or not become the program; nobody kills it.
            Ok(_) => Err(Errno::ECHILD),
        };
    }
}

/// What is done to memory. None of it may fail, whatever a notifier says.
const MEMORY: &[Operation<Memory, Result<(), Errno>>] = &[
    Operation {
        name: "touch",
        weight: 20,
        act: |memory| {
            let (first, count) = memory.some_pages();
            memory.area.touch(first, count)
        },
    },
    Operation {
        name: "munmap",
        weight: 20,
        act: |memory| {
            let (first, count) = memory.some_pages();
            memory.area.renew(first, count)
        },
    },
    Operation {
        name: "madvise dontneed",
        weight: 20,
        act: |memory| memory.area.advise(MmapAdvise::MADV_DONTNEED),
    },
    Operation {
        name: "madvise free",
        weight: 10,
        act: |memory| memory.area.advise(MmapAdvise::MADV_FREE),
    },
    Operation {
        name: "madvise cold",
        weight: 3,
        act: |memory| memory.area.advise(MmapAdvise::MADV_COLD),
    },
    Operation {
        name: "madvise pageout",
        weight: 10,
        act: |memory| {
            memory.shared.touch(0, PAGES)?;
            memory.shared.advise(MmapAdvise::MADV_PAGEOUT)
        },
    },
    Operation {
        name: "madvise collapse",
        weight: 3,
        act: |memory| match memory.area.collapse() {
            // Where the kernel has no huge pages, or finds none, or does not find the pages in
            // the right state.
            Err(Errno::EINVAL | Errno::ENOMEM | Errno::EAGAIN | Errno::EBUSY) => Ok(()),
            result => result,
        },
    },
    Operation {
        name: "mprotect",
        weight: 20,
        act: |memory| {
            let (first, count) = memory.some_pages();
            memory.area.protect(first, count, true)?;
            memory.area.protect(first, count, false)
        },
    },
    Operation {
        name: "mremap",
        weight: 10,
        act: |memory| {
            let (first, count) = memory.some_pages();
            memory.other.touch(first, count)?;
            memory.other.move_and_renew(&memory.area)
        },
    },
    Operation {
        name: "ftruncate",
        weight: 10,
        act: |memory| {
            memory.shared.touch(0, PAGES)?;
            ftruncate(&memory.file, (PAGES / 2 * PAGE) as i64)?;
            ftruncate(&memory.file, (PAGES * PAGE) as i64)
        },
    },
    Operation {
        name: "fork",
        weight: 6,
        act: |_| child(ChildWork::Exit),
    },
    Operation {
        name: "fork and copy on write",
        weight: 6,
        act: |memory| {
            memory.area.touch(0, PAGES)?;
            child(ChildWork::Write(&memory.area))?;
            memory.area.touch(0, PAGES)
        },
    },
    Operation {
        name: "fork and exec",
        weight: 1,
        act: |_| child(ChildWork::Exec(SELF, LEAF)),
    },
    // Its child has the same address space until it becomes the other program.
    Operation {
        name: "spawn",
        weight: 1,
        act: |_| {
            let status = Command::new("/proc/self/exe")
                .args(["victim", "leaf"])
                .stdin(Stdio::null())
                .status();
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(_) => Err(Errno::ECHILD),
                Err(error) => Err(errno_of(&error)),
            }
        },
    },
    Operation {
        name: "thread",
        weight: 3,
        act: |_| {
            let thread = match std::thread::Builder::new().spawn(|| ()) {
                Ok(thread) => thread,
                // What pthread_create(3) says of any shortage, which others may bring about.
                Err(error) if errno_of(&error) == Errno::EAGAIN => return Ok(()),
                Err(error) => return Err(errno_of(&error)),
            };
            thread.join().map_err(|_| Errno::EDEADLK)
        },
    },
];

/// What only a busy victim's first thread does.
const LIFE: &[Operation<Life, Result<()>>] = &[
    Operation {
        name: "go on",
        weight: 3000,
        act: |_| Ok(()),
    },
    Operation {
        name: "exec",
        weight: 4,
        act: |life| life.exec(),
    },
    Operation {
        name: "exit",
        weight: 3,
        // The other threads are in the middle of something, and that is as it should be.
        act: |_| std::process::exit(0),
    },
];

struct Life {
    choices: Choices,
    rng: Rng,
    parent: i32,
}

impl Life {
    /// Becomes this program again: the same process with another address space.
    fn exec(&mut self) -> Result<()> {
        let arguments = arguments(Role::Busy, self.parent, self.rng.u64(..))
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()?;
        execv(SELF, &arguments).context("execv failed")?;
        Ok(())
    }
}

/// The whole command line of a victim.
pub fn arguments(role: Role, parent: i32, seed: u64) -> Vec<String> {
    let role = role
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    vec![
        "mn-selftest".to_owned(),
        "victim".to_owned(),
        role,
        format!("--parent={parent}"),
        format!("--seed={seed}"),
    ]
}

/// Names of what the victims do, in the order of the slot.
pub fn names() -> impl Iterator<Item = &'static str> {
    MEMORY.iter().map(|operation| operation.name)
}

/// The process's whole life.
pub fn main(args: &VictimArgs) -> Result<()> {
    // The name that the kernel's log gives to this process.
    prctl::set_name(c"mn-victim").context("PR_SET_NAME failed")?;
    // Whatever becomes of the runner, nothing of it stays.
    prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG failed")?;
    if args.parent != 0 && getppid().as_raw() != args.parent {
        // It ended before the request.
        return Ok(());
    }
    match args.role {
        Role::Busy => {
            for thread in 1..THREADS {
                let seed = args.seed;
                std::thread::Builder::new()
                    .spawn(move || {
                        let failed = work(seed, thread, None, Duration::ZERO);
                        // The process must not live on with a thread less.
                        eprintln!("mn-selftest: victim {}: {failed:#}", getpid());
                        std::process::exit(1)
                    })
                    .context("cannot start a thread")?;
            }
            let mut choices = Choices::new(args.seed, THREADS as u64);
            let life = Life {
                rng: choices.step(),
                choices,
                parent: args.parent,
            };
            Err(work(args.seed, 0, Some(life), Duration::ZERO))
        }
        Role::Control => Err(work(args.seed, 0, None, REST)),
        Role::Idle => {
            let area = Area::map(IDLE_PAGES, None)?;
            area.touch(0, IDLE_PAGES)?;
            ready()?;
            wait_for_end()
        }
        Role::Hog => {
            ready()?;
            io::stdin()
                .read_exact(&mut [0])
                .context("standard input ended")?;
            let hoard = Area::map(HOG_PAGES, None)?;
            hoard.touch(0, HOG_PAGES)?;
            anyhow::bail!("the OOM killer let {HOG_PAGES} pages pass")
        }
        Role::Session => session(),
        Role::Leaf => Ok(()),
    }
}

/// Tells the runner that everything is set up.
fn ready() -> Result<()> {
    let mut output = io::stdout();
    output
        .write_all(b"ready\n")
        .and_then(|()| output.flush())
        .context("standard output")
}

/// Sleeps until the runner closes its end, or kills this process.
fn wait_for_end() -> Result<()> {
    let mut rest = Vec::new();
    io::stdin()
        .read_to_end(&mut rest)
        .context("standard input")?;
    Ok(())
}

/// Writes each line of the standard input to the device, answers each with its errno, and holds
/// the device open until the runner closes the other end or kills this process.
fn session() -> Result<()> {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(crate::stress::DEVICE);
    let mut device = match device {
        Ok(device) => device,
        Err(error) => {
            println!("open {}", errno_of(&error) as i32);
            return Ok(());
        }
    };
    println!("open 0");
    for line in io::stdin().lines() {
        let line = line.context("standard input")?;
        let errno = match write_once(&mut device, &line) {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        };
        println!("wrote {errno}");
    }
    Ok(())
}

/// Works on memory for ever. Returns only why it cannot go on.
fn work(seed: u64, thread: usize, mut life: Option<Life>, rest: Duration) -> anyhow::Error {
    let slot = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(fd) => File::from(fd),
        Err(error) => return anyhow::Error::new(error).context("standard input"),
    };
    let mut memory = match Memory::new(Choices::new(seed, thread as u64)) {
        Ok(memory) => memory,
        Err(errno) => return anyhow::Error::new(errno).context("cannot map memory"),
    };
    if thread == 0 {
        let (start, end) = memory.area.range();
        for (index, address) in [start, end].into_iter().enumerate() {
            if let Err(error) =
                slot.write_all_at(&address.to_ne_bytes(), slot::at(slot::AREA + index))
            {
                return anyhow::Error::new(error).context("cannot write to the slot");
            }
        }
    }
    loop {
        if let Err(error) = step(&slot, thread, &mut memory) {
            return error;
        }
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
        if let Some(life) = &mut life {
            let (operation, rng) = life.choices.next(LIFE);
            life.rng = rng;
            if let Some(operation) = operation
                && let Err(error) = (operation.act)(life)
            {
                return error;
            }
        }
    }
}

/// One operation, counted.
fn step(slot: &File, thread: usize, memory: &mut Memory) -> Result<()> {
    let (operation, rng) = memory.choices.next(MEMORY);
    memory.rng = rng;
    let operation = operation.context("an empty table")?;
    let index = MEMORY
        .iter()
        .position(|known| std::ptr::eq(known, operation))
        .context("not in the table")?;
    let row = thread * slot::ROW;
    let result = (operation.act)(memory);
    if let Err(errno) = result {
        let failure = [index as u64 + 1, errno as u64];
        for (column, number) in failure.into_iter().enumerate() {
            let at = slot::at(row + MEMORY.len() + column);
            slot.write_all_at(&number.to_ne_bytes(), at)
                .context("cannot write to the slot")?;
        }
        if errno == Errno::EEXIST {
            // The area is gone.
            anyhow::bail!(
                "another thread's mapping stands where {} was",
                operation.name
            );
        }
        // So that a failure that stays does not fill the machine.
        std::thread::sleep(Duration::from_millis(10));
        return Ok(());
    }
    let mut count = [0; slot::NUMBER];
    let at = slot::at(row + index);
    slot.read_exact_at(&mut count, at)
        .context("cannot read the slot")?;
    let count = u64::from_ne_bytes(count) + 1;
    slot.write_all_at(&count.to_ne_bytes(), at)
        .context("cannot write to the slot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        word: String,
        #[command(flatten)]
        args: VictimArgs,
    }

    #[test]
    fn a_victim_understands_how_it_is_started() {
        let words = arguments(Role::Session, 12, u64::MAX);
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.word, "victim");
        assert_eq!(cli.args.role, Role::Session);
        assert_eq!((cli.args.parent, cli.args.seed), (12, u64::MAX));
    }

    /// Everything that a victim does to its memory works where there is no notifier, and with
    /// threads beside it.
    #[test]
    fn every_operation_works() {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                std::thread::spawn(move || {
                    let mut memory = Memory::new(Choices::new(1, thread)).unwrap();
                    for operation in MEMORY {
                        // This program is the test program, which has no such command.
                        if ["fork and exec", "spawn"].contains(&operation.name) {
                            continue;
                        }
                        for _ in 0..10 {
                            let result = (operation.act)(&mut memory);
                            assert_eq!(result, Ok(()), "{}", operation.name);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
