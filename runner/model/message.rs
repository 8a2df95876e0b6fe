// SPDX-License-Identifier: GPL-2.0

//! The kernel's messages about notifiers that the contract has rules on.

use serde::{Deserialize, Serialize};

/// A message of the kernel, by the check that prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelMessage {
    /// `SYMBOL callback failed with ERRNO in [non-]blockable context.`
    Info,
    /// `SYMBOL callback failure not allowed`
    PrWarn,
    /// `WARN_ON(blockable || _ret != -EAGAIN)` of mn_hlist_invalidate_range_start().
    CheckWarn,
    /// `WARN_ON(ops->invalidate_range_end)` of mn_hlist_invalidate_range_start().
    EndWarn,
    /// `WARN_ON(blockable)` of mn_itree_invalidate().
    IntervalWarn,
    /// `BUG: scheduling in a non-blocking section`
    NonBlockSchedule,
    /// `BUG: sleeping function called from invalid context at include/linux/mmu_notifier.h`
    CallerSleep,
    /// The same report about any other file, or lockdep's `Invalid wait context`; any number of
    /// times.
    AtomicSleep,
    /// `WARNING: possible circular` or `recursive locking`, which lockdep prints once, about a task
    /// that holds `mmu_notifier_invalidate_range_start`.
    LockdepInvalidation,
    /// The same report about a task in a read-side section of SRCU.
    LockdepSrcu,
    /// The same report about a task that holds `mmap_lock`.
    LockdepMmapLock,
    /// The same report about a task that holds another lock, or one that the report does not name.
    LockdepOther,
    /// Lock assertions about `mmap_lock`: WARNs, and lockdep's own reports; any number of times.
    LockWarn,
    /// `WARN_ON(mm_users <= 0)` of __mmu_interval_notifier_insert().
    DeadWarn,
    /// `BUG_ON(mm_users <= 0)` of __mmu_notifier_register().
    DeadBug,
}

impl KernelMessage {
    /// Short name in reports and in docs/contract.md.
    pub const fn word(self) -> &'static str {
        match self {
            KernelMessage::Info => "info",
            KernelMessage::PrWarn => "pr_warn",
            KernelMessage::CheckWarn => "WARN_ON (the check)",
            KernelMessage::EndWarn => "WARN_ON (it has an end)",
            KernelMessage::IntervalWarn => "WARN_ON (interval)",
            KernelMessage::NonBlockSchedule => "BUG: scheduling in a non-blocking section",
            KernelMessage::CallerSleep => {
                "BUG: sleeping function called from invalid context (mmu_notifier.h)"
            }
            KernelMessage::AtomicSleep => "BUG: sleeping function called from invalid context",
            KernelMessage::LockdepInvalidation => "lockdep report (in an invalidation)",
            KernelMessage::LockdepSrcu => "lockdep report (in an SRCU read side)",
            KernelMessage::LockdepMmapLock => "lockdep report (under mmap_lock)",
            KernelMessage::LockdepOther => "lockdep report (under another lock)",
            KernelMessage::LockWarn => "lock assertions (mmap_lock not held)",
            KernelMessage::DeadWarn => "WARN_ON (no users)",
            KernelMessage::DeadBug => "kernel BUG (no users)",
        }
    }

    /// Whether it is lockdep's report on lock order. lockdep prints one and is off afterwards.
    pub const fn is_of_lockdep(self) -> bool {
        matches!(
            self,
            KernelMessage::LockdepInvalidation
                | KernelMessage::LockdepSrcu
                | KernelMessage::LockdepMmapLock
                | KernelMessage::LockdepOther
        )
    }

    /// Whether it comes from one of the kernel's general debugging checks, which any driver can
    /// trip, and not from the check of failed callbacks. It is judged only in scenarios whose
    /// expectation has `judges_symptoms`.
    pub const fn is_symptom(self) -> bool {
        !matches!(
            self,
            KernelMessage::Info
                | KernelMessage::PrWarn
                | KernelMessage::CheckWarn
                | KernelMessage::EndWarn
                | KernelMessage::IntervalWarn
        )
    }
}
