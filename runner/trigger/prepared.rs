// SPDX-License-Identifier: GPL-2.0

//! The operations, carried out: the memory of each, what else it needs, and its system calls.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::MmapAdvise;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, ftruncate, write as write_to};
use signal_hook::consts::SIGBUS;
use signal_hook::flag;

use crate::injector::line::errno_of;
use crate::os::sys;
use crate::os::sys::{Area, Dmirror, GIGABYTE, PAGE, Probe, RobustThread, UserFault};
use crate::trigger::operation::{OFTEN, Operation, Work};
use crate::trigger::place::{Filled, PAGES, Place};

/// Pages that [`Operation::Hog`] touches at most; its cgroup must allow fewer.
const HOG_PAGES: usize = (64 << 20) / PAGE;

/// Page tables of [`Operation::ScanRegions`]. The kernel's own buffer has room for the regions of two,
/// so it gets through them in six passes (`pagemap_scan_init_bounce_buffer()`).
const SCANNED_TABLES: usize = 12;

/// The file that takes commands about all pages of this process.
const CLEAR_REFS: &str = "/proc/self/clear_refs";

/// The file for `PAGEMAP_SCAN`.
const PAGEMAP: &str = "/proc/self/pagemap";

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
    user_fault: Option<UserFault>,
    thread: Option<RobustThread>,
    probe: Option<Probe>,
    device: Option<Dmirror>,
    has_acted: bool,
}

impl Prepared {
    /// Maps and populates the memory, so that the operation itself does nothing else.
    ///
    /// # Errors
    ///
    /// The errno of the system call that failed.
    pub fn new(work: Work) -> Result<Self, Errno> {
        let Work {
            operation,
            place,
            filled,
        } = work;
        let has_file = operation.is_on_file() || operation.is_on_text() || place.is_of_file();
        let file = has_file.then(|| place.file()).transpose()?;
        let area = match operation {
            Operation::HoldUntouched => Area::map_apart(PAGES, None)?,
            Operation::ScanRegions => Area::map_tables(SCANNED_TABLES, None)?,
            Operation::Probe | Operation::RemoveProbe => map_text(file.as_ref())?,
            Operation::HoldFileTwice => {
                Area::map_text(PAGES, file.as_ref().ok_or(Errno::EBADF)?)?;
                place.map(file.as_ref())?
            }
            _ => place.map(file.as_ref())?,
        };
        match operation {
            Operation::HoldUntouched | Operation::MakeOnDevice | Operation::ScanHole => {}
            // khugepaged takes no VMA that never had a page.
            Operation::FillHuge => {
                area.touch(0, 1)?;
                area.advise(MmapAdvise::MADV_DONTNEED)?;
            }
            _ if place == Place::Dax => area.peek()?,
            Operation::WriteZeroes
            | Operation::UffdMoveZeroes
            | Operation::Probe
            | Operation::RemoveProbe => area.peek()?,
            Operation::ScanRegions => {
                let mut every_second = (0..area.pages()).step_by(2);
                every_second.try_for_each(|page| area.touch(page, 1))?;
            }
            Operation::HoldMergeable => {
                (0..area.pages()).try_for_each(|page| area.put(page, &[1; PAGE]))?;
                area.advise(MmapAdvise::MADV_MERGEABLE)?;
            }
            Operation::CollapseMapped => {
                let first = place.map(file.as_ref())?;
                first.fill()?;
                first.collapse()?;
                fill_small(&area)?;
            }
            Operation::Collapse | Operation::AllowHuge | Operation::AllowHugeOld => {
                fill_small(&area)?;
            }
            // Each page is one call when another process collapses the table.
            Operation::HoldFile | Operation::HoldFileTwice => area.fill_first(PAGES)?,
            _ => fill(&area, filled)?,
        }
        if place == Place::Huge {
            demand_huge(&area)?;
        }
        let mut prepared = Prepared {
            operation,
            area,
            other: None,
            sleeper: None,
            file,
            user_fault: operation.feature().map(UserFault::new).transpose()?,
            thread: None,
            probe: None,
            device: operation.has_device().then(open_device).transpose()?,
            has_acted: false,
        };
        prepared.complete(place)?;
        Ok(prepared)
    }

