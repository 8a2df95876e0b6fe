// SPDX-License-Identifier: GPL-2.0

//! The words every part of the program shares.
//!
//! Data flows one way: a [`Scenario`] is triggered, the module's log and `/dev/kmsg` are read into
//! a [`Window`], the oracle turns each window into [`ScenarioResult`]s, and the reports print
//! those. Nothing here does I/O.

pub mod exit;
pub mod matrix;
mod message;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;

pub use message::KernelMessage;

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

/// How the injector of a notifier was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "mode", content = "value")]
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
    #[serde(rename = "misbehave_at_end")]
    AtEnd(Injection),
}

/// A number of calls that a scenario demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Exactly so many.
    Exactly(u64),
    /// So many or more, where the kernel's own state decides (reclaim, for one).
    AtLeast(u64),
}

impl Count {
    /// Whether `n` calls are what was demanded.
    pub fn admits(self, n: u64) -> bool {
        match self {
            Count::Exactly(want) => n == want,
            Count::AtLeast(least) => n >= least,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exactly(n) => write!(f, "exactly {n}"),
            Count::AtLeast(n) => write!(f, "at least {n}"),
        }
    }
}

/// What the OOM reaper has to say at the end (mm/oom_kill.c, `oom_reap_task`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaperMessage {
    /// `oom_reaper: reaped process PID (COMM), now ...`
    Reaped,
    /// `oom_reaper: unable to reap pid:PID (COMM)`
    UnableToReap,
}

/// What a scenario demands of the kernel besides the messages, whatever its form of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The event that the calls on the watched range carry.
    pub event: NotifierEvent,
    /// The context that these calls have.
    pub context: Context,
    /// How many of them there are.
    pub calls: Count,
    /// What the triggering operation returns: 0 or a negative errno.
    pub outcome: i32,
    /// The OOM reaper's closing line, where the OOM reaper is the caller.
    pub reaper: Option<ReaperMessage>,
    /// What becomes of the pages of the watched addresses, where that is looked at.
    pub pages: Option<PagesFate>,
    /// Whether the caller must not sleep, though the call is blockable: a caller's own mistake.
    pub is_atomic: bool,
    /// What the kernel is to say that is not about a callback: of how somebody registers.
    pub said: Vec<KernelMessage>,
    /// Whether what the kernel finds wrong with itself (lockdep, sleeping where it must not be
    /// slept) is what this is about. Elsewhere it is trouble.
    pub judges_symptoms: bool,
    /// How the process is at the end.
    pub end: End,
}

/// How a process is when its notifiers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It is there, alive or held on its way out, with its address space.
    There,
    /// It is gone, and only a reference holds its address space.
    Gone,
    /// Something is left behind for good (a callback that never returns, a list that has no end),
    /// so that nobody can look what remains.
    Left,
}

/// What becomes of populated pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PagesFate {
    /// They keep their contents, and count in the process's RSS.
    Kept,
    /// They read as zeroes, and do not count any more.
    Zeroed,
    /// They cannot be read any more, and do not count.
    Gone,
}

impl fmt::Display for PagesFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PagesFate::Kept => "kept",
            PagesFate::Zeroed => "zeroed",
            PagesFate::Gone => "gone",
        })
    }
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

/// One step of a scenario that has several, with what is due and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What was done, for a person.
    pub what: String,
    /// What is due.
    pub due: String,
    /// What came of it.
    pub seen: String,
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

/// The form in which the kernel under test states the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recognised {
    /// Info line, and `pr_warn("%pS callback failure not allowed\n")` in blockable context.
    Seed,
    /// Info line, and `WARN_ON(blockable || _ret != -EAGAIN)` (mainline since 5.4).
    Mainline,
    /// Info line only (before 2018): the kernel has no check.
    InfoOnly,
    /// Blockable failures were complained about in more than one way.
    Mixed,
    /// Nothing failed in blockable context, so nothing could be recognised.
    Unknown,
}

impl Recognised {
    /// The name under which reports have the answer about the form, beside the scenarios'.
    pub const RESULT: &str = "kernel-form";
}

impl fmt::Display for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Recognised::Seed => "seed (info + pr_warn)",
            Recognised::Mainline => "mainline (info + WARN_ON)",
            Recognised::InfoOnly => "none (info line only, as before 2018)",
            Recognised::Mixed => "mixed (complaints of more than one form)",
            Recognised::Unknown => "unknown (nothing failed in blockable context)",
        })
    }
}

/// The form the user demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Recognise the form and hold the kernel to it.
    #[default]
    Auto,
    /// The kernel must have the seed patch.
    Seed,
    /// The kernel must have the form of mainline since 5.4.
    Mainline,
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// The form of the check that is demanded.
    pub expect: Expect,
    /// Names of scenarios to run as shell patterns; empty means all.
    pub only: Vec<String>,
    /// Which of those.
    pub part: Part,
    /// Whether the machine may be harmed (global OOM).
    pub disposable: bool,
    /// Whether to run although a WARN brings the machine down.
    pub allow_panic_on_warn: bool,
}

