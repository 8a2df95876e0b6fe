// SPDX-License-Identifier: GPL-2.0

//! A process with the notifiers of a scenario on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::unistd::gettid;

use crate::injector::{Attach, Attachment};
use crate::model::{
    Arming, AttachedNotifier, Call, Counters, Initiator, Injection, Later, Notifier, Observation,
    Remains, Step,
};
use crate::os::cgroup::Cgroup;
use crate::os::sys;
use crate::os::sys::PAGE;
use crate::os::wait::Waiter;
use crate::scenario::procedure::Procedure;
use crate::scenario::{Scenario, TriggerKind};
use crate::trigger::helper::{Answer, Helper};
use crate::trigger::operation::Operation;
use crate::trigger::pages;
use crate::trigger::subject::Subject;

use crate::observe::{CGROUP_PREFIX, NOWHERE, STEP, Session};

/// What a victim's cgroup may have: more than the process needs, less than it then takes.
const VICTIM_LIMIT: u64 = 16 << 20;

/// How long a callback sleeps, in microseconds.
pub(crate) const SLEEP_US: u64 = 1000;

/// How long a callback waits without sleeping: as long as the module lets it.
pub(crate) const DELAY: Duration = Duration::from_millis(100);

/// The number of the target that is no notifier, but only holds the address space.
const HOLDER: usize = 1000;

/// A notifier of the scenario, with what its counters were before.
pub(crate) struct Attached {
    pub(crate) notifier: Notifier,
    pub(crate) attachment: Attachment,
    before: Counters,
}

/// A process with its notifiers, armed.
pub(crate) struct Setup {
    pub(crate) scenario: Scenario,
    // In this order: the notifiers go while the process is still there, the cgroup after it.
    pub(crate) attached: Vec<Attached>,
    /// Holds the address space, so that its counts can be looked at when the process is gone.
    pub(crate) holder: Attachment,
    pub(crate) target: Subject,
    /// The process that is to call `process_mrelease(2)`, as long as it is there, and its id.
    reaper: Option<Helper>,
    reaper_tid: i32,
    pub(crate) _cgroup: Option<Cgroup>,
    comm: String,
    begin: Instant,
    pub(crate) outcome: i32,
    pub(crate) steps: Vec<Step>,
    pub(crate) actors: Vec<i32>,
    /// Whether somebody who registers waits for ever, with the locks that he holds.
    pub(crate) is_held_up: bool,
    /// What kept it from being carried out as planned.
    pub(crate) trouble: Option<String>,
}

/// The addresses next to those that are watched, where nothing can be read or written: whoever
/// takes an interval's end for a part of it tells that one, too.
pub(crate) const fn beside((_, end): (u64, u64)) -> (u64, u64) {
    (end, end + PAGE as u64)
}

