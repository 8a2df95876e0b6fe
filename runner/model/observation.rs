// SPDX-License-Identifier: GPL-2.0

//! Record of a scenario: everything that was seen while it ran.

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;
use crate::model::expectation::Expectation;
use crate::model::notifier::{Context, FollowUp, Notifier, NotifierEvent, NotifierKind};
use crate::model::step::Step;

/// Notifier that was attached, with its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachedNotifier {
    /// Its kind and setting.
    pub notifier: Notifier,
    /// The module's counters: a second witness of its calls, besides the log.
    pub counters: Counters,
}

/// Start of an invalidation as the module logged it: a call of `invalidate_range_start`, or of
/// `invalidate` or `invalidate_start` of an interval notifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Index of the notifier among those of the scenario.
    pub notifier: usize,
    /// Position among all log entries of all targets since the module was loaded, from 0.
    pub seq: u64,
    /// Nanoseconds on the kernel's monotonic clock.
    pub time_ns: u64,
    /// Reason of the invalidation.
    pub event: NotifierEvent,
    /// First byte of the range.
    pub start: u64,
    /// First byte after the range.
    pub end: u64,
    /// Whether the callback may sleep.
    pub context: Context,
    /// Thread that made the call (`current->pid` in the initial pid namespace).
    pub tid: i32,
    /// Its `comm`.
    pub comm: String,
    /// Whether the injector acted on it.
    pub injected: bool,
    /// Return value of the callback: 0 or a negative errno.
    pub returned: i32,
    /// `cur_seq` argument of an interval notifier; 0 for the others.
    pub cur_seq: u64,
    /// Whether the range has an owner; absent from recordings of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<bool>,
    /// Stack of kernel functions that made the call, innermost first; empty where the kernel has
    /// no stack traces or no symbols.
    pub callers: Vec<String>,
}

/// Call of a [`FollowUp`], as the module logged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Index of the notifier among those of the scenario.
    pub notifier: usize,
    /// As in [`Call`].
    pub seq: u64,
    /// As in [`Call`].
    pub time_ns: u64,
    /// The callback.
    pub op: FollowUp,
    /// First byte of the range; 0 for a release.
    pub start: u64,
    /// First byte after the range; 0 for a release.
    pub end: u64,
    /// Whether the callback may sleep.
    pub context: Context,
    /// Thread that made the call.
    pub tid: i32,
    /// Whether the injector acted on it.
    pub injected: bool,
}

/// The module's counters of one target, read after the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Starts of invalidations.
    pub calls: u64,
    /// Starts that the injector acted on.
    pub injected: u64,
    /// Calls of `invalidate_range_end` and `invalidate_finish`.
    pub ends: u64,
    /// Log entries that were overwritten before they could be read.
    pub overwritten: u64,
}

/// State of the pages of the watched addresses after the operation, from `/proc/PID/mem` and
/// `/proc/PID/smaps`. Counted in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Pages with the contents that the subject wrote.
    pub kept: u64,
    /// Pages that read as zeroes.
    pub zeroed: u64,
    /// Pages that cannot be read.
    pub gone: u64,
    /// Pages with other contents.
    pub damaged: u64,
    /// RSS of the watched addresses, read before the pages.
    pub rss: u64,
}

/// State after all notifiers were removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// Removals that did not return within their deadline, as indices of notifiers; and
    /// registrations that did not, as numbers behind those.
    pub stuck: Vec<usize>,
    /// Whether `mmu_interval_read_begin()` of a new interval notifier returned. It blocks forever
    /// if the sequence number has stayed odd. Absent where it was not called.
    pub reads: Option<bool>,
    /// `mm_users` and `mm_count` after the subject has exited, without the reference through which
    /// they are read. Absent where they were not read.
    pub mm: Option<(i64, i64)>,
    /// `tlb_flush_pending`, which is 0 then. Absent where it was not read.
    #[serde(default)]
    pub flushes: Option<i64>,
}

