// SPDX-License-Identifier: GPL-2.0

//! The triggers: each makes the kernel call the notifiers of a process.

use nix::libc;

use crate::contract::Needs;
use crate::model::{Arming, Context, Count, End, Extent, NotifierEvent, PagesFate, ReaperMessage};
use crate::scenario::script::{Caller, Death, Script};
use crate::trigger::operation::{Operation, Work};
use crate::trigger::place::{Filled, Place};
use crate::trigger::remote::Remote;

/// The way in which the kernel is made to call the notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// A process does something to its own memory.
    Own(Operation),
    /// Another process does something to it.
    Remote(Remote),
    /// ksmd merges its pages.
    Ksm,
    /// khugepaged collapses its pages.
    Khugepaged,
    /// `process_mrelease(2)` on a process that is held on its way out.
    Mrelease,
    /// A memory cgroup runs out of memory, and the OOM reaper reaps the victim, which is held.
    MemcgOom,
    /// The same for the whole machine, by sysrq `f`.
    GlobalOom,
    /// The module zaps the pages, as a driver may; or in an atomic section, which is a mistake.
    Zap {
        /// Whether it holds a spinlock meanwhile.
        is_atomic: bool,
    },
    /// Several steps.
    Script(Script),
}

impl TriggerKind {
    /// Whether the OOM reaper makes the calls.
    pub const fn is_oom(self) -> bool {
        matches!(self, TriggerKind::MemcgOom | TriggerKind::GlobalOom)
    }

    /// The operation for which the subject prepares its memory.
    pub const fn operation(self) -> Operation {
        match self {
            TriggerKind::Own(operation) => operation,
            TriggerKind::Remote(remote) => remote.operation(),
            TriggerKind::Ksm => Operation::HoldMergeable,
            TriggerKind::Khugepaged => Operation::AllowHuge,
            TriggerKind::Mrelease | TriggerKind::GlobalOom => Operation::Hold,
            TriggerKind::MemcgOom => Operation::Hog,
            // In an atomic section a zap of page tables need not end: it stops at every entry for
            // as long as it should be preempted.
            TriggerKind::Zap { .. } => Operation::HoldUntouched,
            TriggerKind::Script(script) => script.operation,
        }
    }

    /// The death of the subject before its notifiers are removed.
    pub const fn death(self) -> Death {
        match self {
            TriggerKind::Own(_)
            | TriggerKind::Remote(_)
            | TriggerKind::Ksm
            | TriggerKind::Khugepaged
            | TriggerKind::Zap { .. } => Death::No,
            TriggerKind::Mrelease => Death::KilledBefore,
            TriggerKind::MemcgOom | TriggerKind::GlobalOom => Death::HeldAtExit,
            TriggerKind::Script(script) => script.death,
        }
    }

    /// Whether another process does something to the subject while it is alive.
    pub const fn has_helper(self) -> bool {
        match self {
            TriggerKind::Remote(_) => true,
            TriggerKind::Script(script) => matches!(script.caller, Caller::Helper),
            _ => false,
        }
    }

    /// Whether the subject is in a memory cgroup of its own, which pages are taken from.
    pub const fn is_reclaimed(self) -> bool {
        matches!(self, TriggerKind::Remote(Remote::Reclaim))
    }

    /// Whether the pages go to other memory or to swap space, of which there may not be enough.
    pub const fn needs_room(self) -> bool {
        match self {
            TriggerKind::Own(operation) => matches!(
                operation,
                Operation::PageoutToSwap | Operation::MovePages | Operation::SoftOffline
            ),
            TriggerKind::Remote(remote) => matches!(remote, Remote::Reclaim),
            _ => false,
        }
    }

    /// The thread that makes the calls on the watched addresses.
    pub const fn caller(self) -> Caller {
        match self {
            TriggerKind::Own(_) => Caller::Subject,
            TriggerKind::Remote(Remote::Sync) => Caller::Worker,
            TriggerKind::Remote(_) | TriggerKind::Mrelease => Caller::Helper,
            TriggerKind::MemcgOom | TriggerKind::GlobalOom => Caller::OomReaper,
            TriggerKind::Ksm => Caller::Ksmd,
            TriggerKind::Khugepaged => Caller::Khugepaged,
            TriggerKind::Zap { .. } => Caller::Runner,
            TriggerKind::Script(script) => script.caller,
        }
    }

