// SPDX-License-Identifier: GPL-2.0

//! The memory operations that a subject carries out on memory of its own. How it does is in
//! [`crate::trigger::prepared`].

use std::fmt;
use std::str::FromStr;

use crate::os::sys::Feature;
use crate::trigger::place::{Filled, Place};

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
    /// `madvise(MADV_PAGEOUT)` on anonymous memory, for which there is swap space.
    PageoutToSwap,
    /// `madvise(MADV_HWPOISON)` of a page, which is lost then.
    Poison,
    /// `madvise(MADV_SOFT_OFFLINE)`, by which the pages move to others, and are lost.
    SoftOffline,
    /// `move_pages` to another NUMA node.
    MovePages,
    /// `msync(MS_SYNC)` of a file that is mapped shared and was written to.
    Sync,
    /// A user-space probe of a page of code.
    Probe,
    /// Its removal.
    RemoveProbe,
    /// A device takes the pages for itself (`make_device_exclusive()`).
    TakeForDevice,
    /// A write to a page that a device has taken.
    TakeBack,
    /// The pages move to the memory of a device (`migrate_vma_setup()`).
    MigrateToDevice,
    /// The same where no pages are yet: they are made there.
    MakeOnDevice,
    /// A write to a page in the memory of a device, which moves back.
    MigrateBack,
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
    /// The end of a thread that holds a robust futex in a page that a forked child shares.
    EndOfThread,
    /// `4` is written to `/proc/self/clear_refs`.
    ClearRefs,
    /// `PAGEMAP_SCAN`, which write-protects the pages.
    ScanPagemap,
    /// The same with a vector for the pages: every second one, on more page tables than one pass of
    /// the kernel gets through.
    ScanRegions,
    /// `PAGEMAP_SCAN`, which write-protects a small page in the place of a huge page of hugetlbfs that
    /// is not there.
    ScanHole,
    /// `UFFDIO_WRITEPROTECT`.
    UffdProtect,
    /// `UFFDIO_WRITEPROTECT` of a huge page in a shared gigabyte of hugetlbfs.
    UffdProtectHugetlb,
    /// `UFFDIO_MOVE` to other addresses.
    UffdMove,
    /// The same with pages that were only read, so that each is the zero page.
    UffdMoveZeroes,
    /// `madvise(MADV_COLLAPSE)` of small pages to a huge one.
    Collapse,
    /// `madvise(MADV_HUGEPAGE)` of small pages, which khugepaged collapses then.
    AllowHuge,
    /// The same after all of them but the first have been made old.
    AllowHugeOld,
    /// `madvise(MADV_HUGEPAGE)` of memory without pages, and then a write to every page. The second
    /// time it is `madvise(MADV_NOHUGEPAGE)`.
    FillHuge,
    /// `madvise(MADV_COLLAPSE)` of a memfd that has a huge page, of which small ones are mapped.
    CollapseMapped,
    /// `UFFDIO_REGISTER`, for write protection, of the gigabyte in which the memory lies.
    UffdRegister,
    /// `mlock` of some pages of a huge one.
    LockPart,
    /// `madvise(MADV_DONTDUMP)` of a page, which splits the VMA and changes no page.
    DontDumpPart,
    /// `1` is written to `/proc/self/clear_refs`.
    ClearReferenced,
    /// A write to the huge zero page.
    WriteZeroes,
    /// No system call: the process only holds its memory.
    Hold,
    /// No system call, and the memory is that of a memfd that is mapped shared.
    HoldFile,
    /// The same, and a private mapping of the memfd was made before.
    HoldFileTwice,
    /// No system call, and all pages have the same content, and may be merged.
    HoldMergeable,
    /// No system call, and the memory was never touched, so it has no page table.
    HoldUntouched,
    /// No system call, and the memory is two VMAs of one `anon_vma`, shared with a forked child.
    HoldForked,
    /// Touches memory until its cgroup has none left; the OOM killer ends it.
    Hog,
}