impl Remains {
    /// Whether a task is blocked forever, so the rest cannot be read.
    pub fn is_stuck(&self) -> bool {
        !self.stuck.is_empty() || self.reads == Some(false)
    }
}

/// Thread that is to make the calls on the watched addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initiator {
    /// The thread with this id.
    Thread(i32),
    /// The kernel thread `oom_reaper` (mm/oom_kill.c).
    OomReaper,
    /// The kernel thread `ksmd` (mm/ksm.c).
    Ksmd,
    /// The kernel thread `khugepaged` (mm/khugepaged.c).
    Khugepaged,
    /// One of the kernel threads `kworker/...` (kernel/workqueue.c).
    Worker,
}

/// Everything that was recorded about one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The scenario's name.
    pub scenario: String,
    /// The notifiers, in the order in which they were attached.
    pub notifiers: Vec<AttachedNotifier>,
    /// The demands of the scenario.
    pub expectation: Expectation,
    /// Process id of the subject.
    pub pid: i32,
    /// Its `comm`.
    pub comm: String,
    /// Thread that is to make the calls on the watched addresses. Reclaim and migration make calls
    /// of their own at times, which prove nothing.
    pub initiator: Initiator,
    /// Watched addresses: the first byte that the scenario works on, and the first byte after them.
    /// Never empty. Calls on other addresses of the subject are not judged.
    pub watched: (u64, u64),
    /// All starts on the subject's address space during the window, in the order of the module's
    /// log.
    pub calls: Vec<Call>,
    /// All other calls that the module logged, in its order.
    pub later: Vec<Later>,
    /// State of the pages after the operation; absent where it was not read.
    pub pages: Option<Pages>,
    /// The steps; empty where the scenario is a single operation.
    pub steps: Vec<Step>,
    /// State after all notifiers were removed.
    pub remains: Remains,
    /// Thread ids of this program, besides the initiator, that act in the scenario.
    pub actors: Vec<i32>,
    /// Result of the triggering operation: 0 or a negative errno.
    pub outcome: i32,
    /// Why the scenario could not be carried out as planned, which makes it "no verdict"; absent
    /// where it could.
    pub trouble: Option<String>,
    /// Duration of the scenario in milliseconds, on the clock of the kernel under test, which is
    /// virtual time under TCG.
    pub millis: u64,
}

impl Observation {
    /// Sum of the counters of all notifiers.
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

    /// Kind of the notifier that a call was made to; [`None`] where the log names a notifier that
    /// was not attached.
    pub fn kind(&self, call: &Call) -> Option<NotifierKind> {
        Some(self.notifiers.get(call.notifier)?.notifier.kind)
    }
}

/// Symbol of the start callback of a plain notifier, as `%pS` prints it without offset and size.
pub const CALLBACK_SYMBOL: &str = "mmu_notifier_inject_invalidate_range_start";

/// Symbol of the start callback of a plain notifier that has ends, too.
pub const PAIRED_SYMBOL: &str = "mmu_notifier_inject_paired_invalidate_range_start";

/// Name of the kernel module.
pub const MODULE_NAME: &str = "mmu_notifier_inject";

/// Part of the kernel's log between two markers, with the scenarios that ran in it. Usually one;
/// several where their effects cannot be separated in time (the OOM reaper handles its victims
/// together).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The scenarios, in the order in which they were triggered.
    pub observations: Vec<Observation>,
    /// All records of `/dev/kmsg` between the markers, including those of other drivers.
    pub records: Vec<Record>,
    /// Why `records` may be incomplete (overrun, missing marker, a gap in the sequence numbers);
    /// absent where they are complete.
    pub lost: Option<String>,
    /// `/sys/kernel/warn_count` before and after; absent where the kernel has none.
    pub warn_count: Option<(u64, u64)>,
    /// The module's count of log entries of all targets, before and after. Every injected failure
    /// is logged, and failures of a target outside of this window would make the messages
    /// ambiguous.
    pub total_entries: (u64, u64),
}