    /// The state of the subject when its notifiers are removed.
    pub const fn end(self) -> End {
        match self {
            TriggerKind::Script(script) => script.end,
            _ => End::There,
        }
    }

    /// Whether the calls of `->release()` are counted while the notifiers are removed.
    pub const fn counts_releases(self) -> bool {
        matches!(self, TriggerKind::Script(script) if script.counts_releases)
    }

    /// Whether the module must have been loaded with `breach=1`, whatever its injectors do.
    pub const fn needs_breach(self) -> bool {
        match self {
            TriggerKind::Zap { is_atomic } => is_atomic,
            TriggerKind::Script(script) => script.needs_breach,
            _ => false,
        }
    }

    /// Whether it concerns other processes, or memory is lost by it.
    pub const fn is_for_disposable(self) -> bool {
        match self {
            TriggerKind::GlobalOom => true,
            TriggerKind::Own(operation) => operation.loses_memory(),
            TriggerKind::Script(script) => script.is_for_disposable,
            _ => false,
        }
    }

    /// Reason why User Mode Linux cannot have it.
    pub fn why_not_user_mode(self) -> Option<&'static str> {
        match self {
            TriggerKind::Script(script) => script.steps.why_not_user_mode(),
            _ => None,
        }
    }
}

/// The effects of an invalidation that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The return value of the operation.
    pub outcome: i32,
    /// The number of calls.
    pub calls: Count,
    /// The closing line of the OOM reaper.
    pub reaper: Option<ReaperMessage>,
    /// The state of the pages.
    pub pages: Option<PagesFate>,
}

/// One way to make the kernel call a notifier, and its effects.
///
/// The counts are those of Linux 7.2 and 7.3 for an area of 16 pages of its own.
#[derive(Clone, Copy, Debug)]
pub struct Trigger {
    /// First part of the scenarios' names.
    pub name: &'static str,
    /// A description for people.
    pub about: &'static str,
    /// The way.
    pub kind: TriggerKind,
    /// The place of the memory.
    pub place: Place,
    /// The part of it that was touched.
    pub filled: Filled,
    /// The event of the calls.
    pub event: NotifierEvent,
    /// The event of the last one, where that is another one. It is not made to fail.
    pub last_event: Option<NotifierEvent>,
    /// Their context.
    pub context: Context,
    /// Their number on the area.
    pub calls: Count,
    /// The addresses of each of them; [`None`] where they are not checked.
    pub extent: Option<Extent>,
    /// The closing line of the OOM reaper if no notifier refuses.
    pub reaper: Option<ReaperMessage>,
    /// The state of the area's pages if no notifier refuses, where that is checked.
    pub pages: Option<PagesFate>,
    /// The effects of a refusal. In blockable context the kernel ignores one.
    pub refused: Option<Refused>,
    /// The ways in which the injector is set.
    pub armings: &'static [Arming],
    /// The part of memory management that the kernel must have.
    pub needs: Option<Needs>,
}

impl Trigger {
    /// The same on memory at another place.
    pub const fn at(self, place: Place) -> Self {
        Trigger { place, ..self }
    }

    /// The same, on a kernel that has that.
    pub(super) const fn needing(self, needs: Needs) -> Self {
        Trigger {
            needs: Some(needs),
            ..self
        }
    }

    /// The same, for calls that are for the whole address space: none is elsewhere.
    const fn everywhere(self) -> Self {
        Trigger {
            extent: Some(Extent::Everything),
            armings: NOT_FILTERED,
            ..self
        }
    }

    /// The same, with that fate of the pages if no notifier refuses.
    const fn leaving(self, fate: PagesFate) -> Self {
        Trigger {
            pages: Some(fate),
            ..self
        }
    }

    /// The same, with calls for these addresses.
    pub(super) const fn reaching(self, extent: Extent) -> Self {
        Trigger {
            extent: Some(extent),
            ..self
        }
    }