    /// Makes what the operation needs besides its memory.
    fn complete(&mut self, place: Place) -> Result<(), Errno> {
        match self.operation {
            Operation::MunmapTwoVmas | Operation::DontneedTwoVmas => {
                self.area.protect(PAGES / 2, PAGES / 2, true)?;
            }
            Operation::Mremap if place == Place::AtZero => {
                self.other = Some(Place::Anywhere.map(None)?);
            }
            Operation::Mremap => self.other = Some(place.map(None)?),
            Operation::HoldForked => {
                // After it was written: the parts of a VMA that is split share its anon_vma, and
                // the child has one more for each part, all with one root.
                self.area.protect(PAGES / 2, PAGES / 2, true)?;
                self.sleeper = Some(Sleeper(sys::fork_sleeper()?));
            }
            Operation::CopyOnWrite => self.sleeper = Some(Sleeper(sys::fork_sleeper()?)),
            Operation::EndOfThread => {
                self.thread = Some(RobustThread::start(&self.area)?);
                self.sleeper = Some(Sleeper(sys::fork_sleeper()?));
            }
            Operation::ScanPagemap | Operation::ScanRegions | Operation::UffdProtect => {
                self.user_fault()?.watch(self.area.range())?;
            }
            Operation::UffdProtectHugetlb | Operation::ScanHole => {
                self.user_fault()?.watch(self.gigabyte())?;
            }
            Operation::UffdMove | Operation::UffdMoveZeroes => {
                let other = place.map(None)?;
                self.user_fault()?.receive(other.range())?;
                self.other = Some(other);
            }
            Operation::RemoveProbe => self.probe = Some(Probe::new(self.file()?)?),
            Operation::TakeBack => self.device()?.take(&self.area)?,
            Operation::MigrateBack => self.device()?.migrate(&self.area)?,
            // Whether it was carried out is known from the call: the signal only says which page is
            // lost, and it would end the process.
            Operation::Poison => {
                flag::register(SIGBUS, Arc::default()).map_err(|error| errno_of(&error))?;
            }
            Operation::WriteZeroes => {
                // Without memory for a huge page, the kernel would write to a small one.
                let spare = place.map(None)?;
                spare.fill()?;
                demand_huge(&spare)?;
                spare.unmap(0, spare.pages())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A child that shares the memory, and has executed nothing.
    pub fn child(&self) -> Option<Pid> {
        self.sleeper.as_ref().map(|sleeper| sleeper.0)
    }

    /// The thread that makes the calls, if it is not the one that carries out the operation.
    pub fn caller(&self) -> Option<i32> {
        self.thread.as_ref().map(RobustThread::tid)
    }

    /// The addresses that the operation works on.
    pub fn watched(&self) -> (u64, u64) {
        self.area.range()
    }

    /// The file that is mapped.
    fn file(&self) -> Result<&OwnedFd, Errno> {
        self.file.as_ref().ok_or(Errno::EBADF)
    }

    /// The other area.
    fn other(&self) -> Result<&Area, Errno> {
        self.other.as_ref().ok_or(Errno::EINVAL)
    }

    /// The gigabyte in which the memory lies.
    fn gigabyte(&self) -> (u64, u64) {
        let start = self.watched().0 - self.area.offset() as u64;
        (start, start + GIGABYTE as u64)
    }

    /// The device.
    fn device(&self) -> Result<&Dmirror, Errno> {
        self.device.as_ref().ok_or(Errno::ENODEV)
    }

    /// The userfaultfd.
    fn user_fault(&self) -> Result<&UserFault, Errno> {
        self.user_fault.as_ref().ok_or(Errno::EBADF)
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
            Operation::Pageout | Operation::PageoutToSwap => {
                self.area.advise(MmapAdvise::MADV_PAGEOUT)
            }
            Operation::Poison if pages > PAGES => self.area.advise(MmapAdvise::MADV_HWPOISON),
            Operation::Poison => self.area.advise_first(MmapAdvise::MADV_HWPOISON),
            Operation::SoftOffline => self.area.advise(MmapAdvise::MADV_SOFT_OFFLINE),
            Operation::MovePages => sys::move_pages(self.watched()),
            Operation::Sync => self.area.sync(),
            Operation::Probe => {
                self.probe = Some(Probe::new(self.file()?)?);
                Ok(())
            }
            Operation::RemoveProbe => {
                self.probe = None;
                Ok(())
            }
            Operation::TakeForDevice => self.device()?.take(&self.area),
            Operation::MigrateToDevice | Operation::MakeOnDevice => {
                self.device()?.migrate(&self.area)
            }
            Operation::Willneed => self.area.advise(MmapAdvise::MADV_WILLNEED),
            Operation::Mprotect => self.area.protect(0, pages, true),
            Operation::MprotectSame => self.area.protect(0, pages, false),
            Operation::Mremap => self.area.move_over(self.other()?),
            Operation::MremapShrink => self.area.shrink(pages / 2),
            Operation::MmapOver => self.area.map_over(),
            Operation::Guard => self.area.guard(),
            Operation::Truncate => ftruncate(self.file()?, 0),
            Operation::PunchHole => fallocate(
                self.file()?,
                FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
                self.area.offset() as i64,
                (pages * PAGE) as i64,
            ),
            Operation::Remove => self.area.advise(MmapAdvise::MADV_REMOVE),
            Operation::Fork => {
                self.sleeper = Some(Sleeper(sys::fork_sleeper()?));
                Ok(())
            }
            // One page: one fault.
            Operation::CopyOnWrite
            | Operation::WriteZeroes
            | Operation::TakeBack
            | Operation::MigrateBack => self.area.touch(0, 1),
            Operation::EndOfThread => match &mut self.thread {
                Some(thread) => thread.end(),
                None => Err(Errno::ESRCH),
            },
            Operation::ClearRefs => write(CLEAR_REFS, "4"),
            Operation::ClearReferenced => write(CLEAR_REFS, "1"),
            Operation::ScanPagemap => sys::scan_pagemap(open(PAGEMAP)?, self.watched(), 0),
            Operation::ScanRegions => sys::scan_pagemap(open(PAGEMAP)?, self.watched(), pages / 2),
            Operation::ScanHole => {
                let (start, _) = self.watched();
                sys::protect_by_scan(open(PAGEMAP)?, (start, start + PAGE as u64))
            }
            Operation::UffdProtect | Operation::UffdProtectHugetlb => {
                self.user_fault()?.protect(self.watched())
            }
            Operation::UffdMove | Operation::UffdMoveZeroes => {
                self.user_fault()?.move_pages(&self.area, self.other()?)
            }
            Operation::Collapse | Operation::CollapseMapped => self.area.collapse(),
            Operation::AllowHuge => self.area.advise(MmapAdvise::MADV_HUGEPAGE),
            Operation::AllowHugeOld => {
                write(CLEAR_REFS, "1")?;
                self.area.touch(0, 1)?;
                self.area.advise(MmapAdvise::MADV_HUGEPAGE)
            }
            Operation::FillHuge if self.has_acted => self.area.advise(MmapAdvise::MADV_NOHUGEPAGE),
            Operation::FillHuge => {
                self.has_acted = true;
                self.area.advise(MmapAdvise::MADV_HUGEPAGE)?;
                self.area.fill()
            }
            Operation::UffdRegister => self.user_fault()?.watch(self.gigabyte()),
            Operation::LockPart => self.area.lock(pages / 4, PAGES),
            Operation::DontDumpPart => self.area.dont_dump(PAGES / 2, 1),
            Operation::Hold
            | Operation::HoldFile
            | Operation::HoldFileTwice
            | Operation::HoldMergeable
            | Operation::HoldUntouched
            | Operation::HoldForked => Ok(()),
            Operation::Hog => {
                let hoard = Area::map(HOG_PAGES, None)?;
                hoard.touch(0, HOG_PAGES)?;
                // The OOM killer has not ended this process.
                Err(Errno::EDQUOT)
            }
        }
    }
}

/// Fills that part of an area.
fn fill(area: &Area, filled: Filled) -> Result<(), Errno> {
    match filled {
        Filled::Whole => area.fill(),
        Filled::Last => area.touch(area.pages() - 1, 1),
        Filled::Nothing => Ok(()),
    }
}

/// Fills an area with small pages, also where huge ones are the rule. khugepaged never hears of the
/// process: it would be told by MADV_HUGEPAGE.
fn fill_small(area: &Area) -> Result<(), Errno> {
    prctl::set_thp_disable(true)?;
    area.fill()?;
    prctl::set_thp_disable(false)
}

/// Maps a file of instructions that do nothing.
fn map_text(file: Option<&OwnedFd>) -> Result<Area, Errno> {
    let file = file.ok_or(Errno::EBADF)?;
    let page = sys::NOTHING.repeat(PAGE / sys::NOTHING.len());
    for _ in 0..PAGES {
        if write_to(file, &page)? != PAGE {
            return Err(Errno::EIO);
        }
    }
    Area::map_text(PAGES, file)
}

/// Fails with `ENOMEM` unless one huge page is mapped in an area: the kernel has no memory in one
/// piece, or is set not to use it for that.
fn demand_huge(area: &Area) -> Result<(), Errno> {
    if sys::is_huge(open(PAGEMAP)?, area.range())? {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    fs::write(path, text).map_err(|error| errno_of(&error))
}

fn open_device() -> Result<Dmirror, Errno> {
    Dmirror::open().map_err(|error| errno_of(&error))
}

fn open(path: &str) -> Result<File, Errno> {
    File::open(path).map_err(|error| errno_of(&error))
}