/// A part of a run: what one boot is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All scenarios that leave the boot as they found it, and the module's unit tests.
    #[default]
    Together,
    /// Those that leave something behind for good, and do not mind what others have left.
    Spoiled,
    /// The scenario of that name, on a boot of its own.
    Alone(String),
}

impl Part {
    /// What reports call it.
    pub fn name(&self) -> &str {
        match self {
            Part::Together => "together",
            Part::Spoiled => "spoiled",
            Part::Alone(name) => name,
        }
    }
}

/// What kind of disagreement a finding is. The words are part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A message was due and is not there.
    DidNotFire,
    /// A message is there and was not due.
    FiredWhenItShouldNot,
    /// The message is there with another text, level, errno, context, symbol or module.
    Altered,
    /// The messages are there in another order.
    OutOfOrder,
    /// The kernel called the notifier in another way than the operation should make it.
    Calls,
    /// The operation returned something else than it should.
    Outcome,
    /// The pages are not what they should be.
    Pages,
    /// A step of the scenario had another result than it should.
    Step,
    /// A notifier could not be removed at once, or something of it was left.
    Removal,
    /// The kernel's form of the check is not one that is accepted.
    Form,
    /// A unit test of the module failed.
    UnitTest,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 11] = [
        FindingKind::DidNotFire,
        FindingKind::FiredWhenItShouldNot,
        FindingKind::Altered,
        FindingKind::OutOfOrder,
        FindingKind::Calls,
        FindingKind::Outcome,
        FindingKind::Pages,
        FindingKind::Step,
        FindingKind::Removal,
        FindingKind::Form,
        FindingKind::UnitTest,
    ];

    /// The words by which a person and a test know this kind.
    pub const fn words(self) -> &'static str {
        match self {
            FindingKind::DidNotFire => "did not fire when it should",
            FindingKind::FiredWhenItShouldNot => "fired when it should not",
            FindingKind::Altered => "fired with the wrong content",
            FindingKind::OutOfOrder => "fired out of order",
            FindingKind::Calls => "notifier called differently",
            FindingKind::Outcome => "operation ended differently",
            FindingKind::Pages => "pages are not as they should be",
            FindingKind::Step => "step ended differently",
            FindingKind::Removal => "not removed as it should",
            FindingKind::Form => "form of the check not accepted",
            FindingKind::UnitTest => "unit test failed",
        }
    }
}

/// One disagreement between what was due and what was seen, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// One sentence for a person.
    pub text: String,
    /// What was due, where something was.
    pub due: Option<String>,
    /// The kernel's line as it was read, where there is one.
    pub seen: Option<String>,
    /// Sequence number of that line in `/dev/kmsg`.
    pub kmsg_seq: Option<u64>,
    /// Sequence number of the call in the module's log.
    pub call_seq: Option<u64>,
}

impl Finding {
    /// One that points at nothing else.
    pub const fn new(kind: FindingKind, text: String) -> Self {
        Finding {
            kind,
            text,
            due: None,
            seen: None,
            kmsg_seq: None,
            call_seq: None,
        }
    }
}

/// The answer about one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Verdict {
    /// Everything that was due was seen, and nothing else.
    Pass,
    /// The kernel did something else.
    Fail {
        /// What, each with its evidence; never empty.
        findings: Vec<Finding>,
    },
    /// The kernel did what is known to be wrong with it: see the table in `runner/known.rs`.
    KnownBug {
        /// Which, and why it is one; constant text.
        reason: String,
        /// What it did, each with its evidence; never empty.
        findings: Vec<Finding>,
    },
    /// It cannot be known.
    NoVerdict {
        /// Why; never empty.
        reasons: Vec<String>,
    },
    /// Not run.
    Skip {
        /// Why; constant text for a given cause.
        reason: String,
    },
}

/// A message that was due and was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Sequence number of the call in the module's log; absent for a closing line of the OOM
    /// reaper about a victim that it called no notifier for.
    pub call_seq: Option<u64>,
    /// Sequence number of the line in `/dev/kmsg`.
    pub kmsg_seq: u64,
    /// syslog level of the line.
    pub level: u8,
    /// The line.
    pub text: String,
}

/// One scenario's part of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioResult {
    /// The scenario's name, `[a-z0-9-]` only.
    pub name: String,
    /// The answer.
    pub verdict: Verdict,
    /// What was recorded; absent where the scenario was skipped.
    pub observation: Option<Observation>,
    /// The messages that were due and seen.
    pub matched: Vec<Matched>,
    /// Lines of other drivers that complain about a notifier of theirs, as they were read.
    pub foreign: Vec<String>,
    /// A known bug that is not there any more: the scenario passed.
    pub bug_gone: Option<String>,
}

