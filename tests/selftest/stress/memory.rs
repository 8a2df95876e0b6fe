// SPDX-License-Identifier: GPL-2.0

//! Operations of a victim on its memory.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::MmapAdvise;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::ftruncate;

use mn_inject::injector::line::errno_of;
use mn_inject::os::sys;
use mn_inject::os::sys::{Area, ChildWork, PAGE};

use crate::random::Rng;
use crate::stress::choice::{Choices, Operation};

/// Number of pages of each area of a thread.
const PAGES: usize = 32;

/// This program, and its command line for a process that ends at once.
pub const SELF: &CStr = c"/proc/self/exe";
const LEAF: [&CStr; 3] = [c"mn-selftest", c"victim", c"leaf"];

/// Memory that a thread works on.
pub struct Memory {
    /// Choices of the next operation.
    pub choices: Choices,
    /// Random stream of the present operation.
    pub rng: Rng,
    /// Area that most operations work on.
    pub area: Area,
    /// Area from which mremap(2) moves pages.
    other: Area,
    shared: Area,
    file: OwnedFd,
}

impl Memory {
    /// Maps the memory.
    pub fn new(mut choices: Choices) -> Result<Self, Errno> {
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

    /// Draws a range of pages of the area: the first page, and the number of pages.
    fn some_pages(&mut self) -> (usize, usize) {
        let first = self.rng.below(PAGES);
        (first, 1 + self.rng.below(PAGES - first))
    }
}

fn child(work: ChildWork<'_>) -> Result<(), Errno> {
    let pid = sys::fork_child(work)?;
    loop {
        return match waitpid(pid, None) {
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno),
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            // The child could not write to its memory or not exec. It is never killed.
            Ok(_) => Err(Errno::ECHILD),
        };
    }
}

/// Operations on memory. None of them may fail, even if a notifier returns an error.
pub const MEMORY: &[Operation<Memory, Result<(), Errno>>] = &[
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
            // The kernel has no huge pages, or none is free, or the pages are not in a state to be
            // collapsed.
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
    // The child shares the address space until it calls execve(2).
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
                // pthread_create(3) returns EAGAIN if resources are short, which other processes
                // may cause.
                Err(error) if errno_of(&error) == Errno::EAGAIN => return Ok(()),
                Err(error) => return Err(errno_of(&error)),
            };
            thread.join().map_err(|_| Errno::EDEADLK)
        },
    },
];

/// Names of the operations, in the order of the slot.
pub fn names() -> impl Iterator<Item = &'static str> {
    MEMORY.iter().map(|operation| operation.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All operations succeed without a notifier, in two threads at once.
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
