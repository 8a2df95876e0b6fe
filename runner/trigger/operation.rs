// SPDX-License-Identifier: GPL-2.0

//! The memory operations that a subject carries out on an [`Area`] of its own.

use std::fmt;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::MmapAdvise;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, ftruncate};

use crate::os::sys;
use crate::os::sys::{Area, PAGE};

/// Pages of an area: few enough to lie in one page table.
const PAGES: usize = 16;

/// Pages that [`Operation::Hog`] touches at most; its cgroup must allow fewer.
const HOG_PAGES: usize = (64 << 20) / PAGE;

/// Number of `madvise(2)` calls in [`Operation::DontneedOften`].
pub const OFTEN: u64 = 128;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `munmap` of the whole VMA.
    MunmapWhole,
    /// `munmap` of pages in the middle of the VMA.
    MunmapPart,
    /// `munmap` across two VMAs.
    MunmapTwoVmas,
    /// `madvise(MADV_DONTNEED)`.
    Dontneed,
    /// `madvise(MADV_DONTNEED)` across two VMAs.
    DontneedTwoVmas,
    /// `madvise(MADV_DONTNEED)`, [`OFTEN`] times.
    DontneedOften,
    /// `madvise(MADV_FREE)`.
    Free,
    /// `madvise(MADV_COLD)`.
    Cold,
    /// `madvise(MADV_PAGEOUT)` on a shared mapping of a memfd.
    Pageout,
    /// `madvise(MADV_WILLNEED)` on a shared mapping of a memfd: on anonymous memory, a kernel
    /// without swap returns `EBADF` (`madvise_willneed()`).
    Willneed,
    /// `mprotect` to read-only.
    Mprotect,
    /// `mprotect` to the protection that the pages have already.
    MprotectSame,
    /// `mremap` to another address.
    Mremap,
    /// `mremap` to half of the size.
    MremapShrink,
    /// `mmap(MAP_FIXED)` over the VMA.
    MmapOver,
    /// `madvise(MADV_GUARD_INSTALL)`.
    Guard,
    /// `ftruncate` of a memfd that is mapped shared, to nothing.
    Truncate,
    /// `fallocate(FALLOC_FL_PUNCH_HOLE)` in a memfd that is mapped shared.
    PunchHole,
    /// `madvise(MADV_REMOVE)` on a shared mapping of a memfd.
    Remove,
    /// `fork`.
    Fork,
    /// A write to a page that a forked child shares.
    CopyOnWrite,
    /// No system call: the process only holds its memory.
    Hold,
    /// No system call, and the memory was never touched, so it has no page table.
    HoldUntouched,
    /// Touches memory until its cgroup has none left; the OOM killer ends it.
    Hog,
}

impl Operation {
    const ALL: [Operation; 24] = [
        Operation::MunmapWhole,
        Operation::MunmapPart,
        Operation::MunmapTwoVmas,
        Operation::Dontneed,
        Operation::DontneedTwoVmas,
        Operation::DontneedOften,
        Operation::Free,
        Operation::Cold,
        Operation::Pageout,
        Operation::Willneed,
        Operation::Mprotect,
        Operation::MprotectSame,
        Operation::Mremap,
        Operation::MremapShrink,
        Operation::MmapOver,
        Operation::Guard,
        Operation::Truncate,
        Operation::PunchHole,
        Operation::Remove,
        Operation::Fork,
        Operation::CopyOnWrite,
        Operation::Hold,
        Operation::HoldUntouched,
        Operation::Hog,
    ];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Operation::ALL
            .into_iter()
            .find(|operation| operation.to_string() == name)
            .ok_or_else(|| format!("unknown operation {name:?}"))
    }
}

/// Place of the memory of an operation, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Few pages in one page table, at an address that the kernel chooses.
    Anywhere,
    /// As many at address 0.
    AtZero,
    /// Two whole page tables.
    Tables,
}

impl Place {
    const ALL: [Place; 3] = [Place::Anywhere, Place::AtZero, Place::Tables];

    /// Maps the memory: private and anonymous, or that of `file` if it is few pages anywhere.
    fn map(self, file: Option<&OwnedFd>) -> Result<Area, Errno> {
        match self {
            Place::Anywhere => Area::map(PAGES, file),
            Place::AtZero => Area::map_at_zero(PAGES),
            Place::Tables => Area::map_tables(2),
        }
    }
}

/// An operation on memory at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The operation.
    pub operation: Operation,
    /// The place.
    pub place: Place,
}

impl From<Operation> for Work {
    fn from(operation: Operation) -> Self {
        Work {
            operation,
            place: Place::Anywhere,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.operation, self.place)
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let (operation, place) = words.split_once(' ').unwrap_or((words, ""));
        let named = |one: &Place| format!("{one:?}") == place;
        Ok(Work {
            operation: operation.parse()?,
            place: Place::ALL
                .into_iter()
                .find(named)
                .ok_or_else(|| format!("unknown place {place:?}"))?,
        })
    }
}

