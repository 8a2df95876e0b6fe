// SPDX-License-Identifier: GPL-2.0

//! The subject of a scenario with its notifiers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::unistd::gettid;

use crate::injector::{Attach, Attachment};
use crate::model::{
    Arming, AttachedNotifier, Call, Counters, Initiator, Injection, Later, Notifier, NotifierKind,
    Observation, Remains, Seen, Step, StepKind,
};
use crate::os::cgroup::Cgroup;
use crate::os::sys;
use crate::os::sys::PAGE;
use crate::os::wait::Waiter;
use crate::scenario::Scenario;
use crate::scenario::script::{Caller, Death};
use crate::trigger::helper::{Answer, Helper};
use crate::trigger::operation::Operation;
use crate::trigger::pages;
use crate::trigger::remote::Remote;
use crate::trigger::subject::Subject;

use crate::observe::session::{CGROUP_PREFIX, NOWHERE, STEP, Session};

/// Memory limit of a victim's cgroup in bytes: more than the process needs, less than it then
/// takes.
const VICTIM_LIMIT: u64 = 16 << 20;

/// Duration of a callback's sleep in microseconds.
const SLEEP_US: u64 = 1000;

/// Duration for which a callback waits without sleeping: the longest that the module allows.
pub(super) const DELAY: Duration = Duration::from_millis(100);

/// Time limit of a removal. One that takes longer never ends: it waits for a grace period of SRCU.
pub(super) const REMOVAL: Duration = Duration::from_secs(5);

/// Number of the target without a notifier, which only holds a reference to the address space.
const HOLDER: usize = 1000;

/// Number of the target that begins a read side after the removals.
pub(super) const PROBE: usize = 1001;

/// Number of the target that a script registers. The next number is that of a second one.
pub(super) const REGISTERED: usize = 1002;

/// A notifier of the scenario, with what its target has recorded since the window began.
pub(super) struct Attached {
    pub(super) notifier: Notifier,
    pub(super) attachment: Attachment,
    calls: Vec<Call>,
    later: Vec<Later>,
    /// The counters from before the window.
    before: Counters,
    /// The counters when the entries were read.
    after: Counters,
}

/// A subject with its notifiers, armed.
pub(super) struct Setup {
    pub(super) scenario: Scenario,
    // Dropped in this order: the notifiers while the process exists, the cgroup after it.
    pub(super) attached: Vec<Attached>,
    /// Holds the address space, so that its reference counts can be read when the process is gone.
    pub(super) holder: Attachment,
    pub(super) subject: Subject,
    /// The process that is to make the calls, until it has done so.
    helper: Option<Helper>,
    /// Its thread id, also when it is gone.
    helper_tid: Option<i32>,
    pub(super) cgroup: Option<Cgroup>,
    comm: String,
    begin: Instant,
    pub(super) outcome: i32,
    steps: Vec<Step>,
    pub(super) actors: Vec<i32>,
    /// Whether a registration waits forever, with the locks that its caller holds.
    pub(super) is_held_up: bool,
    /// The reason why it was not carried out as planned.
    pub(super) trouble: Option<String>,
}

/// The addresses directly behind the watched ones, which cannot be read or written. A kernel that
/// takes the end of an interval for a part of it calls the notifier on these, too.
pub(super) const fn beside((_, end): (u64, u64)) -> (u64, u64) {
    (end, end + PAGE as u64)
}

impl Session {
    /// Starts a subject for a scenario, attaches the notifiers, and sets the injectors.
    pub(super) fn set_up(&mut self, scenario: Scenario) -> Result<Setup> {
        let begin = Instant::now();
        let kind = scenario.trigger.kind;
        let cgroup = match kind.operation() {
            Operation::Hog => Some(Cgroup::new(&self.cgroup_name(), VICTIM_LIMIT)?),
            _ if kind.is_reclaimed() => Some(Cgroup::with_swap(&self.cgroup_name())?),
            _ => None,
        };
        let mut subject = Subject::start(scenario.trigger.work(), &self.waiter, STEP)?;
        if let Some(cgroup) = &cgroup {
            cgroup.add(subject.pid())?;
        }
        if kind.is_reclaimed() {
            // The memory that it has is charged to the cgroup where it was.
            subject.prepare(scenario.trigger.work(), &self.waiter, STEP)?;
        }
        let comm = subject.comm()?;
        let holder = self.module.attach(&Attach {
            pid: subject.pid().as_raw(),
            index: HOLDER,
            kind: "none",
            range: None,
        })?;
        let attached = self.attach_all(&scenario, &subject)?;
        let helper = match kind.death() {
            Death::No if kind.has_helper() => Some(Helper::start()?),
            Death::No => None,
            Death::HeldAtExit => {
                subject.hold_at_exit()?;
                None
            }
            Death::KilledBefore => {
                subject.hold_at_exit()?;
                subject.kill()?;
                subject.wait_held(&self.waiter, STEP)?;
                Some(Helper::start()?)
            }
        };

        let setup = Setup {
            scenario,
            attached,
            holder,
            subject,
            helper_tid: helper.as_ref().map(|helper| helper.pid().as_raw()),
            helper,
            cgroup,
            comm,
            begin,
            outcome: 0,
            steps: Vec::new(),
            actors: vec![gettid().as_raw()],
            is_held_up: false,
            trouble: None,
        };
        setup.arm()?;
        Ok(setup)
    }

