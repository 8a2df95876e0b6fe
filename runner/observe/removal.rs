// SPDX-License-Identifier: GPL-2.0

//! Takes a scenario's process down: every notifier must go at once, and nothing of it may stay.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::injector;
use crate::injector::{Attach, Attachment, control_file, detach_line, target_file};
use crate::model::{End, Observation, Remains, Step};
use crate::os::wait::Limit;
use crate::scenario::TriggerKind;
use crate::scenario::procedure::Procedure;
use crate::trigger::helper::Answer;

use crate::observe::setup::Setup;
use crate::observe::steps::REGISTERED;
use crate::observe::{STEP, Session};

/// How long a removal may take before it is one that never ends. It takes a grace period of SRCU.
pub(crate) const REMOVAL: Duration = Duration::from_secs(5);

/// How long the last references to an address space may stay: the kernel's own are short.
const REFERENCES: Duration = Duration::from_secs(5);

/// The number of the target that is there to begin a read side.
const PROBE: usize = 1001;

impl Session {
    /// Removes the notifiers, ends the process, and looks what is left.
    pub(crate) fn take_down(&mut self, subject: Setup, o: &mut Observation) -> Result<()> {
        let Setup {
            scenario,
            attached,
            holder,
            target,
            _cgroup,
            is_held_up,
            ..
        } = subject;
        let mut remains = Remains::default();
        let kind = scenario.trigger.kind;
        let entries = injector::total_entries()?;
        let has_intervals = attached.iter().any(|a| a.notifier.kind.is_interval());
        let end = scenario.expectation().end;
        let is_left = end == End::Left;
        for (index, attached) in attached.into_iter().enumerate() {
            // Also where it is left and waits for ever: better the helper than whoever closes the
            // module's device.
            let is_gone = self.detach(attached.attachment.name())?;
            attached.attachment.forget();
            if !is_gone && !is_left {
                remains.stuck.push(index);
            }
        }
        if let Some(due) = releases_at_removal(kind) {
            o.steps.push(Step {
                what: "releases when the notifier is removed".to_owned(),
                due: due.to_string(),
                seen: injector::total_entries()?
                    .saturating_sub(entries)
                    .to_string(),
            });
        }
        if is_held_up && !is_left {
            remains.stuck.push(REGISTERED);
        }
        if has_intervals && end == End::There && remains.stuck.is_empty() {
            remains.reads = Some(self.begins_reading(&holder, o)?);
        }
        let is_whole = !remains.is_stuck() && !is_left;
        match kind {
            TriggerKind::Own(_) | TriggerKind::Zap { .. } => target.finish(&self.waiter, STEP)?,
            _ if is_left || is_held_up => target.abandon(),
            _ => drop(target),
        }
        if is_whole {
            remains.mm = Some(self.last_references(&holder)?);
            holder.detach()?;
        } else {
            // What is left is left until the machine goes.
            holder.forget();
        }
        o.remains = remains;
        Ok(())
    }

    /// Writes a line to the module's control file under a deadline.
    pub(crate) fn control(&mut self, line: &str) -> Result<Answer> {
        self.helper
            .write(&control_file(), line, &self.waiter, REMOVAL)
    }

    /// Detaches a target under a deadline. Returns false where it waits for ever.
    pub(crate) fn detach(&mut self, name: &str) -> Result<bool> {
        let line = detach_line(name);
        match self.control(&line)? {
            Answer::Done(0) => Ok(true),
            Answer::Waits => Ok(false),
            answer => bail!("\"{line}\" > control: {answer}"),
        }
    }

    /// Whether a new interval notifier can begin a read side: it waits for ever where the
    /// sequence number has stayed odd.
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
        match self.helper.read(&file, &self.waiter, REMOVAL)? {
            Answer::Text(_) => {}
            Answer::Waits => return Ok(false),
            answer => bail!("cannot read {}: {answer}", file.display()),
        }
        self.detach(&probe.name())
    }

    /// `mm_users` and `mm_count` of an address space whose process is gone, when they have come
    /// to rest.
    fn last_references(&self, holder: &Attachment) -> Result<(i64, i64)> {
        let mut limit = Limit::new(REFERENCES);
        loop {
            let counts = holder.mm_counts()?;
            if counts == (0, 1) || limit.is_over() {
                return Ok(counts);
            }
            // A processor that went idle after the process goes on with its address space, until
            // it is given another.
            visit_processors().context("cannot visit all processors")?;
            self.waiter.check()?;
        }
    }
}

/// How many releases come when the notifier is removed, where that is what it is about.
fn releases_at_removal(kind: TriggerKind) -> Option<u64> {
    match kind {
        TriggerKind::Procedure(Procedure::ReleaseAtExit) => Some(0),
        TriggerKind::Procedure(Procedure::ReleaseAtRemoval) => Some(1),
        _ => None,
    }
}

/// Runs on each processor that this thread may run on, once.
fn visit_processors() -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this)?;
    let mut result = Ok(());
    for cpu in (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or(false)) {
        let mut one = CpuSet::new();
        result = one.set(cpu).and_then(|()| sched_setaffinity(this, &one));
        if result.is_err() {
            break;
        }
    }
    sched_setaffinity(this, &all).and(result)
}
