// SPDX-License-Identifier: GPL-2.0

//! Notifiers and their callbacks, in the kernel's terms.

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

    /// The name of the event's folder in debugfs, which is the kernel's name without its prefix.
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

    /// The event of that debugfs name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

impl fmt::Display for NotifierEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a call may sleep: `mmu_notifier_range_blockable()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// The call may sleep, and a failure breaks the contract.
    Blockable,
    /// The OOM reaper or `process_mrelease`: the callback may refuse with `-EAGAIN`.
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

/// What sort of notifier is attached; the names are the module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifierKind {
    /// `struct mmu_notifier` with `invalidate_range_start`.
    Plain,
    /// One that has `invalidate_range_end` as well, and so must never refuse.
    PlainEnd,
    /// `struct mmu_interval_notifier` on the watched addresses.
    Interval,
    /// One whose `invalidate_start` is followed by an `invalidate_finish`.
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

    /// The module's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            NotifierKind::Plain => "plain",
            NotifierKind::PlainEnd => "plain-end",
            NotifierKind::Interval => "interval",
            NotifierKind::IntervalTwoPass => "interval-two-pass",
        }
    }

    /// Whether it is a `struct mmu_interval_notifier`.
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

/// What a callback does before it returns, besides failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Injection {
    /// Sleeps for a millisecond.
    Sleep,
    /// Waits as long as the module does without sleeping, which is none.
    Delay,
    /// Allocates a page with `GFP_KERNEL`.
    Allocate,
    /// Takes a mutex that was held over such an allocation.
    Lock,
    /// Removes its own notifier.
    Remove,
}

/// A notifier of a scenario: what it is, and what it is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifier {
    /// What sort of notifier it is.
    pub kind: NotifierKind,
    /// What it is told to do.
    pub arming: Arming,
    /// Whether an interval notifier watches addresses next to the scenario's, not those.
    pub is_elsewhere: bool,
}

/// How the injector of a notifier was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode", content = "value")]
pub enum Arming {
    /// The callback fails with this (negative) errno.
    Fail(i32),
    /// As `Fail`, but the address filter leaves the scenario's range out: nothing is due.
    Filtered(i32),
    /// Attached, no error set: nothing is due.
    Unarmed,
    /// The start does this, and agrees.
    AtStart(Injection),
    /// The end does this, or the second pass.
    AtEnd(Injection),
}