    /// The same, with a last call that has another event.
    const fn ending(self, event: NotifierEvent) -> Self {
        Trigger {
            last_event: Some(event),
            ..self
        }
    }

    /// The operation for which the subject prepares its memory, and where.
    pub const fn work(&self) -> Work {
        Work {
            operation: self.kind.operation(),
            place: self.place,
            filled: self.filled,
        }
    }

    /// Reason why User Mode Linux cannot have it.
    pub fn why_not_user_mode(&self) -> Option<&'static str> {
        match self.place {
            Place::AtZero => Some("User Mode Linux maps nothing at address 0"),
            _ => self.kind.why_not_user_mode(),
        }
    }
}

const EAGAIN: i32 = -libc::EAGAIN;
const EBUSY: i32 = -libc::EBUSY;
const EINTR: i32 = -libc::EINTR;
const ENOMEM: i32 = -libc::ENOMEM;

/// One failure, and the two controls in which no callback fails.
const ONE_ERROR: &[Arming] = &[
    Arming::Fail(EAGAIN),
    Arming::Filtered(EAGAIN),
    Arming::Unarmed,
];

/// Every kind of error, and the controls.
const ALL_ERRORS: &[Arming] = &[
    Arming::Fail(EAGAIN),
    Arming::Fail(EBUSY),
    Arming::Fail(EINTR),
    Arming::Fail(ENOMEM),
    Arming::Filtered(EAGAIN),
    Arming::Unarmed,
];

/// One failure, and a control.
const NOT_FILTERED: &[Arming] = &[Arming::Fail(EAGAIN), Arming::Unarmed];

/// The controls alone.
const NO_ERROR: &[Arming] = &[Arming::Filtered(EAGAIN), Arming::Unarmed];

/// A trigger in blockable context.
pub const fn made(
    kind: TriggerKind,
    name: &'static str,
    about: &'static str,
    event: NotifierEvent,
    calls: Count,
) -> Trigger {
    Trigger {
        name,
        about,
        kind,
        place: Place::Anywhere,
        filled: Filled::Whole,
        event,
        last_event: None,
        context: Context::Blockable,
        calls,
        extent: Some(Extent::All),
        reaper: None,
        pages: None,
        refused: None,
        armings: ONE_ERROR,
        needs: None,
    }
}

/// One in which the process itself does it.
pub const fn blockable(
    name: &'static str,
    about: &'static str,
    operation: Operation,
    event: NotifierEvent,
    calls: Count,
) -> Trigger {
    made(TriggerKind::Own(operation), name, about, event, calls)
}

/// One in which another process does it.
const fn remote(
    name: &'static str,
    about: &'static str,
    operation: Remote,
    event: NotifierEvent,
    calls: Count,
) -> Trigger {
    made(TriggerKind::Remote(operation), name, about, event, calls)
}

use Count::{AtLeast, Exactly, OrMore};
use NotifierEvent::{Clear, Exclusive, Migrate, ProtectionPage, ProtectionVma, SoftDirty, Unmap};

/// A page of a gigabyte, or its page table, which two processes may share (`huge_pmd_unshare()`).
const GIGABYTE: Extent = Extent::Block { bytes: 1 << 30 };

/// `munmap` of a whole VMA.
pub const MUNMAP: Trigger = Trigger {
    pages: Some(PagesFate::Gone),
    armings: ALL_ERRORS,
    ..blockable(
        "munmap-whole",
        "munmap of a whole VMA",
        Operation::MunmapWhole,
        Unmap,
        Exactly(1),
    )
};

/// `madvise(MADV_DONTNEED)`.
pub const DONTNEED: Trigger = Trigger {
    pages: Some(PagesFate::Zeroed),
    armings: ALL_ERRORS,
    ..blockable(
        "madvise-dontneed",
        "madvise(MADV_DONTNEED) of a VMA",
        Operation::Dontneed,
        Clear,
        Exactly(1),
    )
};

/// `mprotect`.
pub const MPROTECT: Trigger = Trigger {
    pages: Some(PagesFate::Kept),
    ..blockable(
        "mprotect",
        "mprotect to read-only",
        Operation::Mprotect,
        ProtectionVma,
        Exactly(1),
    )
};

