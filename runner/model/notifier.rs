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
    /// `struct mmu_interval_notifier` on the watched addresses.
    Interval,
    /// `struct mmu_interval_notifier` with `invalidate_start` and `invalidate_finish`.
    IntervalTwoPass,
}

impl NotifierKind {
    /// All kinds.
    pub const ALL: [NotifierKind; 4] = [
        NotifierKind::Plain,
        NotifierKind::PlainEnd,
        NotifierKind::Interval,
        NotifierKind::IntervalTwoPass,
    ];

    /// The module's name for the kind.
    pub const fn name(self) -> &'static str {
        match self {
            NotifierKind::Plain => "plain",
            NotifierKind::PlainEnd => "plain-end",
            NotifierKind::Interval => "interval",
            NotifierKind::IntervalTwoPass => "interval-two-pass",
        }
    }

    /// Whether the kind is a `struct mmu_interval_notifier`.
    pub const fn is_interval(self) -> bool {
        matches!(self, NotifierKind::Interval | NotifierKind::IntervalTwoPass)
    }

    /// Whether each start is followed by a callback of its own: an end or a finish.
    pub const fn has_ends(self) -> bool {
        matches!(self, NotifierKind::PlainEnd | NotifierKind::IntervalTwoPass)
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
}