impl Operation {
    const ALL: [Operation; 59] = [
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
        Operation::PageoutToSwap,
        Operation::Poison,
        Operation::SoftOffline,
        Operation::MovePages,
        Operation::Sync,
        Operation::Probe,
        Operation::RemoveProbe,
        Operation::TakeForDevice,
        Operation::TakeBack,
        Operation::MigrateToDevice,
        Operation::MakeOnDevice,
        Operation::MigrateBack,
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
        Operation::EndOfThread,
        Operation::ClearRefs,
        Operation::ScanPagemap,
        Operation::ScanRegions,
        Operation::ScanHole,
        Operation::UffdProtect,
        Operation::UffdProtectHugetlb,
        Operation::UffdMove,
        Operation::UffdMoveZeroes,
        Operation::Collapse,
        Operation::AllowHuge,
        Operation::AllowHugeOld,
        Operation::FillHuge,
        Operation::CollapseMapped,
        Operation::UffdRegister,
        Operation::LockPart,
        Operation::DontDumpPart,
        Operation::ClearReferenced,
        Operation::WriteZeroes,
        Operation::Hold,
        Operation::HoldFile,
        Operation::HoldFileTwice,
        Operation::HoldMergeable,
        Operation::HoldUntouched,
        Operation::HoldForked,
        Operation::Hog,
    ];

    /// Whether it works on a memfd that is mapped shared, and not on anonymous memory.
    pub(super) const fn is_on_file(self) -> bool {
        matches!(
            self,
            Operation::Pageout
                | Operation::Willneed
                | Operation::Truncate
                | Operation::PunchHole
                | Operation::Remove
                | Operation::CollapseMapped
                | Operation::HoldFile
                | Operation::HoldFileTwice
        )
    }

    /// Whether it works on a page of code.
    pub(super) const fn is_on_text(self) -> bool {
        matches!(self, Operation::Probe | Operation::RemoveProbe)
    }

    /// Whether it works with a device that has memory of its own.
    pub(super) const fn has_device(self) -> bool {
        matches!(
            self,
            Operation::TakeForDevice
                | Operation::TakeBack
                | Operation::MigrateToDevice
                | Operation::MakeOnDevice
                | Operation::MigrateBack
        )
    }

    /// Whether memory of the machine is lost by it.
    pub const fn loses_memory(self) -> bool {
        matches!(self, Operation::Poison | Operation::SoftOffline)
    }

    /// The feature of userfaultfd(2) that it is about.
    pub const fn feature(self) -> Option<Feature> {
        match self {
            Operation::ScanPagemap | Operation::ScanRegions => Some(Feature::WriteProtectAsync),
            Operation::UffdProtect => Some(Feature::WriteProtect),
            Operation::UffdMove | Operation::UffdMoveZeroes => Some(Feature::Move),
            Operation::UffdRegister | Operation::UffdProtectHugetlb => {
                Some(Feature::WriteProtectHugetlb)
            }
            Operation::ScanHole => Some(Feature::WriteProtectAsyncHugetlb),
            _ => None,
        }
    }
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

/// An operation on memory at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The operation.
    pub operation: Operation,
    /// The place.
    pub place: Place,
    /// The part that is touched, for an operation on memory that is written to.
    pub filled: Filled,
}

impl From<Operation> for Work {
    fn from(operation: Operation) -> Self {
        Work {
            operation,
            place: Place::Anywhere,
            filled: Filled::Whole,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.operation, self.place, self.filled)
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let words: Vec<&str> = words.split(' ').collect();
        let [operation, place, filled] = words[..] else {
            return Err(format!("{words:?} are no operation, place and part of it"));
        };
        let is_place = |one: &Place| format!("{one:?}") == place;
        let is_filled = |one: &Filled| format!("{one:?}") == filled;
        Ok(Work {
            operation: operation.parse()?,
            place: Place::ALL
                .into_iter()
                .find(is_place)
                .ok_or_else(|| format!("unknown place {place:?}"))?,
            filled: Filled::ALL
                .into_iter()
                .find(is_filled)
                .ok_or_else(|| format!("unknown part {filled:?}"))?,
        })
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
                for filled in Filled::ALL {
                    let work = Work {
                        operation,
                        place,
                        filled,
                    };
                    assert_eq!(work.to_string().parse(), Ok(work));
                }
            }
        }
        assert!("munmap".parse::<Operation>().is_err());
        assert!("Hold".parse::<Work>().is_err());
    }
}