    /// Name of a new cgroup.
    fn cgroup_name(&mut self) -> String {
        self.cgroups += 1;
        format!("{CGROUP_PREFIX}{}-{}", std::process::id(), self.cgroups)
    }

    /// Attaches the notifiers of a scenario to its subject, in their order.
    fn attach_all(&self, scenario: &Scenario, subject: &Subject) -> Result<Vec<Attached>> {
        let mut attached = Vec::new();
        for (index, notifier) in scenario.notifiers().into_iter().enumerate() {
            let range = if notifier.is_elsewhere {
                beside(subject.watched())
            } else {
                subject.watched()
            };
            let attachment = self.module.attach(&Attach {
                pid: subject.pid().as_raw(),
                index,
                kind: notifier.kind.name(),
                range: notifier.kind.has_range().then_some(range),
            })?;
            attached.push(Attached {
                notifier,
                attachment,
                calls: Vec::new(),
                later: Vec::new(),
                before: Counters::default(),
                after: Counters::default(),
            });
        }
        Ok(attached)
    }
}

impl Attached {
    fn arm(&self, watched: (u64, u64)) -> Result<()> {
        let arm = |(start, end): (u64, u64), what: String| {
            let calls = format!("range={start:#x}-{end:#x} times=-1");
            self.attachment.change(&format!("{calls} {what}"))
        };
        match self.notifier.arming {
            Arming::Fail(errno) => arm(watched, format!("error={errno}")),
            Arming::Filtered(errno) => arm(NOWHERE, format!("error={errno}")),
            Arming::Unarmed => Ok(()),
            Arming::AtStart(injection) => {
                let (key, value) = effect(injection);
                arm(watched, format!("{key}={value}"))
            }
            Arming::AtEnd(injection) => {
                let (key, value) = effect(injection);
                arm(watched, format!("callback=end {key}={value}"))
            }
            Arming::AtRelease(injection) => {
                let (key, value) = effect(injection);
                arm(watched, format!("callback=release {key}={value}"))
            }
        }
    }

    /// Reads the new entries of the log, and the counters.
    fn gather(&mut self) -> Result<()> {
        let entries = self.attachment.new_entries()?;
        self.calls.extend(entries.calls);
        self.later.extend(entries.later);
        self.after = self.attachment.counters()?;
        Ok(())
    }

    fn disarm(&self) -> Result<()> {
        match self.notifier.arming.injection() {
            Some(injection) => {
                let (key, _) = effect(injection);
                self.attachment.change(&format!("error=0 {key}=0"))
            }
            None => self.attachment.change("error=0"),
        }
    }
}

/// The setting of an injection, and its value.
fn effect(injection: Injection) -> (&'static str, String) {
    match injection {
        Injection::Sleep => ("sleep_us", SLEEP_US.to_string()),
        Injection::Delay => ("delay_us", DELAY.as_micros().to_string()),
        Injection::Allocate => ("alloc_bytes", PAGE.to_string()),
        Injection::Lock => ("lock", "1".to_owned()),
        Injection::Remove => ("remove", "1".to_owned()),
    }
}

/// The settings of a callback that sleeps so long in each call.
pub(super) fn sleeping(time: Duration) -> String {
    format!("times=-1 sleep_us={}", time.as_micros())
}

impl Setup {
    /// Sets the injectors.
    fn arm(&self) -> Result<()> {
        let watched = self.subject.watched();
        let mut attached = self.attached.iter();
        attached.try_for_each(|attached| attached.arm(watched))
    }