/// The answer about one of the module's own unit tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitTest {
    /// `kunit-`, the suite, `-`, and the case.
    pub name: String,
    /// The answer.
    pub verdict: Verdict,
}

/// Something that the kernel found wrong with itself or with a module, and that is not what a
/// scenario is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// What it is, for a person: `KASAN`, `lockdep`, `kmemleak`, ...
    pub what: String,
    /// Sequence number of its first line in `/dev/kmsg`; absent where it does not stand there.
    pub kmsg_seq: Option<u64>,
    /// Its lines; never empty.
    pub lines: Vec<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.lines.first().map_or("", String::as_str);
        write!(f, "the kernel complained ({}): {first}", self.what)
    }
}

/// Facts about the kernel under test and the machine it ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelInfo {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// `/proc/cmdline`.
    pub cmdline: String,
}

/// Facts about the virtual machine; absent on real hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmInfo {
    /// Package and exact version of the kernel source, or the user's tree.
    pub source: String,
    /// Whether that is a version that this program was tested with; a user's tree never is.
    pub tested: bool,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// The patches in the order in which they were applied, as `NAME (sha256:...)`.
    pub patches: Vec<String>,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why that accelerator, where there was a choice.
    pub accelerator_reason: String,
    /// Milliseconds per stage, in the order in which they ran: (stage, milliseconds).
    pub stages: Vec<(String, u64)>,
    /// Paths of the logs that were kept: (what, path).
    pub logs: Vec<(String, String)>,
}

impl VmInfo {
    /// The path of that log.
    pub fn log(&self, what: &str) -> Option<&str> {
        let log = self.logs.iter().find(|(name, _)| name == what);
        log.map(|(_, path)| path.as_str())
    }
}

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of this format; see `docs/report.md`. Raised with every change that a reader
    /// could notice.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The kernel under test; absent where it never answered.
    pub kernel: Option<KernelInfo>,
    /// The virtual machine; absent on real hardware.
    pub vm: Option<VmInfo>,
    /// The form of the check that was recognised.
    pub form: Recognised,
    /// The form that was demanded.
    pub expect: Expect,
    /// How many scenarios were planned, and how many unit tests there are.
    pub planned: usize,
    /// The verdict on the form itself, then one entry per scenario that was planned, in that
    /// order. Fewer than `planned` means that the run was cut short.
    pub form_verdict: Verdict,
    /// The scenarios' results.
    pub scenarios: Vec<ScenarioResult>,
    /// The results of the module's unit tests, where the kernel runs them.
    pub unit_tests: Vec<UnitTest>,
    /// What the kernel complained about from before the module was loaded until after it was
    /// unloaded. Each is in `trouble`, too.
    pub complaints: Vec<Complaint>,
    /// Why the run as a whole cannot be trusted, where it cannot (panic, hang, truncation);
    /// not empty makes the whole run "no verdict".
    pub trouble: Vec<String>,
    /// How long the run took, in milliseconds: in a VM, the host's from the first QEMU's start to
    /// the last one's end.
    pub millis: u64,
}

/// `mn-inject` and its version, as reports have it.
pub const TOOL: &str = concat!("mn-inject ", env!("CARGO_PKG_VERSION"));

impl Report {
    /// The verdict on the form and those on the scenarios, each with its name.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let scenarios = self.scenarios.iter();
        let scenarios = scenarios.map(|result| (result.name.as_str(), &result.verdict));
        std::iter::once((Recognised::RESULT, &self.form_verdict)).chain(scenarios)
    }
}

/// The current [`Report::schema`].
pub const SCHEMA: u32 = 6;

/// One line on the channel between the guest and the host, in the order of a run.
///
/// A run is complete only if it ends with [`Progress::End`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress", deny_unknown_fields)]
pub enum Progress {
    /// The runner is up.
    Begin {
        /// The kernel it runs on.
        kernel: KernelInfo,
        /// The names of the scenarios it is going to run.
        plan: Vec<String>,
        /// The results of the unit tests, which have run as the module was loaded.
        unit_tests: Vec<UnitTest>,
    },
    /// A scenario starts.
    Start {
        /// Its name.
        scenario: String,
        /// The longest it may take, in milliseconds.
        deadline_ms: u64,
    },
    /// What was seen of some of the scenarios, with every record of the kernel's log in between.
    Window {
        /// It.
        window: Box<Window>,
    },
    /// The scenarios are over; now the module is unloaded, and the kernel is asked whether all is
    /// well.
    Check,
    /// The whole report. Nothing but `End` follows.
    Report {
        /// The report, without `vm`.
        report: Box<Report>,
    },
    /// The run is over and everything was said.
    End,
}
