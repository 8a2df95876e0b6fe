// SPDX-License-Identifier: GPL-2.0

//! Removes the notifiers of a scenario and ends its subject: every removal must return at once, and
//! no reference may be left.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::injector;
use crate::injector::formats::{BEGIN, Mm};
use crate::injector::{Attach, Attachment, control_file, detach_line, target_file};
use crate::model::{End, Observation, Remains, Seen, Step, StepKind};
use crate::os::khugepaged::Khugepaged;
use crate::os::ksm::Ksmd;
use crate::os::processors;
use crate::os::wait::Limit;
use crate::scenario::TriggerKind;
use crate::scenario::script::Caller;
use crate::trigger::helper::Answer;

use crate::observe::session::{POLL, STEP, Session};
use crate::observe::setup::{PROBE, REGISTERED, REMOVAL, Setup};

/// Time limit of the last references to an address space. The kernel's own are short.
const REFERENCES: Duration = Duration::from_secs(5);

impl Session {
    /// Removes the notifiers, ends the subject, and records what is left.
    pub(super) fn take_down(&mut self, setup: Setup, o: &mut Observation) -> Result<()> {
        let Setup {
            scenario,
            attached,
            holder,
            subject,
            cgroup: _cgroup,
            is_held_up,
            ..
        } = setup;
        let mut remains = Remains::default();
        let kind = scenario.trigger.kind;
        let before = match kind.counts_releases() {
            true => Some((injector::notifiers_of_others()?, injector::total_entries()?)),
            false => None,
        };
        let has_intervals = attached.iter().any(|a| a.notifier.kind.is_interval());
        let end = scenario.expectation().end;
        let is_left = end == End::Left;
        for (index, attached) in attached.into_iter().enumerate() {
            // Also if it is left and waits forever: otherwise the process that closes the module's
            // device would wait.
            let is_gone = self.detach(attached.attachment.name())?;
            attached.attachment.forget();
            if !is_gone && !is_left {
                remains.stuck.push(index);
            }
        }
        if let Some((others, entries)) = before {
            count_releases(others, entries, o)?;
        }
        if is_held_up && !is_left {
            remains.stuck.push(REGISTERED);
        }
        if has_intervals && end == End::There && remains.stuck.is_empty() {
            remains.reads = Some(self.begins_reading(&holder, o)?);
        }
        let is_whole = !remains.is_stuck() && !is_left;
        match kind {
            TriggerKind::Own(_)
            | TriggerKind::Remote(_)
            | TriggerKind::Ksm
            | TriggerKind::Khugepaged
            | TriggerKind::Zap { .. } => {
                subject.finish(&self.waiter, STEP)?;
            }
            _ if is_left || is_held_up => subject.abandon(),
            _ => drop(subject),
        }
        if is_whole {
            // These threads drop their reference to an address space that is gone when they come
            // by.
            let _ksmd = (kind == TriggerKind::Ksm).then(Ksmd::start).transpose()?;
            let is_collapsed = kind.caller() == Caller::Khugepaged;
            let _khugepaged = is_collapsed.then(Khugepaged::hurry).transpose()?;
            let Mm {
                users,
                count,
                flushes,
            } = self.last_references(&holder)?;
            remains.mm = Some((users, count));
            remains.flushes = Some(flushes);
            holder.detach()?;
        } else {
            // It stays until the machine shuts down.
            holder.forget();
        }
        o.remains = remains;
        Ok(())
    }

    /// Writes a line to the module's control file with a time limit.
    pub(super) fn control(&mut self, line: &str) -> Result<Answer> {
        self.helper
            .write(&control_file(), line, &self.waiter, REMOVAL)
    }

    /// Detaches a target with a time limit. Returns false if it waits forever.
    pub(super) fn detach(&mut self, name: &str) -> Result<bool> {
        let line = detach_line(name);
        match self.control(&line)? {
            Answer::Done(0) => Ok(true),
            Answer::Waits => Ok(false),
            answer => bail!("\"{line}\" > control: {answer}"),
        }
    }

    /// Whether a new interval notifier can begin a read side. It waits forever if the sequence
    /// number has stayed odd.
    fn begins_reading(&mut self, holder: &Attachment, o: &Observation) -> Result<bool> {
        let probe = Attach {
            pid: o.pid,
            index: PROBE,
            kind: "interval",
            range: Some(o.watched),
        };
        let line = probe.line_to(&format!("@{}", holder.name()), "");
        let answer = self.control(&line)?;
        if answer != Answer::Done(0) {
            bail!("\"{line}\" > control: {answer}");
        }
        let file = target_file(&probe.name(), "read_begin");
        match self.helper.write(&file, BEGIN, &self.waiter, REMOVAL)? {
            Answer::Done(0) => {}
            Answer::Waits => return Ok(false),
            answer => bail!("\"{BEGIN}\" > {}: {answer}", file.display()),
        }
        self.detach(&probe.name())
    }

    /// The final counts of an address space whose process is gone.
    fn last_references(&self, holder: &Attachment) -> Result<Mm> {
        let mut limit = Limit::new(REFERENCES);
        loop {
            let mm = holder.mm_counts()?;
            if (mm.users, mm.count) == (0, 1) || limit.is_over() {
                return Ok(mm);
            }
            // A processor that became idle after the process keeps its address space (lazy TLB)
            // until it switches to another one.
            visit_processors().context("cannot visit all processors")?;
            self.waiter.child_changes(POLL)?;
        }
    }
}

/// Runs once on each processor that this thread may run on.
fn visit_processors() -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this)?;
    let mut result = Ok(());
    for cpu in processors::allowed()? {
        let mut one = CpuSet::new();
        result = one.set(cpu).and_then(|()| sched_setaffinity(this, &one));
        if result.is_err() {
            break;
        }
    }
    sched_setaffinity(this, &all).and(result)
}

/// Records how often `->release()` was called since the module had so many entries. `others` are the
/// notifiers of others, which are counted as well.
fn count_releases(mut others: Vec<String>, entries: u64, o: &mut Observation) -> Result<()> {
    // The log of a notifier is gone with it; only the module's total is left.
    let releases = injector::total_entries()?.saturating_sub(entries);
    others.extend(injector::notifiers_of_others()?);
    match others.first() {
        None => o.steps.push(Step {
            kind: StepKind::Removals,
            seen: Seen::Releases(releases),
        }),
        Some(name) => {
            o.trouble.get_or_insert_with(|| {
                format!(
                    "releases cannot be counted while another notifier is registered: detach \
                     {name} first"
                )
            });
        }
    }
    Ok(())
}
