// SPDX-License-Identifier: GPL-2.0

//! Makes up runs: what the module would log and what a correct kernel would print.
//!
//! The lines are rendered here from the kernel's format strings, on purpose not by the oracle.

use mn_inject::kmsg::Record;
use mn_inject::model::{
    Arming, AttachedNotifier, Call, Context, Count, Counters, End, Expectation, Finding,
    FindingKind, FollowUp, Initiator, Later, Notifier, NotifierEvent, NotifierKind, Observation,
    ReaperMessage, Remains, ScenarioResult, Verdict, Window,
};
use mn_inject::oracle::Judgement;
use proptest::prelude::*;

pub const EAGAIN: i32 = -11;
pub const REAPER_TID: i32 = 40;
pub const RUNNER_TID: i32 = 70;
pub const SYMBOL: &str =
    "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";

pub const PAIRED_SYMBOL: &str =
    "mmu_notifier_inject_paired_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";

/// Which kernel prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    Seed,
    Mainline,
    /// Info line only.
    NoCheck,
    /// `if (!blockable) pr_warn`.
    Inverted,
    /// The mainline form that tests `ret`, still 0, for `_ret`.
    WrongVariable,
    /// Both complaints.
    Both,
}

/// How a kernel's lines look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub kernel: Kernel,
    pub callers: bool,
    /// `[cond]` in the header of a WARN.
    pub detailed: bool,
    /// The header of 6.12, which has no comm.
    pub old_header: bool,
}

impl Style {
    pub fn of(kernel: Kernel) -> Self {
        Style {
            kernel,
            callers: true,
            detailed: false,
            old_header: false,
        }
    }
}

/// What one scenario does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The target unmaps: blockable.
    Unmap(Arming),
    /// The runner calls `process_mrelease`: non-blockable.
    Mrelease(Arming),
    /// The OOM reaper comes: non-blockable.
    Oom(Arming),
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub deed: Deed,
    pub calls: u64,
    /// Calls elsewhere in the process, which succeed.
    pub elsewhere: u64,
}

/// A line with what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Noise,
    Ours { observation: usize },
    WarnHeader { observation: usize },
    ForeignWarnHeader,
}

#[derive(Clone, Debug)]
pub struct History {
    pub windows: Vec<Window>,
    /// For each window, for each record.
    pub origins: Vec<Vec<Origin>>,
}

/// Renders a run.
pub struct Writer<'a> {
    style: Style,
    noise: Box<dyn Iterator<Item = u8> + 'a>,
    kmsg_seq: u64,
    call_seq: u64,
    warn_count: u64,
    records: Vec<Record>,
    origins: Vec<Origin>,
}