/// `mremap`: the move of the page tables, then the unmapping of what they left.
pub const MREMAP: Trigger = blockable(
    "mremap",
    "mremap to another address",
    Operation::Mremap,
    Unmap,
    Exactly(2),
);

/// `fork`.
pub const FORK: Trigger = Trigger {
    pages: Some(PagesFate::Kept),
    ..blockable(
        "fork",
        "fork, which write-protects private pages",
        Operation::Fork,
        ProtectionPage,
        Exactly(1),
    )
};

/// `process_mrelease(2)`.
pub const MRELEASE: Trigger = Trigger {
    name: "mrelease",
    about: "process_mrelease of a dying process",
    kind: TriggerKind::Mrelease,
    place: Place::Anywhere,
    filled: Filled::Whole,
    event: Clear,
    last_event: None,
    context: Context::NonBlockable,
    calls: Exactly(1),
    extent: Some(Extent::All),
    reaper: None,
    pages: Some(PagesFate::Gone),
    refused: Some(Refused {
        outcome: EAGAIN,
        calls: Exactly(1),
        reaper: None,
        pages: Some(PagesFate::Kept),
    }),
    armings: ALL_ERRORS,
    needs: None,
};

/// Number of attempts of the OOM reaper: MAX_OOM_REAP_RETRIES in mm/oom_kill.c.
pub const REAP_ATTEMPTS: u64 = 10;

/// The OOM reaper, after a memory cgroup ran out.
pub const MEMCG_OOM: Trigger = Trigger {
    name: "oom-memcg",
    about: "the OOM reaper after a memory cgroup ran out",
    kind: TriggerKind::MemcgOom,
    place: Place::Anywhere,
    filled: Filled::Whole,
    event: Clear,
    last_event: None,
    context: Context::NonBlockable,
    calls: Exactly(1),
    extent: Some(Extent::All),
    reaper: Some(ReaperMessage::Reaped),
    pages: Some(PagesFate::Gone),
    refused: Some(Refused {
        outcome: 0,
        calls: Exactly(REAP_ATTEMPTS),
        reaper: Some(ReaperMessage::UnableToReap),
        pages: Some(PagesFate::Kept),
    }),
    armings: ONE_ERROR,
    needs: None,
};

