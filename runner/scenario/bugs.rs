// SPDX-License-Identifier: GPL-2.0

//! The known bugs of the kernel: the effect of each, and the kernels on which it was seen. The
//! cases that show one name it.

use crate::model::{Finding, FindingKind};

/// A bug.
#[derive(Debug)]
pub struct Bug {
    /// Its name, which is that of its section in docs/found-in-the-kernel.md.
    pub name: &'static str,
    /// The kernel's error; constant text.
    pub about: &'static str,
    /// The series of kernels that it was seen on, as the beginning of `uname -r`.
    pub seen_on: &'static [&'static str],
    /// The kinds of findings that show it. Other findings are failures all the same.
    pub findings: &'static [FindingKind],
}

/// `__mmu_notifier_invalidate_range_start()` does not take back `active_invalidate_ranges` when a
/// plain notifier has refused.
pub const INTERVAL_REMOVAL_WAITS: Bug = Bug {
    name: "interval-removal-waits",
    about: "an interval notifier can never be removed after a plain notifier of the same mm has refused",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Removal],
};

/// `mn_itree_invalidate()` has no `non_block_start()`.
pub const INTERVAL_SLEEP_UNNOTICED: Bug = Bug {
    name: "interval-sleep-unnoticed",
    about: "an interval notifier that sleeps in non-blockable context is not noticed",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::DidNotFire],
};

/// `mn_hlist_invalidate_range_start()` has no `non_block_start()` around the ends that it calls.
pub const END_AFTER_REFUSAL_UNNOTICED: Bug = Bug {
    name: "end-after-refusal-unnoticed",
    about: "an end that sleeps is not noticed where it comes since another notifier has refused",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::DidNotFire],
};

/// The section of SRCU in which plain notifiers are called is a recursive read lock for lockdep.
pub const LOCK_IN_PLAIN_UNNOTICED: Bug = Bug {
    name: "lock-in-plain-unnoticed",
    about: "lockdep does not see that a plain notifier takes a lock that was held over an allocation",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::DidNotFire],
};

/// `change_pud_range()` takes a range that starts at 0 for one that was not started.
pub const END_MISSING_AT_ZERO: Bug = Bug {
    name: "end-missing-at-zero",
    about: "mprotect of a mapping at address 0 is announced by a start, and has no end",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `move_pages_ptes()` announces all that is left to move, whatever it moves at a time.
pub const UFFD_MOVE_ANNOUNCES_THE_REST: Bug = Bug {
    name: "uffd-move-announces-the-rest",
    about: "UFFDIO_MOVE announces all that is left, again for each page that it does not move in a batch",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `do_pagemap_scan()` announces all that is left to scan, and a pass ends when its buffer is full.
pub const PAGEMAP_SCAN_ANNOUNCES_THE_REST: Bug = Bug {
    name: "pagemap-scan-announces-the-rest",
    about: "PAGEMAP_SCAN announces all that is left, again for each 512 regions that it finds",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `split_huge_pmd_address()` announces a huge page without a look whether there is one.
pub const SPLIT_OF_NOTHING_HUGE: Bug = Bug {
    name: "split-of-nothing-huge",
    about: "a VMA that is split announces 2 MiB around the cut, though no huge page is mapped there",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `adjust_range_if_pmd_sharing_possible()` does not ask whether userfaultfd forbids the sharing.
pub const UFFD_PROTECT_ANNOUNCES_A_GIGABYTE: Bug = Bug {
    name: "uffd-protect-announces-a-gigabyte",
    about: "UFFDIO_WRITEPROTECT of 2 MiB of shared hugetlbfs announces 1 GiB, though its page table cannot be shared",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `damon_ptep_mkold()` and its like hand the sampled byte's address on, and not the page's.
pub const DAMON_ASKS_OF_PARTS: Bug = Bug {
    name: "damon-asks-of-parts",
    about: "DAMON asks about addresses that are a part of the sampled page and a part of the next one",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Step],
};

/// Neither `madvise_cold_or_pageout_pte_range()` nor `clear_refs_pte_range()` calls
/// `mmu_notifier_clear_young()`.
pub const OLD_WITHOUT_A_QUESTION: Bug = Bug {
    name: "old-without-a-question",
    about: "MADV_COLD and clear_refs make pages old, and do not ask whether a device has used them",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Step],
};

/// `__collapse_huge_page_isolate()` asks once more what `collapse_scan_pmd()` has asked.
pub const ASKED_AFTER_THE_START: Bug = Bug {
    name: "asked-after-the-start",
    about: "khugepaged asks whether a device has used pages that it has just taken from the device",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Step],
};

/// `mthp_collapse()` tries folios that have the size already.
pub const COLLAPSED_AGAIN: Bug = Bug {
    name: "collapsed-again",
    about: "khugepaged announces folios that have been collapsed, again at each scan",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `walk_page_mapping()` ends at a mapping that its caller asks it to skip.
pub const WALK_ENDS_AT_A_SKIP: Bug = Bug {
    name: "walk-ends-at-a-skip",
    about: "a driver that tracks dirty pages of a file misses all mappings after one that is private",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Calls],
};

/// `pagemap_scan_hugetlb_hole_wp()` rounds what it was asked for to huge pages.
pub const HOLE_PROTECTED_BESIDE: Bug = Bug {
    name: "hole-protected-beside",
    about: "PAGEMAP_SCAN of 4 KiB where a huge page of hugetlbfs is missing announces these and write-protects 2 MiB",
    seen_on: &["7.2", "7.3"],
    findings: &[FindingKind::Step],
};

/// The known bugs.
pub const BUGS: &[Bug] = &[
    INTERVAL_REMOVAL_WAITS,
    INTERVAL_SLEEP_UNNOTICED,
    END_AFTER_REFUSAL_UNNOTICED,
    LOCK_IN_PLAIN_UNNOTICED,
    END_MISSING_AT_ZERO,
    UFFD_MOVE_ANNOUNCES_THE_REST,
    PAGEMAP_SCAN_ANNOUNCES_THE_REST,
    SPLIT_OF_NOTHING_HUGE,
    UFFD_PROTECT_ANNOUNCES_A_GIGABYTE,
    OLD_WITHOUT_A_QUESTION,
    DAMON_ASKS_OF_PARTS,
    ASKED_AFTER_THE_START,
    COLLAPSED_AGAIN,
    WALK_ENDS_AT_A_SKIP,
    HOLE_PROTECTED_BESIDE,
];

impl Bug {
    /// Whether it was seen on that series of kernels. `release` is as in `uname -r`.
    pub fn is_known_on(&self, release: &str) -> bool {
        self.seen_on.iter().any(|series| {
            release
                .strip_prefix(series)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    }

    /// Whether all of the findings are of the kinds that show it.
    pub fn explains(&self, findings: &[Finding]) -> bool {
        findings
            .iter()
            .all(|finding| self.findings.contains(&finding.kind))
    }
}