impl<'a> Writer<'a> {
    pub fn new(style: Style, noise: &'a [u8]) -> Self {
        let noise: Box<dyn Iterator<Item = u8> + 'a> = if noise.is_empty() {
            Box::new(std::iter::repeat(0))
        } else {
            Box::new(noise.iter().copied().cycle())
        };
        Writer {
            style,
            noise,
            kmsg_seq: 500,
            call_seq: 0,
            warn_count: 3,
            records: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn put(&mut self, origin: Origin, level: u8, task: i32, text: String) {
        self.records.push(Record {
            seq: self.kmsg_seq,
            time_us: self.kmsg_seq * 10,
            level,
            facility: 0,
            caller: self.style.callers.then(|| format!("T{task}")),
            text,
        });
        self.origins.push(origin);
        self.kmsg_seq += 1;
    }

    fn warn_header(&self, place: &str, cond: &str, symbol: &str, task: i32, comm: &str) -> String {
        if self.style.old_header {
            return format!("WARNING: CPU: 1 PID: {task} at {place} {symbol}");
        }
        let cond = if self.style.detailed {
            format!("[{cond}] ")
        } else {
            String::new()
        };
        format!("WARNING: {cond}{place} at {symbol}, CPU#1: {comm}/{task}")
    }

    pub fn warn(&mut self, origin: Origin, place: &str, symbol: &str, task: i32, comm: &str) {
        let header = self.warn_header(
            place,
            "mmu_notifier_range_blockable(range) || _ret != -11",
            symbol,
            task,
            comm,
        );
        self.put(
            Origin::Noise,
            6,
            task,
            "------------[ cut here ]------------".into(),
        );
        self.put(origin, 4, task, header);
        for line in [
            "Modules linked in: mmu_notifier_inject(O)",
            "RIP: 0010:mn_hlist_invalidate_range_start+0xcd/0x1a0",
            " ? mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]",
            "---[ end trace 0000000000000000 ]---",
        ] {
            self.put(Origin::Noise, 4, task, line.into());
        }
        self.warn_count += 1;
    }

    fn some_noise(&mut self) {
        match self.noise.next().unwrap_or(0) % 24 {
            1 => self.put(Origin::Noise, 6, 1, "usb 1-1: new device".into()),
            2 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failure not allowed";
                self.put(Origin::Noise, 4, 900, text.into());
            }
            3 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failed with -11 in non-blockable context.";
                self.put(Origin::Noise, 6, 900, text.into());
            }
            4 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failed with -11 in blockable context.";
                self.put(Origin::Noise, 6, 900, text.into());
                let symbol = "mn_hlist_invalidate_range_start+0xcd/0x1a0";
                self.warn(
                    Origin::ForeignWarnHeader,
                    "mm/mmu_notifier.c:534",
                    symbol,
                    900,
                    "gpu",
                );
            }
            5 => {
                let symbol = "some_driver+0x1/0x20 [some]";
                self.warn(
                    Origin::ForeignWarnHeader,
                    "drivers/some.c:7",
                    symbol,
                    901,
                    "some",
                );
            }
            6 => {
                // What a user-space process writes cannot have the kernel's facility.
                self.put(
                    Origin::Noise,
                    4,
                    902,
                    format!("{SYMBOL} callback failure not allowed"),
                );
                self.records.last_mut().unwrap().facility = 1;
            }
            7 => {
                let text = "oom_reaper: reaped process 9999 (other), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB";
                self.put(Origin::Noise, 6, REAPER_TID, text.into());
            }
            8 => {
                let text = "WARNING: possible circular locking dependency detected";
                self.put(Origin::Noise, 4, 1, text.into());
            }
            _ => {}
        }
    }

    /// One call, with the lines it makes.
    pub fn call(&mut self, o: &mut Observation, index: usize, call: Call) {
        self.log(o, call.clone());
        self.print(index, &call);
    }

    /// The module's log of one call.
    pub fn log(&mut self, o: &mut Observation, mut call: Call) {
        call.seq = self.call_seq;
        call.time_ns = 1_000_000 + self.call_seq * 1000;
        self.call_seq += 1;
        let counters = &mut o.notifiers[call.notifier].counters;
        counters.calls += 1;
        counters.injected += u64::from(call.returned != 0);
        o.calls.push(call);
    }

    /// One invalidation of the watched addresses with all notifiers of `o`, as
    /// `__mmu_notifier_invalidate_range_start` and `..._end` make it. Returns whether it is refused.
    pub fn invalidation(&mut self, o: &mut Observation, index: usize, seq: u64) -> bool {
        let notifiers = o.notifiers.clone();
        let context = o.expectation.context;
        let blockable = context == Context::Blockable;
        let (tid, comm) = match o.initiator {
            Initiator::Thread(tid) => (tid, o.comm.clone()),
            Initiator::OomReaper => (REAPER_TID, "oom_reaper".to_owned()),
        };
        let start = |at: usize| {
            let returned = match notifiers[at].notifier.arming {
                Arming::Fail(errno) => errno,
                _ => 0,
            };
            Call {
                notifier: at,
                seq: 0,
                time_ns: 0,
                event: o.expectation.event,
                start: o.watched.0,
                end: o.watched.1,
                context,
                tid,
                comm: comm.clone(),
                injected: returned != 0,
                returned,
                cur_seq: if notifiers[at].notifier.kind.is_interval() {
                    seq
                } else {
                    0
                },
                callers: Vec::new(),
            }
        };
        let starts: Vec<Call> = (0..notifiers.len()).map(start).collect();
        let is_interval = |at: &usize| notifiers[*at].notifier.kind.is_interval();

        let mut finish_passes = Vec::new();
        let mut err = false;
        for at in (0..notifiers.len()).filter(is_interval) {
            self.log(o, starts[at].clone());
            if starts[at].returned != 0 {
                if blockable {
                    self.warn(
                        Origin::WarnHeader { observation: index },
                        "mm/mmu_notifier.c:488",
                        "__mmu_notifier_invalidate_range_start+0x88/0x250",
                        tid,
                        &comm,
                    );
                    continue;
                }
                err = true;
                break;
            }
            if notifiers[at].notifier.kind == NotifierKind::IntervalTwoPass {
                finish_passes.push(at);
            }
        }
        for at in finish_passes {
            self.follow_up(o, at, FollowUp::Finish, tid);
        }
        if err {
            return true;
        }
        let mut ret = false;
        let has_end = |at: &usize| notifiers[*at].notifier.kind == NotifierKind::PlainEnd;
        let list: Vec<usize> = (0..notifiers.len())
            .rev()
            .filter(|at| !is_interval(at))
            .collect();
        for &at in &list {
            self.log(o, starts[at].clone());
            if starts[at].returned != 0 {
                self.print_of(index, &starts[at], has_end(&at));
                ret = true;
            }
        }
        let ends = if ret { 1 } else { 0 } + if ret && !blockable { 0 } else { 1 };
        for _ in 0..ends {
            for &at in list.iter().filter(|at| has_end(at)) {
                self.follow_up(o, at, FollowUp::End, tid);
            }
        }
        ret && !blockable
    }

    fn follow_up(&mut self, o: &mut Observation, notifier: usize, op: FollowUp, tid: i32) {
        o.later.push(Later {
            notifier,
            seq: self.call_seq,
            time_ns: 1_000_000 + self.call_seq * 1000,
            op,
            start: o.watched.0,
            end: o.watched.1,
            context: o.expectation.context,
            tid,
            injected: op != FollowUp::Release
                && matches!(o.notifiers[notifier].notifier.arming, Arming::AtEnd(_)),
        });
        o.notifiers[notifier].counters.ends += u64::from(op != FollowUp::Release);
        self.call_seq += 1;
    }

    /// The kernel's lines about one call.
    pub fn print(&mut self, index: usize, call: &Call) {
        self.some_noise();
        if call.returned != 0 {
            self.print_of(index, call, false);
        }
    }

    /// The lines about a call that failed, of a notifier that has ends or none.
    fn print_of(&mut self, index: usize, call: &Call, has_end: bool) {
        let symbol = if has_end { PAIRED_SYMBOL } else { SYMBOL };
        let blockable = call.context == Context::Blockable;
        let origin = Origin::Ours { observation: index };
        let word = if blockable { "" } else { "non-" };
        let (errno, tid) = (call.returned, call.tid);
        self.put(
            origin.clone(),
            6,
            tid,
            format!("{symbol} callback failed with {errno} in {word}blockable context."),
        );
        let (pr_warn, warn) = match self.style.kernel {
            Kernel::Seed => (blockable, false),
            Kernel::Mainline => (false, blockable || errno != EAGAIN),
            Kernel::NoCheck => (false, false),
            Kernel::Inverted => (!blockable, false),
            Kernel::WrongVariable => (false, true),
            Kernel::Both => (blockable, blockable || errno != EAGAIN),
        };
        if pr_warn {
            self.some_noise();
            self.put(
                origin,
                4,
                tid,
                format!("{symbol} callback failure not allowed"),
            );
        }
        if warn {
            self.warn(
                Origin::WarnHeader { observation: index },
                "mm/mmu_notifier.c:534",
                "mn_hlist_invalidate_range_start+0xcd/0x1a0",
                tid,
                &call.comm,
            );
        }
        if has_end {
            self.warn(
                Origin::WarnHeader { observation: index },
                "mm/mmu_notifier.c:541",
                "mn_hlist_invalidate_range_start+0xe1/0x1a0",
                tid,
                &call.comm,
            );
        }
    }

    pub fn reaper_word(&mut self, o: &Observation, index: usize, word: ReaperMessage) {
        let text = match word {
            ReaperMessage::Reaped => format!(
                "oom_reaper: reaped process {} ({}), now anon-rss:0kB, file-rss:4kB, shmem-rss:0kB",
                o.pid, o.comm
            ),
            ReaperMessage::UnableToReap => {
                format!("oom_reaper: unable to reap pid:{} ({})", o.pid, o.comm)
            }
        };
        self.put(Origin::Ours { observation: index }, 6, REAPER_TID, text);
    }

    /// One window, its scenarios one after the other.
    pub fn window(&mut self, plans: &[Plan], first_pid: i32) -> (Window, Vec<Origin>) {
        let (warns, calls) = (self.warn_count, self.call_seq);
        let mut observations = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            let pid = first_pid + index as i32;
            let mut o = observation(plan, pid);
            for _ in 0..plan.elsewhere {
                let mut call = call(plan.deed, pid, Arming::Unarmed);
                (call.start, call.end) = (0x9000, 0xa000);
                (call.context, call.tid) = (Context::Blockable, pid);
                call.comm = o.comm.clone();
                self.call(&mut o, index, call);
            }
            for _ in 0..plan.calls {
                let call = call(plan.deed, pid, o.notifiers[0].notifier.arming);
                self.call(&mut o, index, call);
            }
            if let Some(word) = o.expectation.reaper {
                self.reaper_word(&o, index, word);
            }
            self.some_noise();
            observations.push(o);
        }
        self.end(observations, warns, calls)
    }

    pub fn end(
        &mut self,
        observations: Vec<Observation>,
        warns: u64,
        calls: u64,
    ) -> (Window, Vec<Origin>) {
        let window = Window {
            observations,
            records: std::mem::take(&mut self.records),
            lost: None,
            warn_count: Some((warns, self.warn_count)),
            total_entries: (calls, self.call_seq),
        };
        // The marker.
        self.kmsg_seq += 1;
        (window, std::mem::take(&mut self.origins))
    }

    pub fn warn_count(&self) -> u64 {
        self.warn_count
    }

    pub fn call_seq(&self) -> u64 {
        self.call_seq
    }
}

