// SPDX-License-Identifier: GPL-2.0

//! Notifiers, their callbacks, and the injections, in the kernel's terms.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `enum mmu_notifier_event` (include/linux/mmu_notifier.h), in the kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum NotifierEvent {
    Unmap,
    Clear,
    ProtectionVma,
    ProtectionPage,
    SoftDirty,
    Release,
    Migrate,
    Exclusive,
}

impl NotifierEvent {
    /// All events, in the kernel's order.
    pub const ALL: [NotifierEvent; 8] = [
        NotifierEvent::Unmap,
        NotifierEvent::Clear,
        NotifierEvent::ProtectionVma,
        NotifierEvent::ProtectionPage,
        NotifierEvent::SoftDirty,
        NotifierEvent::Release,
        NotifierEvent::Migrate,
        NotifierEvent::Exclusive,
    ];

    /// The kernel's name without `MMU_NOTIFY_`, which recordings and reports have, and which the
    /// module accepts.
    pub const fn name(self) -> &'static str {
        match self {
            NotifierEvent::Unmap => "UNMAP",
            NotifierEvent::Clear => "CLEAR",
            NotifierEvent::ProtectionVma => "PROTECTION_VMA",
            NotifierEvent::ProtectionPage => "PROTECTION_PAGE",
            NotifierEvent::SoftDirty => "SOFT_DIRTY",
            NotifierEvent::Release => "RELEASE",
            NotifierEvent::Migrate => "MIGRATE",
            NotifierEvent::Exclusive => "EXCLUSIVE",
        }
    }

    /// Returns the event with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