impl Session {
    /// Starts a process for a scenario, attaches the notifiers, and sets the injectors.
    pub(crate) fn subject(&mut self, scenario: Scenario) -> Result<Setup> {
        let begin = Instant::now();
        let kind = scenario.trigger.kind;
        let operation = match kind {
            TriggerKind::Own(operation) => operation,
            TriggerKind::MemcgOom => Operation::Hog,
            TriggerKind::Mrelease | TriggerKind::GlobalOom => Operation::Hold,
            // In an atomic section a zap of page tables need not end: it stops at every entry for as
            // long as it should be preempted.
            TriggerKind::Zap { .. } => Operation::HoldUntouched,
            TriggerKind::Procedure(procedure) => operation_of(procedure),
        };
        let cgroup = match kind {
            TriggerKind::MemcgOom => {
                self.cgroups += 1;
                let name = format!("{CGROUP_PREFIX}{}-{}", std::process::id(), self.cgroups);
                Some(Cgroup::new(&name, VICTIM_LIMIT)?)
            }
            _ => None,
        };
        let target = Subject::start(operation, &self.waiter, STEP)?;
        if let Some(cgroup) = &cgroup {
            cgroup.add(target.pid())?;
        }
        let comm = target.comm()?;
        let pid = target.pid().as_raw();
        let holder = self.module.attach(&Attach {
            pid,
            index: HOLDER,
            kind: "none",
            range: None,
        })?;
        let mut attached = Vec::new();
        for (index, notifier) in scenario.notifiers().into_iter().enumerate() {
            let range = if notifier.is_elsewhere {
                beside(target.watched())
            } else {
                target.watched()
            };
            let attachment = self.module.attach(&Attach {
                pid,
                index,
                kind: notifier.kind.name(),
                range: notifier.kind.is_interval().then_some(range),
            })?;
            attached.push(Attached {
                notifier,
                attachment,
                before: Counters::default(),
            });
        }
        if is_held(kind) {
            target.hold_at_exit()?;
        }
        if kills_before(kind) {
            target.kill()?;
            target.wait_held(&self.waiter, STEP)?;
        }

        let reaper = kills_before(kind).then(Helper::start).transpose()?;
        let own_tid = gettid().as_raw();
        let mut subject = Setup {
            scenario,
            attached,
            holder,
            target,
            reaper_tid: reaper
                .as_ref()
                .map_or(own_tid, |reaper| reaper.pid().as_raw()),
            reaper,
            _cgroup: cgroup,
            comm,
            begin,
            outcome: 0,
            steps: Vec::new(),
            actors: vec![own_tid],
            is_held_up: false,
            trouble: None,
        };
        subject.arm()?;
        Ok(subject)
    }
}

/// Whether the process stops on its way out, to be reaped with its memory whole.
fn is_held(kind: TriggerKind) -> bool {
    match kind {
        TriggerKind::Own(_) | TriggerKind::Zap { .. } => false,
        TriggerKind::Mrelease | TriggerKind::MemcgOom | TriggerKind::GlobalOom => true,
        TriggerKind::Procedure(procedure) => is_reaped(procedure),
    }
}

/// Whether it is reaped by `process_mrelease(2)`.
fn is_reaped(procedure: Procedure) -> bool {
    matches!(
        procedure,
        Procedure::ReadRefused | Procedure::ReapsOthers | Procedure::ReapedBeforeEnd
    )
}

/// Whether it is killed as it is set up.
fn kills_before(kind: TriggerKind) -> bool {
    match kind {
        TriggerKind::Mrelease => true,
        TriggerKind::Procedure(procedure) => is_reaped(procedure),
        _ => false,
    }
}

/// What the process is made for.
fn operation_of(procedure: Procedure) -> Operation {
    match procedure {
        Procedure::ReadDisturbed | Procedure::ReadElsewhere | Procedure::ReadFailed => {
            Operation::Dontneed
        }
        Procedure::ReadWaits | Procedure::ChangeInInvalidation | Procedure::ReleaseAtRemoval => {
            Operation::Dontneed
        }
        Procedure::RemoveInCallback => Operation::MunmapWhole,
        Procedure::ToldBefore(operation) | Procedure::ZappedBeforeEnd(operation) => operation,
        Procedure::Read
        | Procedure::ReapsOthers
        | Procedure::ReapedBeforeEnd
        | Procedure::ReadRefused
        | Procedure::Register(_)
        | Procedure::ReleaseAtExit => Operation::Hold,
    }
}

impl Attached {
    fn arm(&self, watched: (u64, u64)) -> Result<()> {
        let attachment = &self.attachment;
        match self.notifier.arming {
            Arming::Fail(errno) => {
                attachment.set_range(watched)?;
                attachment.set_errors(errno)
            }
            Arming::Filtered(errno) => {
                attachment.set_range(NOWHERE)?;
                attachment.set_errors(errno)
            }
            Arming::Unarmed => Ok(()),
            Arming::AtStart(misdeed) => {
                attachment.set_range(watched)?;
                let (file, value) = knob(misdeed);
                attachment.set(file, &value)
            }
            Arming::AtEnd(misdeed) => {
                attachment.set_range(watched)?;
                attachment.set("callback", "end")?;
                let (file, value) = knob(misdeed);
                attachment.set(file, &value)
            }
        }
    }