/// An observation without calls.
pub fn observation(plan: &Plan, pid: i32) -> Observation {
    let (arming, context) = match plan.deed {
        Deed::Unmap(arming) => (arming, Context::Blockable),
        Deed::Mrelease(arming) | Deed::Oom(arming) => (arming, Context::NonBlockable),
    };
    let refuses = matches!(arming, Arming::Fail(_)) && plan.calls > 0;
    Observation {
        scenario: format!("scenario-{pid}"),
        notifiers: vec![subscriber(NotifierKind::Plain, arming)],
        expectation: Expectation {
            event: NotifierEvent::Unmap,
            context,
            calls: Count::Exactly(plan.calls),
            outcome: 0,
            reaper: match plan.deed {
                Deed::Oom(_) if refuses => Some(ReaperMessage::UnableToReap),
                Deed::Oom(_) => Some(ReaperMessage::Reaped),
                _ => None,
            },
            pages: None,
            is_atomic: false,
            said: Vec::new(),
            judges_symptoms: false,
            end: End::There,
        },
        pid,
        comm: "victim (1)".into(),
        initiator: match plan.deed {
            Deed::Unmap(_) => Initiator::Thread(pid),
            Deed::Mrelease(_) => Initiator::Thread(RUNNER_TID),
            Deed::Oom(_) => Initiator::OomReaper,
        },
        watched: (0x1000, 0x4000),
        calls: Vec::new(),
        later: Vec::new(),
        pages: None,
        steps: Vec::new(),
        remains: Remains {
            stuck: Vec::new(),
            reads: Some(true),
            mm: Some((0, 1)),
        },
        actors: Vec::new(),
        outcome: 0,
        trouble: None,
        millis: 5,
    }
}