impl fmt::Display for NotifierEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a callback may sleep: `mmu_notifier_range_blockable()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// The callback may sleep, and a failure breaks the contract.
    Blockable,
    /// The callback must not sleep, and may return `-EAGAIN`: the caller is the OOM reaper or
    /// `process_mrelease()`.
    NonBlockable,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Context::Blockable => "blockable",
            Context::NonBlockable => "non-blockable",
        })
    }
}

/// Kind of a notifier. The names are those of the module's debugfs files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifierKind {
    /// `struct mmu_notifier` with `invalidate_range_start`.
    Plain,
    /// `struct mmu_notifier` with `invalidate_range_start` and `invalidate_range_end`, of which
    /// the start must never fail.
    PlainEnd,
    /// `struct mmu_notifier` with `invalidate_range_start` and the callbacks for page aging:
    /// `clear_flush_young`, `clear_young` and `test_young`.
    PlainYoung,
    /// `struct mmu_notifier` with `arch_invalidate_secondary_tlbs`, which the kernel allows only
    /// without `invalidate_range_start`.
    SecondaryTlbs,
    /// As `PlainEnd`, and it copies the page table of the watched addresses at each start and end.
    Mirror,
    /// `struct mmu_interval_notifier` on the watched addresses.
    Interval,
    /// `struct mmu_interval_notifier` with `invalidate_start` and `invalidate_finish`.
    IntervalTwoPass,
}

impl NotifierKind {
    /// All kinds.
    pub const ALL: [NotifierKind; 7] = [
        NotifierKind::Plain,
        NotifierKind::PlainEnd,
        NotifierKind::PlainYoung,
        NotifierKind::SecondaryTlbs,
        NotifierKind::Mirror,
        NotifierKind::Interval,
        NotifierKind::IntervalTwoPass,
    ];

    /// The kinds that are called before an invalidation.
    pub const WITH_START: [NotifierKind; 6] = [
        NotifierKind::Plain,
        NotifierKind::PlainEnd,
        NotifierKind::PlainYoung,
        NotifierKind::Mirror,
        NotifierKind::Interval,
        NotifierKind::IntervalTwoPass,
    ];

    /// The module's name for the kind.
    pub const fn name(self) -> &'static str {
        match self {
            NotifierKind::Plain => "plain",
            NotifierKind::PlainEnd => "plain-end",
            NotifierKind::PlainYoung => "plain-young",
            NotifierKind::SecondaryTlbs => "secondary-tlbs",
            NotifierKind::Mirror => "mirror",
            NotifierKind::Interval => "interval",
            NotifierKind::IntervalTwoPass => "interval-two-pass",
        }
    }

    /// Whether the kind is a `struct mmu_interval_notifier`.
    pub const fn is_interval(self) -> bool {
        matches!(self, NotifierKind::Interval | NotifierKind::IntervalTwoPass)
    }

    /// Whether the kind is called before an invalidation.
    pub const fn has_start(self) -> bool {
        !matches!(self, NotifierKind::SecondaryTlbs)
    }

    /// Whether the kind is a `struct mmu_notifier` with an end.
    pub const fn is_paired(self) -> bool {
        matches!(self, NotifierKind::PlainEnd | NotifierKind::Mirror)
    }

    /// Whether each start is followed by a callback of its own: an end or a finish.
    pub const fn has_ends(self) -> bool {
        self.is_paired() || matches!(self, NotifierKind::IntervalTwoPass)
    }

    /// Whether the kind is attached to a range of addresses, and not to all of them.
    pub const fn has_range(self) -> bool {
        self.is_interval() || matches!(self, NotifierKind::Mirror)
    }
}

impl fmt::Display for NotifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Callback that is not the start of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FollowUp {
    /// `invalidate_range_end`.
    End,
    /// `invalidate_finish`.
    Finish,
    /// `release`.
    Release,
    /// `clear_flush_young`.
    #[serde(rename = "clear_flush_young")]
    ClearFlushYoung,
    /// `clear_young`.
    #[serde(rename = "clear_young")]
    ClearYoung,
    /// `test_young`.
    #[serde(rename = "test_young")]
    TestYoung,
    /// `arch_invalidate_secondary_tlbs`.
    #[serde(rename = "arch_invalidate_secondary_tlbs")]
    SecondaryTlbs,
    /// None: a mirror has found pages that it has a stale copy of.
    Lost,
}

impl FollowUp {
    /// All of them.
    pub const ALL: [FollowUp; 8] = [
        FollowUp::End,
        FollowUp::Finish,
        FollowUp::Release,
        FollowUp::ClearFlushYoung,
        FollowUp::ClearYoung,
        FollowUp::TestYoung,
        FollowUp::SecondaryTlbs,
        FollowUp::Lost,
    ];

    /// Its name in the module's log.
    pub const fn name(self) -> &'static str {
        match self {
            FollowUp::End => "end",
            FollowUp::Finish => "finish",
            FollowUp::Release => "release",
            FollowUp::ClearFlushYoung => "clear_flush_young",
            FollowUp::ClearYoung => "clear_young",
            FollowUp::TestYoung => "test_young",
            FollowUp::SecondaryTlbs => "arch_invalidate_secondary_tlbs",
            FollowUp::Lost => "lost",
        }
    }

    /// Whether it follows the start of an invalidation.
    pub const fn is_end(self) -> bool {
        matches!(self, FollowUp::End | FollowUp::Finish)
    }

    /// Whether it is called with an event.
    pub const fn has_event(self) -> bool {
        matches!(self, FollowUp::End | FollowUp::Finish | FollowUp::Release)
    }
}

/// Action of a callback before it returns, besides failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Injection {
    /// Sleeps for a millisecond.
    Sleep,
    /// Busy-waits for the longest time that the module allows, which breaks no rule.
    Delay,
    /// Allocates a page with `GFP_KERNEL`.
    Allocate,
    /// Takes a mutex that was held across such an allocation.
    Lock,
    /// Unregisters its own notifier.
    Remove,
}

impl Injection {
    /// Whether the module does it only if it was loaded with `breach=1`.
    pub const fn is_breach(self) -> bool {
        match self {
            Injection::Sleep | Injection::Delay => false,
            Injection::Allocate | Injection::Lock | Injection::Remove => true,
        }
    }
}

/// Notifier of a scenario: its kind, and the setting of its injector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifier {
    /// Its kind.
    pub kind: NotifierKind,
    /// Setting of its injector.
    pub arming: Arming,
    /// Whether it is an interval notifier on addresses next to the watched ones, not on those.
    pub is_elsewhere: bool,
}

/// Setting of the injector of a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode", content = "value")]
pub enum Arming {
    /// The start returns this (negative) errno.
    Fail(i32),
    /// As `Fail`, but the address filter excludes the watched addresses: no message is due.
    Filtered(i32),
    /// Attached without an injection: no message is due.
    Unarmed,
    /// The start does this and returns 0.
    AtStart(Injection),
    /// `invalidate_range_end` or `invalidate_finish` does this.
    AtEnd(Injection),
    /// `release` does this.
    AtRelease(Injection),
}

impl Arming {
    /// Injection of one of its callbacks, whichever it is.
    pub const fn injection(self) -> Option<Injection> {
        match self {
            Arming::AtStart(injection)
            | Arming::AtEnd(injection)
            | Arming::AtRelease(injection) => Some(injection),
            Arming::Fail(_) | Arming::Filtered(_) | Arming::Unarmed => None,
        }
    }
}