/// All triggers, in the order in which they run.
#[rustfmt::skip]
pub const TRIGGERS: &[Trigger] = &[
    MUNMAP,
    blockable("munmap-part", "munmap of pages inside a VMA", Operation::MunmapPart, Unmap, Exactly(1)).reaching(Extent::Pages { first: 4, count: 8 }),
    blockable("munmap-two-vmas", "munmap across two VMAs", Operation::MunmapTwoVmas, Unmap, Exactly(1)),
    DONTNEED,
    blockable("madvise-dontneed-two-vmas", "madvise(MADV_DONTNEED) across two VMAs", Operation::DontneedTwoVmas, Clear, Exactly(2)).reaching(Extent::Halves),
    blockable("madvise-free", "madvise(MADV_FREE) of a VMA", Operation::Free, Clear, Exactly(1)),
    blockable("madvise-pageout", "madvise(MADV_PAGEOUT) of a shared memfd", Operation::Pageout, Clear, AtLeast(1)).reaching(Extent::EachPage),
    blockable("madvise-cold", "madvise(MADV_COLD), which must not notify", Operation::Cold, Clear, Exactly(0)),
    blockable("madvise-willneed", "madvise(MADV_WILLNEED), which must not notify", Operation::Willneed, Clear, Exactly(0)),
    MPROTECT,
    blockable("mprotect-same", "mprotect to what it is, which must not notify", Operation::MprotectSame, ProtectionVma, Exactly(0)),
    MREMAP,
    blockable("mremap-shrink", "mremap to half of the size", Operation::MremapShrink, Unmap, Exactly(1)).reaching(Extent::Pages { first: 8, count: 8 }),
    blockable("mmap-over", "mmap(MAP_FIXED) over a VMA", Operation::MmapOver, Unmap, Exactly(1)).leaving(PagesFate::Zeroed),
    blockable("madvise-guard", "madvise(MADV_GUARD_INSTALL) of a VMA", Operation::Guard, Clear, Exactly(1)).leaving(PagesFate::Gone),
    // unmap_mapping_range() before and after the pages leave the file: truncate_pagecache().
    blockable("memfd-truncate", "ftruncate of a memfd that is mapped", Operation::Truncate, Clear, Exactly(2)).leaving(PagesFate::Gone),
    blockable("memfd-punch-hole", "fallocate(FALLOC_FL_PUNCH_HOLE) in a memfd that is mapped", Operation::PunchHole, Clear, Exactly(1)).leaving(PagesFate::Zeroed),
    blockable("madvise-remove", "madvise(MADV_REMOVE) on a memfd that is mapped", Operation::Remove, Clear, Exactly(1)).leaving(PagesFate::Zeroed),
    FORK,
    blockable("copy-on-write", "write to a page shared with a child", Operation::CopyOnWrite, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }),
    blockable("exit-robust-futex", "the end of a thread with a robust futex in a page shared with a child", Operation::EndOfThread, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }),
    blockable("clear-refs-soft-dirty", "4 > /proc/self/clear_refs", Operation::ClearRefs, SoftDirty, Exactly(1)).everywhere().leaving(PagesFate::Kept),
    blockable("pagemap-scan-wp", "PAGEMAP_SCAN with PM_SCAN_WP_MATCHING", Operation::ScanPagemap, ProtectionVma, Exactly(1)).leaving(PagesFate::Kept).needing(Needs::UserfaultfdWp),
    blockable("uffd-writeprotect", "UFFDIO_WRITEPROTECT", Operation::UffdProtect, ProtectionVma, Exactly(1)).leaving(PagesFate::Kept).needing(Needs::UserfaultfdWp),
    blockable("uffd-move", "UFFDIO_MOVE of small pages", Operation::UffdMove, Clear, Exactly(1)).leaving(PagesFate::Zeroed).needing(Needs::Userfaultfd),

    remote("remote-mem-write", "a write through /proc/PID/mem to a page shared with a child", Remote::Write, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }),
    remote("remote-madvise-pageout", "process_madvise(MADV_PAGEOUT) of a shared memfd by another process", Remote::Pageout, Clear, AtLeast(1)).reaching(Extent::EachPage),
    remote("remote-memfd-truncate", "ftruncate by another process of a memfd that is mapped", Remote::Truncate, Clear, Exactly(2)).leaving(PagesFate::Gone),
    remote("remote-clear-refs", "4 > /proc/PID/clear_refs by another process", Remote::ClearRefs, SoftDirty, Exactly(1)).everywhere().leaving(PagesFate::Kept),

    remote("remote-syncfs", "syncfs by another process, by which a worker writes a file back that is mapped", Remote::Sync, ProtectionPage, Exactly(16)).at(Place::File).reaching(Extent::EachPage).leaving(PagesFate::Kept).needing(Needs::WriteBack),
    // A page that is in use meanwhile is tried again.
    remote("remote-memory-reclaim", "a write to memory.reclaim, by which another process swaps pages out", Remote::Reclaim, Clear, OrMore(16)).reaching(Extent::EachPage).needing(Needs::Swap),

    remote("driver-protects-file", "a driver write-protects some pages of a memfd in all of its mappings", Remote::ProtectFile, ProtectionPage, Exactly(1)).reaching(Extent::Pages { first: 4, count: 8 }).needing(Needs::DirtyHelpers),
    remote("driver-cleans-file", "a driver takes note of the dirty pages of a memfd and makes them clean", Remote::CleanFile, ProtectionPage, Exactly(1)).leaving(PagesFate::Kept).needing(Needs::DirtyHelpers),

    // First each page, by try_to_unmap(), then the page table, by retract_page_tables().
    remote("remote-memfd-collapse", "madvise(MADV_COLLAPSE) by another process of a memfd that both have mapped", Remote::Collapse, Clear, Exactly(17)).at(Place::Table).reaching(Extent::EachPageOrAll).needing(Needs::ShmemHugePages),
    blockable("madvise-collapse", "madvise(MADV_COLLAPSE) of small pages", Operation::Collapse, Clear, Exactly(1)).at(Place::Table).needing(Needs::HugePages),
    blockable("memfd-collapse-mapped", "madvise(MADV_COLLAPSE) of a memfd with a huge page, of which small ones are mapped", Operation::CollapseMapped, Clear, Exactly(1)).at(Place::Table).needing(Needs::ShmemHugePages),
    blockable("huge-zero-page-write", "write to the huge zero page", Operation::WriteZeroes, Clear, Exactly(1)).at(Place::Huge).needing(Needs::HugePages),
    blockable("huge-mlock-part", "mlock of some pages of a huge page, which splits its VMA", Operation::LockPart, Clear, Exactly(1)).at(Place::Huge).needing(Needs::HugePages),
    blockable("huge-munmap", "munmap of a huge page", Operation::MunmapWhole, Unmap, Exactly(1)).at(Place::Huge).needing(Needs::HugePages),
    blockable("huge-uffd-move", "UFFDIO_MOVE of a huge page", Operation::UffdMove, Clear, Exactly(1)).at(Place::Huge).needing(Needs::HugePages),
    remote("huge-split", "split_huge_pages in debugfs", Remote::Split, Clear, Exactly(1)).at(Place::Huge).needing(Needs::HugePages),

    blockable("hugetlb-munmap", "munmap of a page of hugetlbfs", Operation::MunmapWhole, Unmap, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-dontneed", "madvise(MADV_DONTNEED) of a page of hugetlbfs", Operation::Dontneed, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-mprotect", "mprotect of a page of hugetlbfs", Operation::Mprotect, ProtectionVma, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    // After the move, the old range is unmapped.
    blockable("hugetlb-mremap", "mremap of a page of hugetlbfs to another address", Operation::Mremap, Clear, Exactly(2)).ending(Unmap).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-fork", "fork with a private page of hugetlbfs", Operation::Fork, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-copy-on-write", "write to a page of hugetlbfs shared with a child", Operation::CopyOnWrite, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-truncate", "ftruncate of a file of hugetlbfs that is mapped", Operation::Truncate, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-punch-hole", "fallocate(FALLOC_FL_PUNCH_HOLE) in a file of hugetlbfs that is mapped", Operation::PunchHole, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::Hugetlb),
    blockable("hugetlb-shared-dontneed", "madvise(MADV_DONTNEED) of a page in a shared gigabyte of hugetlbfs", Operation::Dontneed, Clear, Exactly(1)).at(Place::HugetlbShared).reaching(GIGABYTE).needing(Needs::Hugetlb),
    blockable("hugetlb-shared-punch-hole", "fallocate(FALLOC_FL_PUNCH_HOLE) of a page in a shared gigabyte of hugetlbfs", Operation::PunchHole, Clear, Exactly(1)).at(Place::HugetlbShared).reaching(GIGABYTE).needing(Needs::Hugetlb),

    blockable("uffd-register-hugetlb", "UFFDIO_REGISTER of a shared gigabyte of hugetlbfs for write protection", Operation::UffdRegister, Clear, Exactly(1)).at(Place::HugetlbShared).reaching(GIGABYTE).needing(Needs::HugetlbUserfaultfd),

    blockable("madvise-pageout-swap", "madvise(MADV_PAGEOUT) of anonymous memory", Operation::PageoutToSwap, Clear, Exactly(16)).reaching(Extent::EachPage).needing(Needs::Swap),
    blockable("msync", "msync of a file that is mapped", Operation::Sync, ProtectionPage, Exactly(16)).at(Place::File).reaching(Extent::EachPage).leaving(PagesFate::Kept).needing(Needs::WriteBack),
    blockable("numa-move-pages", "move_pages to another NUMA node", Operation::MovePages, Clear, Exactly(16)).reaching(Extent::EachPage).leaving(PagesFate::Kept).needing(Needs::Nodes),
    // The original page is copied, as for any write to it.
    blockable("uprobe-add", "a user-space probe of a page of code", Operation::Probe, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }).needing(Needs::Uprobes),
    blockable("uprobe-remove", "the removal of a user-space probe", Operation::RemoveProbe, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }).needing(Needs::Uprobes),
    blockable("madvise-hwpoison", "madvise(MADV_HWPOISON) of a page", Operation::Poison, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }).needing(Needs::MemoryFailure),
    blockable("madvise-hwpoison-hugetlb", "madvise(MADV_HWPOISON) of a page of hugetlbfs", Operation::Poison, Clear, Exactly(1)).at(Place::Hugetlb).needing(Needs::HugetlbMemoryFailure),
    blockable("madvise-soft-offline", "madvise(MADV_SOFT_OFFLINE)", Operation::SoftOffline, Clear, Exactly(16)).reaching(Extent::EachPage).leaving(PagesFate::Kept).needing(Needs::MemoryFailure),
    blockable("hmm-exclusive", "a device takes pages for itself", Operation::TakeForDevice, Exclusive, Exactly(16)).reaching(Extent::EachPage).needing(Needs::TestHmm),
    blockable("hmm-exclusive-write", "write to a page that a device has taken", Operation::TakeBack, Clear, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }).needing(Needs::TestHmm),
    blockable("hmm-migrate", "pages move to the memory of a device", Operation::MigrateToDevice, Migrate, Exactly(1)).needing(Needs::TestHmm),
    // Once where it looks for pages, and once where it makes some.
    blockable("hmm-migrate-untouched", "pages that are not there yet are made in the memory of a device", Operation::MakeOnDevice, Migrate, Exactly(2)).needing(Needs::TestHmm),
    blockable("hmm-migrate-back", "write to a page in the memory of a device", Operation::MigrateBack, Migrate, Exactly(1)).reaching(Extent::Pages { first: 0, count: 1 }).needing(Needs::TestHmm),

    blockable("dax-cold-part", "madvise(MADV_COLD) of some of a page of 1 GiB, which splits it", Operation::Cold, Clear, Exactly(1)).at(Place::Dax).reaching(GIGABYTE).needing(Needs::Dax),

    // Each page is write-protected first, and all but one are replaced.
    made(TriggerKind::Ksm, "ksm-merge", "ksmd merges pages", Clear, OrMore(31)).reaching(Extent::EachPage).needing(Needs::Ksm),

    // It announces each attempt, and may have to try again.
    made(TriggerKind::Khugepaged, "khugepaged-collapse", "khugepaged collapses small pages", Clear, OrMore(1)).at(Place::Table).needing(Needs::HugePages).leaving(PagesFate::Kept),

    MRELEASE,
    MEMCG_OOM,
    Trigger {
        name: "oom-global",
        about: "the OOM reaper after sysrq f",
        kind: TriggerKind::GlobalOom,
        place: Place::Anywhere,
        filled: Filled::Whole,
        event: Clear,
        last_event: None,
        context: Context::NonBlockable,
        calls: Exactly(1),
        extent: Some(Extent::All),
        reaper: Some(ReaperMessage::Reaped),
        pages: Some(PagesFate::Gone),
        refused: None,
        armings: NO_ERROR,
        needs: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trigger_has_both_controls() {
        for trigger in TRIGGERS {
            assert!(
                trigger.armings.contains(&Arming::Unarmed),
                "{}",
                trigger.name
            );
            // No addresses are elsewhere for a call for all of them.
            let has_elsewhere = trigger.extent != Some(Extent::Everything);
            let is_filtered = |arming: &Arming| matches!(arming, Arming::Filtered(_));
            assert_eq!(
                trigger.armings.iter().any(is_filtered),
                has_elsewhere,
                "{}",
                trigger.name
            );
        }
    }

    #[test]
    fn every_error_is_tried_in_both_contexts() {
        for context in [Context::Blockable, Context::NonBlockable] {
            for errno in [EAGAIN, EBUSY, EINTR, ENOMEM] {
                assert!(
                    TRIGGERS.iter().any(|trigger| trigger.context == context
                        && trigger.armings.contains(&Arming::Fail(errno))),
                    "{errno} in {context} context"
                );
            }
        }
    }
}
