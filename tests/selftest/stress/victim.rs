// SPDX-License-Identifier: GPL-2.0

//! Main function of a victim: this program again (`mn-selftest victim`).
//!
//! A victim counts its operations in a file that is its standard input and that it shares with the
//! runner, so that no count is lost when it is killed.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{execv, getpid, getppid};

use mn_inject::injector::DEVICE;
use mn_inject::os::sys::{Area, PAGE};

use crate::random::Rng;
use crate::stress::choice::{Choices, Operation};
use crate::stress::files::{errno, write_once};
use crate::stress::memory::{MEMORY, Memory, SELF};
use crate::stress::role::{Role, VictimArgs, arguments};
use crate::stress::slot;
use crate::stress::slot::THREADS;

/// Pause between operations of the control process, which has no notifier.
const REST: Duration = Duration::from_millis(5);

/// Number of pages that an idle victim holds.
const IDLE_PAGES: usize = 64;

/// Maximum number of pages that a hog takes. Its cgroup must allow less.
const HOG_PAGES: usize = (64 << 20) / PAGE;

/// Operations of the first thread of a busy victim, besides those on memory.
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
        // On purpose while the other threads are in the middle of an operation.
        act: |_| std::process::exit(0),
    },
];

/// State for the operations of [`LIFE`].
struct Life {
    choices: Choices,
    rng: Rng,
    parent: i32,
}

impl Life {
    /// Executes this program again: the same process gets another address space.
    fn exec(&mut self) -> Result<()> {
        let arguments = arguments(Role::Busy, self.parent, self.rng.bits())
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()?;
        execv(SELF, &arguments).context("execv failed")?;
        Ok(())
    }
}

/// Runs the process in its role.
pub fn main(args: &VictimArgs) -> Result<()> {
    // The name that the kernel's log gives to this process.
    prctl::set_name(c"mn-victim").context("PR_SET_NAME failed")?;
    // The process must not outlive the runner.
    prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG failed")?;
    if args.parent != 0 && getppid().as_raw() != args.parent {
        // The parent ended before PR_SET_PDEATHSIG.
        return Ok(());
    }
    match args.role {
        Role::Busy => {
            for thread in 1..THREADS {
                let seed = args.seed;
                std::thread::Builder::new()
                    .spawn(move || {
                        let failed = work(seed, thread, None, Duration::ZERO);
                        // The process must not go on without this thread.
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

/// Writes to the runner that everything is set up.
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
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device = match errno(device) {
        Ok(device) => device,
        Err(errno) => {
            println!("open {}", errno as i32);
            return Ok(());
        }
    };
    println!("open 0");
    for line in io::stdin().lines() {
        let line = line.context("standard input")?;
        let errno = match write_once(&device, &line) {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        };
        println!("wrote {errno}");
    }
    Ok(())
}

/// Works on memory forever. Returns only the error that prevents it.
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

/// Carries out one operation and counts it.
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
            // A part of the area is lost.
            anyhow::bail!(
                "another thread's mapping stands where {} was",
                operation.name
            );
        }
        // A failure that persists must not take all time of the processor.
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