/// A notifier that was not called yet.
pub fn subscriber(kind: NotifierKind, arming: Arming) -> AttachedNotifier {
    AttachedNotifier {
        notifier: Notifier {
            kind,
            arming,
            is_elsewhere: false,
        },
        counters: Counters::default(),
    }
}

/// An end of a call elsewhere that is in nobody's count.
pub fn later() -> Later {
    Later {
        notifier: 0,
        seq: 0,
        time_ns: 0,
        op: FollowUp::End,
        start: 0x9000,
        end: 0xa000,
        context: Context::Blockable,
        tid: 1,
        injected: false,
    }
}

/// A call on the watched addresses.
pub fn call(deed: Deed, pid: i32, arming: Arming) -> Call {
    let (context, tid, comm) = match deed {
        Deed::Unmap(_) => (Context::Blockable, pid, "victim (1)"),
        Deed::Mrelease(_) => (Context::NonBlockable, RUNNER_TID, "mn-inject"),
        Deed::Oom(_) => (Context::NonBlockable, REAPER_TID, "oom_reaper"),
    };
    Call {
        notifier: 0,
        seq: 0,
        time_ns: 0,
        event: NotifierEvent::Unmap,
        start: 0x2000,
        end: 0x3000,
        context,
        tid,
        comm: comm.into(),
        injected: matches!(arming, Arming::Fail(_)),
        returned: match arming {
            Arming::Fail(errno) => errno,
            Arming::Filtered(_) | Arming::Unarmed | Arming::AtStart(_) | Arming::AtEnd(_) => 0,
        },
        cur_seq: 0,
        callers: Vec::new(),
    }
}

