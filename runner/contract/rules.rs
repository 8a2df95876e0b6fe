// SPDX-License-Identifier: GPL-2.0

//! The rules, in words.

use serde::Serialize;

/// A rule.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rule {
    /// Number by which scenarios name the rule, from 1.
    pub number: u8,
    /// Text of the rule.
    pub text: &'static str,
    /// The kernel's function or comment that the rule comes from.
    pub source: &'static str,
}

/// The rules, by number.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule {
        number: 1,
        text: "A start in blockable context must not fail. If it does, the caller goes on as if it had succeeded.",
        source: "mn_hlist_invalidate_range_start(), mn_itree_invalidate()",
    },
    Rule {
        number: 2,
        text: "A start in non-blockable context may fail, with -EAGAIN and nothing else.",
        source: "mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 3,
        text: "A notifier whose start can fail must not have an end.",
        source: "comment above invalidate_range_start in struct mmu_notifier_ops",
    },
    Rule {
        number: 4,
        text: "All plain notifiers are started, the last registered first, even after one of them has failed. If \
               one has failed, the end of each notifier that has one is called at once; in blockable context the \
               caller's own end follows.",
        source: "mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 5,
        text: "If a start fails in non-blockable context, nothing of that VMA is zapped. process_mrelease returns \
               EAGAIN, and the OOM reaper tries 10 times.",
        source: "zap_vma_for_reaping(), oom_reap_task(), process_mrelease(2)",
    },
    Rule {
        number: 6,
        text: "A callback must not sleep in non-blockable context. It may sleep in blockable context.",
        source: "non_block_start() in mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 7,
        text: "A callback must not wait for memory reclaim: it must not allocate with flags that allow reclaim, and \
               must not take a lock that is held elsewhere during such an allocation.",
        source: "fs_reclaim_acquire(), which passes through the notifiers' lockdep map",
    },
    Rule {
        number: 8,
        text: "A blockable invalidation must not come from an atomic section.",
        source: "might_sleep() in mmu_notifier_invalidate_range_start()",
    },
    Rule {
        number: 9,
        text: "A read side of an interval notifier must be retried if, and only if, an invalidation of its range \
               collided with it. A read side that begins during an invalidation waits until the invalidation has \
               ended. The second pass of a two-pass notifier is called if its first pass succeeded.",
        source: "mmu_interval_read_begin(), mmu_interval_read_retry(), mn_itree_finish_pass()",
    },
    Rule {
        number: 10,
        text: "Interval and plain notifiers of one address space do not affect each other: whichever of them fails, \
               each can be removed at once.",
        source: "__mmu_notifier_invalidate_range_start(), mmu_interval_notifier_remove()",
    },
    Rule {
        number: 11,
        text: "A notifier is registered once, with an address space that has users, by a caller that may sleep and \
               does not hold mmap_lock (or holds it for writing, for the functions that require it). It is not \
               removed from its own callbacks. Its release is called once.",
        source: "mmu_notifier_register(), mmu_notifier_unregister(), mmu_interval_notifier_insert()",
    },
    Rule {
        number: 12,
        text: "While no invalidation of a page is under way, its entry of the page table loses nothing: the page \
               stays mapped, is the same one, and stays writable if it was. So the start comes before the change, \
               its range has all that changes, and the end comes after it.",
        source: "comment above invalidate_range_start in struct mmu_notifier_ops; Documentation/mm/mmu_notifier.rst",
    },
    Rule {
        number: 13,
        text: "Before a page counts as unused, the notifiers are asked whether it was used through them.",
        source: "comments above clear_flush_young, clear_young and test_young in struct mmu_notifier_ops",
    },
    Rule {
        number: 14,
        text: "An invalidation is announced for what changes, and for no more: none where nothing changes, and an \
               operation in several steps announces for each step what that one changes.",
        source: "comment above the start in collapse_huge_page(): \"Only notify about the PTE range we will \
                 actually modify\"",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_numbered_from_one() {
        for (number, rule) in (1..).zip(RULES) {
            assert_eq!(rule.number, number);
        }
    }
}