    /// Forgets all log entries and counts so far.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.gather()?;
        for attached in &mut self.attached {
            attached.calls.clear();
            attached.later.clear();
            attached.before = attached.after;
        }
        Ok(())
    }

    /// Reads what the notifiers have recorded since the last time.
    pub(super) fn gather(&mut self) -> Result<()> {
        self.attached.iter_mut().try_for_each(Attached::gather)
    }

    /// Resets the injectors, so that no callback fails any more.
    pub(super) fn disarm(&self) -> Result<()> {
        self.attached.iter().try_for_each(Attached::disarm)
    }

    /// Makes all mirrors copy the page table, and log what they have a stale copy of.
    pub(super) fn copy_page_tables(&self) -> Result<()> {
        let is_mirror = |attached: &&Attached| attached.notifier.kind == NotifierKind::Mirror;
        let mut mirrors = self.attached.iter().filter(is_mirror);
        mirrors.try_for_each(|attached| attached.attachment.copy_page_table())
    }

    /// Records a step.
    pub(super) fn step(&mut self, kind: StepKind, seen: Seen) {
        self.steps.push(Step { kind, seen });
    }

    /// Records a step that is a write to one of the module's files.
    pub(super) fn written(&mut self, kind: StepKind, answer: &Answer) {
        let seen = match answer {
            Answer::Done(errno) => Seen::Returned(*errno),
            Answer::Waits => Seen::StillWaits,
            Answer::Killed => Seen::CallerKilled,
        };
        self.step(kind, seen);
    }

    /// Lowers the priority of the helper: its `process_mrelease(2)` does not sleep, and the runner
    /// must get the processor meanwhile, of which there may be only one.
    pub(super) fn nice_mrelease(&mut self) -> Result<()> {
        let pid = self.helper()?.pid();
        sys::be_nice(pid).with_context(|| format!("cannot set the priority of {pid}"))
    }

    /// Makes the helper call `process_mrelease(2)` on the subject. Does not wait for it.
    pub(super) fn begin_mrelease(&mut self) -> Result<()> {
        let pid = self.subject.pid();
        self.helper()?.reap(pid)
    }

    /// The return value of that call: 0 or a negative errno. Ends the task that has made the call,
    /// which shows whatever the kernel leaves behind in it.
    pub(super) fn end_mrelease(&mut self, waiter: &Waiter) -> Result<i32> {
        let answer = self.helper()?.answer(waiter, STEP)?;
        self.helper = None;
        match answer {
            Answer::Done(errno) => Ok(errno),
            answer => bail!("process_mrelease: {answer}"),
        }
    }

    /// Makes the helper carry out an operation on the watched addresses. Returns 0 or a negative
    /// errno.
    pub(super) fn perform(&mut self, remote: Remote, waiter: &Waiter) -> Result<i32> {
        let (pid, watched) = (self.subject.pid(), self.subject.watched());
        match self.helper()?.perform(remote, pid, watched, waiter, STEP)? {
            Answer::Done(errno) => Ok(errno),
            answer => bail!("{remote} of {pid}: {answer}"),
        }
    }

    fn helper(&mut self) -> Result<&mut Helper> {
        self.helper.as_mut().context("there is no helper")
    }

    /// Makes the module zap the watched pages.
    pub(super) fn zap(&self, is_atomic: bool) -> Result<()> {
        let (start, end) = self.subject.watched();
        let word = if is_atomic { " atomic" } else { "" };
        self.holder
            .set("zap", &format!("{start:#x}-{end:#x}{word}"))
    }

    /// The thread that is to make the calls on the watched addresses.
    fn initiator(&self) -> Initiator {
        let own = gettid().as_raw();
        match self.scenario.trigger.kind.caller() {
            Caller::Subject => Initiator::Thread(self.subject.caller()),
            Caller::Helper => Initiator::Thread(self.helper_tid.unwrap_or(own)),
            Caller::Runner => Initiator::Thread(own),
            Caller::OomReaper => Initiator::OomReaper,
            Caller::Ksmd => Initiator::Ksmd,
            Caller::Khugepaged => Initiator::Khugepaged,
            Caller::Worker => Initiator::Worker,
        }
    }

    /// Everything that was gathered.
    pub(super) fn observation(&mut self) -> Result<Observation> {
        let mut calls: Vec<Call> = Vec::new();
        let mut later: Vec<Later> = Vec::new();
        let mut notifiers = Vec::new();
        for attached in &mut self.attached {
            calls.append(&mut attached.calls);
            later.append(&mut attached.later);
            let (before, after) = (attached.before, attached.after);
            notifiers.push(AttachedNotifier {
                notifier: attached.notifier,
                counters: Counters {
                    calls: after.calls.saturating_sub(before.calls),
                    injected: after.injected.saturating_sub(before.injected),
                    ends: after.ends.saturating_sub(before.ends),
                    overwritten: after.overwritten.saturating_sub(before.overwritten),
                },
            });
        }
        calls.sort_by_key(|call| call.seq);
        later.sort_by_key(|later| later.seq);
        let expectation = self.scenario.expectation();
        let (pid, watched) = (self.subject.pid(), self.subject.watched());
        let pages = match expectation.pages {
            Some(_) => {
                let seen = pages::look(pid, watched);
                Some(seen.with_context(|| format!("cannot look at the pages of {pid}"))?)
            }
            None => None,
        };
        Ok(Observation {
            scenario: self.scenario.name(),
            notifiers,
            expectation,
            pid: pid.as_raw(),
            comm: self.comm.clone(),
            initiator: self.initiator(),
            watched,
            calls,
            later,
            pages,
            steps: std::mem::take(&mut self.steps),
            remains: Remains::default(),
            actors: std::mem::take(&mut self.actors),
            outcome: self.outcome,
            trouble: self.trouble.take(),
            millis: self.begin.elapsed().as_millis() as u64,
        })
    }
}