/// A run of the given windows.
pub fn history(style: Style, windows: &[Vec<Plan>], noise: &[u8]) -> History {
    let mut writer = Writer::new(style, noise);
    let (windows, origins) = windows
        .iter()
        .enumerate()
        .map(|(index, plans)| writer.window(plans, 1000 + 100 * index as i32))
        .unzip();
    History { windows, origins }
}

pub fn arming() -> impl Strategy<Value = Arming> {
    let errno = prop::sample::select(vec![-11, -16, -4, -12]);
    prop_oneof![
        4 => errno.clone().prop_map(Arming::Fail),
        1 => errno.prop_map(Arming::Filtered),
        1 => Just(Arming::Unarmed),
    ]
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let deed = prop_oneof![
        arming().prop_map(Deed::Unmap),
        arming().prop_map(Deed::Mrelease),
        arming().prop_map(Deed::Oom),
    ];
    (deed, 0u64..5, 0u64..3).prop_map(|(deed, calls, elsewhere)| Plan {
        deed,
        calls,
        elsewhere,
    })
}

pub fn style(kernel: Kernel) -> impl Strategy<Value = Style> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(callers, detailed, old)| Style {
        kernel,
        callers,
        detailed,
        old_header: old,
    })
}

/// Any run on a correct kernel.
pub fn any_history() -> impl Strategy<Value = (Style, History)> {
    (
        prop_oneof![style(Kernel::Seed), style(Kernel::Mainline)],
        prop::collection::vec(prop::collection::vec(plan(), 1..4), 1..4),
        prop::collection::vec(any::<u8>(), 0..30),
    )
        .prop_map(|(style, windows, noise)| (style, history(style, &windows, &noise)))
}

/// The kinds of the findings about a scenario.
pub fn kinds(result: &ScenarioResult) -> Vec<FindingKind> {
    match &result.verdict {
        Verdict::Fail { findings } => findings.iter().map(|finding| finding.kind).collect(),
        _ => Vec::new(),
    }
}

/// The same of all scenarios.
pub fn kind_names(judgement: &Judgement) -> Vec<Vec<FindingKind>> {
    judgement.results.iter().map(kinds).collect()
}

/// The findings about a scenario; none where it has not failed.
pub fn findings(result: &ScenarioResult) -> Vec<Finding> {
    match &result.verdict {
        Verdict::Fail { findings } => findings.clone(),
        _ => Vec::new(),
    }
}

/// A line of the kernel.
pub fn line(text: &str) -> Record {
    Record {
        seq: 1,
        time_us: 1,
        level: 4,
        facility: 0,
        caller: Some("T1".into()),
        text: text.into(),
    }
}

/// Puts a line of that task into a window, as the record of that place.
pub fn insert(window: &mut Window, at: usize, level: u8, tid: i32, text: &str) {
    let has_callers = window.records.iter().all(|record| record.caller.is_some());
    let record = Record {
        level,
        caller: has_callers.then(|| format!("T{tid}")),
        ..line(text)
    };
    window.records.insert(at, record);
    // lockdep's reports begin like a WARN, and are not counted as one.
    let is_warn = text.starts_with("WARNING: ") && text.contains(" at ");
    adjust(window, is_warn, 1);
    renumber(window);
}

/// Counts a WARN more or less.
pub fn adjust(window: &mut Window, is_warn: bool, by: i64) {
    if let Some((_, after)) = &mut window.warn_count
        && is_warn
    {
        *after = after.checked_add_signed(by).unwrap();
    }
}

/// Numbers the records of a window anew, without a gap.
pub fn renumber(window: &mut Window) {
    let first = window.records.first().map_or(0, |record| record.seq);
    for (seq, record) in (first..).zip(&mut window.records) {
        record.seq = seq;
    }
}

/// The module's counters as its log has it.
pub fn recount(o: &mut Observation) {
    for (index, notifier) in o.notifiers.iter_mut().enumerate() {
        let calls = || o.calls.iter().filter(|call| call.notifier == index);
        notifier.counters.calls = calls().count() as u64;
        notifier.counters.injected = calls().filter(|call| call.injected).count() as u64;
        let later = o.later.iter().filter(|later| later.notifier == index);
        let ends = later.filter(|later| later.op != FollowUp::Release);
        notifier.counters.ends = ends.count() as u64;
    }
}

/// A scenario, with one agreeing call elsewhere.
pub fn one(deed: Deed, calls: u64) -> Vec<Plan> {
    vec![Plan {
        deed,
        calls,
        elsewhere: 1,
    }]
}
