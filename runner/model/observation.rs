// SPDX-License-Identifier: GPL-2.0

//! The record of a scenario: everything that was seen while it ran.

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;
use crate::model::expectation::Expectation;
use crate::model::notifier::{Context, Notifier, NotifierEvent, NotifierKind};
use crate::model::step::Step;

/// A notifier that was attached, with what its counters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedNotifier {
    /// What it is.
    pub notifier: Notifier,
    /// The module's counters, a second witness for its calls.
    pub counters: Counters,
}

/// One start of an invalidation as the module logged it: `invalidate_range_start` of a notifier,
/// or `invalidate` or `invalidate_start` of an interval notifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Index of the notifier among those of the scenario.
    pub notifier: usize,
    /// Position among all log entries of all targets since the module was loaded, from 0.
    pub seq: u64,
    /// Nanoseconds on the kernel's monotonic clock.
    pub time_ns: u64,
    /// Why the kernel invalidates.
    pub event: NotifierEvent,
    /// First byte of the range.
    pub start: u64,
    /// First byte after the range.
    pub end: u64,
    /// Whether the call may sleep.
    pub context: Context,
    /// Thread that made the call (`current->pid` in the initial namespace).
    pub tid: i32,
    /// Its `comm`.
    pub comm: String,
    /// Whether the injector did something to it.
    pub injected: bool,
    /// What the callback returned: 0 or a negative errno.
    pub returned: i32,
    /// The sequence number that an interval notifier was given; 0 for the others.
    pub cur_seq: u64,
    /// The kernel's functions that made the call, from the innermost; empty where the kernel has
    /// no stack traces or no names.
    pub callers: Vec<String>,
}

/// A callback that follows on a start.
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

/// What the module logged besides the starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Index of the notifier among those of the scenario.
    pub notifier: usize,
    /// As in [`Call`].
    pub seq: u64,
    /// As in [`Call`].
    pub time_ns: u64,
    /// Which callback.
    pub op: FollowUp,
    /// First byte of the range; 0 for a release.
    pub start: u64,
    /// First byte after the range; 0 for a release.
    pub end: u64,
    /// Whether the call may sleep.
    pub context: Context,
    /// Thread that made the call.
    pub tid: i32,
    /// Whether the injector did something to it.
    pub injected: bool,
}

/// The module's own counters of one target, read after the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Calls of `invalidate_range_start`.
    pub calls: u64,
    /// Calls that were made to fail.
    pub injected: u64,
    /// Calls that followed on them: ends and finishes.
    pub ends: u64,
    /// Log entries that were overwritten before they could be read.
    pub overwritten: u64,
}

/// What the pages of the watched addresses were afterwards, looked at through `/proc/PID/mem`,
/// and what `/proc/PID/smaps` says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Pages that have what the process wrote to them.
    pub kept: u64,
    /// Pages that read as zeroes.
    pub zeroed: u64,
    /// Pages that cannot be read.
    pub gone: u64,
    /// Pages with something else in them.
    pub damaged: u64,
    /// RSS of the watched addresses in pages before it was looked at.
    pub rss: u64,
}

/// What was left when all notifiers had been removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// Removals that did not return within their deadline: index of the notifier. And
    /// registrations that did not: a number behind those.
    pub stuck: Vec<usize>,
    /// Whether `mmu_interval_read_begin()` of a new interval notifier returned: it waits for
    /// ever where the sequence number has stayed odd. Absent where nobody asked.
    pub reads: Option<bool>,
    /// `mm_users` and `mm_count` when the process was gone, but for the reference through which
    /// they are read. Absent where they were not looked at.
    pub mm: Option<(i64, i64)>,
}

impl Remains {
    /// Whether somebody waits for ever, so that nobody can look at the rest.
    pub fn is_stuck(&self) -> bool {
        !self.stuck.is_empty() || self.reads == Some(false)
    }
}

/// Who makes the calls on the watched addresses, where nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initiator {
    /// The thread of that id.
    Thread(i32),
    /// The kernel thread of mm/oom_kill.c.
    OomReaper,
}

/// Everything that was recorded about one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The scenario's name.
    pub scenario: String,
    /// The notifiers, in the order in which they were attached.
    pub notifiers: Vec<AttachedNotifier>,
    /// What the scenario demands.
    pub expectation: Expectation,
    /// The process whose address space was attached.
    pub pid: i32,
    /// Its `comm`.
    pub comm: String,
    /// Who is to make the calls on the watched addresses. Reclaim, migration and the like make
    /// some of their own at times, and those prove nothing.
    pub initiator: Initiator,
    /// The addresses the scenario works on; calls elsewhere in the process are none of its
    /// business. Empty (`start == end`) never happens.
    pub watched: (u64, u64),
    /// All calls on the process's address space during the window, in the module's order.
    pub calls: Vec<Call>,
    /// What else the module logged, in its order.
    pub later: Vec<Later>,
    /// The pages afterwards, where they were looked at.
    pub pages: Option<Pages>,
    /// The steps, where there are several.
    pub steps: Vec<Step>,
    /// What was left when all was over.
    pub remains: Remains,
    /// Threads of ours besides the initiator that act in this scenario.
    pub actors: Vec<i32>,
    /// What the triggering operation returned: 0 or a negative errno.
    pub outcome: i32,
    /// Anything that kept the scenario from being carried out as planned; makes it "no verdict".
    pub trouble: Option<String>,
    /// How long the scenario took, in milliseconds by the clock of the kernel under test, which
    /// under TCG is virtual time.
    pub millis: u64,
}

impl Observation {
    /// What the counters of all notifiers say together.
    pub fn counters(&self) -> Counters {
        self.notifiers
            .iter()
            .fold(Counters::default(), |sum, notifier| Counters {
                calls: sum.calls.saturating_add(notifier.counters.calls),
                injected: sum.injected.saturating_add(notifier.counters.injected),
                ends: sum.ends.saturating_add(notifier.counters.ends),
                overwritten: sum
                    .overwritten
                    .saturating_add(notifier.counters.overwritten),
            })
    }

    /// What sort of notifier a call was made to; a log that names one that is not there is no log.
    pub fn kind(&self, call: &Call) -> Option<NotifierKind> {
        Some(self.notifiers.get(call.notifier)?.notifier.kind)
    }
}

/// The symbol of the callback of a plain notifier as `%pS` prints it, without offset and size.
pub const CALLBACK_SYMBOL: &str = "mmu_notifier_inject_invalidate_range_start";

/// The same of one that has ends as well.
pub const PAIRED_SYMBOL: &str = "mmu_notifier_inject_paired_invalidate_range_start";

/// The name of the kernel module.
pub const MODULE_NAME: &str = "mmu_notifier_inject";

/// What was seen between two markers in the kernel's log. Usually one scenario; several where
/// their effects cannot be told apart in time (the OOM reaper works off all victims together).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The scenarios, in the order in which they were triggered.
    pub observations: Vec<Observation>,
    /// All records of `/dev/kmsg` between the markers, those of others included.
    pub records: Vec<Record>,
    /// Why `records` may be incomplete (overrun, missing marker, a gap in sequence numbers).
    pub lost: Option<String>,
    /// `/sys/kernel/warn_count` before and after, where the kernel has it.
    pub warn_count: Option<(u64, u64)>,
    /// The module's count of all log entries of all targets before and after: whatever is made to
    /// fail is logged, and failures of a target that is not in this window would make the messages
    /// ambiguous.
    pub total_entries: (u64, u64),
}