    fn disarm(&self) -> Result<()> {
        self.attachment.set_errors(0)?;
        match self.notifier.arming {
            Arming::AtStart(misdeed) | Arming::AtEnd(misdeed) => {
                self.attachment.set(knob(misdeed).0, "0")
            }
            _ => Ok(()),
        }
    }
}

/// The file of a misdeed, and what is written to it.
fn knob(misdeed: Injection) -> (&'static str, String) {
    match misdeed {
        Injection::Sleep => ("sleep_us", SLEEP_US.to_string()),
        Injection::Delay => ("delay_us", DELAY.as_micros().to_string()),
        Injection::Allocate => ("alloc_bytes", PAGE.to_string()),
        Injection::Lock => ("lock", "1".to_owned()),
        Injection::Remove => ("remove", "1".to_owned()),
    }
}

impl Setup {
    /// Sets the injectors, and takes everything so far as read.
    fn arm(&mut self) -> Result<()> {
        let watched = self.target.watched();
        for attached in &mut self.attached {
            attached.arm(watched)?;
            attached.attachment.new_entries()?;
            attached.before = attached.attachment.counters()?;
        }
        Ok(())
    }

    /// Nothing fails any more.
    pub(crate) fn disarm(&self) -> Result<()> {
        self.attached.iter().try_for_each(Attached::disarm)
    }

    /// Leaves the processor to this process as long as the one that calls `process_mrelease(2)`
    /// does not wait for anything: there may be only one.
    pub(crate) fn nice_mrelease(&mut self) -> Result<()> {
        let pid = self.reaper()?.pid();
        sys::be_nice(pid).with_context(|| format!("cannot set the priority of {pid}"))
    }

    /// Lets the process be reaped by `process_mrelease(2)`, and waits for nothing.
    pub(crate) fn begin_mrelease(&mut self) -> Result<()> {
        let pid = self.target.pid();
        self.reaper()?.reap(pid)
    }

    /// What that returned: 0 or a negative errno. Ends the task that has made the call, so that
    /// whatever the kernel leaves in it comes to light here.
    pub(crate) fn end_mrelease(&mut self, waiter: &Waiter) -> Result<i32> {
        let answer = self.reaper()?.answer(waiter, STEP)?;
        self.reaper = None;
        match answer {
            Answer::Done(errno) => Ok(errno),
            answer => bail!("process_mrelease: {answer}"),
        }
    }

    fn reaper(&mut self) -> Result<&mut Helper> {
        self.reaper
            .as_mut()
            .context("nobody is there to call process_mrelease")
    }

    /// Lets the module zap the watched pages.
    pub(crate) fn zap(&self, is_atomic: bool) -> Result<()> {
        let (start, end) = self.target.watched();
        let word = if is_atomic { " atomic" } else { "" };
        self.holder
            .set("zap", &format!("{start:#x}-{end:#x}{word}"))
    }

    /// Who is to make the calls on the watched addresses.
    fn initiator(&self) -> Initiator {
        let target = self.target.pid().as_raw();
        match self.scenario.trigger.kind {
            TriggerKind::Own(_) => Initiator::Thread(target),
            TriggerKind::Mrelease => Initiator::Thread(self.reaper_tid),
            TriggerKind::Zap { .. } => Initiator::Thread(gettid().as_raw()),
            TriggerKind::MemcgOom | TriggerKind::GlobalOom => Initiator::OomReaper,
            TriggerKind::Procedure(procedure) if is_reaped(procedure) => {
                Initiator::Thread(self.reaper_tid)
            }
            TriggerKind::Procedure(_) => Initiator::Thread(target),
        }
    }

    /// What was recorded.
    pub(crate) fn observation(&mut self) -> Result<Observation> {
        let mut calls: Vec<Call> = Vec::new();
        let mut later: Vec<Later> = Vec::new();
        let mut notifiers = Vec::new();
        for attached in &mut self.attached {
            let entries = attached.attachment.new_entries()?;
            calls.extend(entries.calls);
            later.extend(entries.later);
            let (before, after) = (attached.before, attached.attachment.counters()?);
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
        let (pid, watched) = (self.target.pid(), self.target.watched());
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