/// A child process. Killed and waited for when dropped.
#[derive(Debug)]
struct Sleeper(Pid);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It is our own child and has not been waited for, so the pid is still its own. The calls
        // fail if it was ended from outside, which is as good.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// An operation whose memory is ready.
#[derive(Debug)]
pub struct Prepared {
    operation: Operation,
    area: Area,
    other: Option<Area>,
    sleeper: Option<Sleeper>,
    file: Option<OwnedFd>,
}

impl Prepared {
    /// Maps and populates the memory, so that the operation itself does nothing else.
    ///
    /// # Errors
    ///
    /// The errno of the system call that failed.
    pub fn new(Work { operation, place }: Work) -> Result<Self, Errno> {
        let file = match operation {
            Operation::Pageout
            | Operation::Willneed
            | Operation::Truncate
            | Operation::PunchHole
            | Operation::Remove => {
                let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC)?;
                ftruncate(&file, (PAGES * PAGE) as i64)?;
                Some(file)
            }
            _ => None,
        };
        let area = if operation == Operation::HoldUntouched {
            Area::map_apart(PAGES, None)?
        } else {
            let area = place.map(file.as_ref())?;
            area.fill()?;
            area
        };

        let mut other = None;
        let mut sleeper = None;
        match operation {
            Operation::MunmapTwoVmas | Operation::DontneedTwoVmas => {
                area.protect(PAGES / 2, PAGES / 2, true)?;
            }
            Operation::Mremap => other = Some(place.map(None)?),
            Operation::CopyOnWrite => sleeper = Some(Sleeper(sys::fork_sleeper()?)),
            _ => {}
        }
        Ok(Prepared {
            operation,
            area,
            other,
            sleeper,
            file,
        })
    }

    /// The addresses that the operation works on.
    pub fn watched(&self) -> (u64, u64) {
        self.area.range()
    }

    /// The file that is mapped.
    fn file(&self) -> Result<&OwnedFd, Errno> {
        self.file.as_ref().ok_or(Errno::EBADF)
    }

    /// Carries the operation out, once.
    ///
    /// # Errors
    ///
    /// The errno of the operation's system call; `EDQUOT` if the OOM killer does not end
    /// [`Operation::Hog`].
    pub fn act(&mut self) -> Result<(), Errno> {
        let pages = self.area.pages();
        match self.operation {
            Operation::MunmapWhole | Operation::MunmapTwoVmas => self.area.unmap(0, pages),
            Operation::MunmapPart => self.area.unmap(pages / 4, pages / 2),
            Operation::Dontneed | Operation::DontneedTwoVmas => {
                self.area.advise(MmapAdvise::MADV_DONTNEED)
            }
            Operation::DontneedOften => {
                (0..OFTEN).try_for_each(|_| self.area.advise(MmapAdvise::MADV_DONTNEED))
            }
            Operation::Free => self.area.advise(MmapAdvise::MADV_FREE),
            Operation::Cold => self.area.advise(MmapAdvise::MADV_COLD),
            Operation::Pageout => self.area.advise(MmapAdvise::MADV_PAGEOUT),
            Operation::Willneed => self.area.advise(MmapAdvise::MADV_WILLNEED),
            Operation::Mprotect => self.area.protect(0, pages, true),
            Operation::MprotectSame => self.area.protect(0, pages, false),
            Operation::Mremap => match &self.other {
                Some(other) => self.area.move_over(other),
                None => Err(Errno::EINVAL),
            },
            Operation::MremapShrink => self.area.shrink(pages / 2),
            Operation::MmapOver => self.area.map_over(),
            Operation::Guard => self.area.guard(),
            Operation::Truncate => ftruncate(self.file()?, 0),
            Operation::PunchHole => fallocate(
                self.file()?,
                FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
                0,
                (pages * PAGE) as i64,
            ),
            Operation::Remove => self.area.advise(MmapAdvise::MADV_REMOVE),
            Operation::Fork => {
                self.sleeper = Some(Sleeper(sys::fork_sleeper()?));
                Ok(())
            }
            // One page: one fault.
            Operation::CopyOnWrite => self.area.touch(0, 1),
            Operation::Hold | Operation::HoldUntouched => Ok(()),
            Operation::Hog => {
                let hoard = Area::map(HOG_PAGES, None)?;
                hoard.touch(0, HOG_PAGES)?;
                // The OOM killer has not ended this process.
                Err(Errno::EDQUOT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for operation in Operation::ALL {
            assert_eq!(operation.to_string().parse(), Ok(operation));
            for place in Place::ALL {
                let work = Work { operation, place };
                assert_eq!(work.to_string().parse(), Ok(work));
            }
        }
        assert!("munmap".parse::<Operation>().is_err());
        assert!("Hold".parse::<Work>().is_err());
    }
}
