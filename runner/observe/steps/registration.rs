// SPDX-License-Identifier: GPL-2.0

//! Registrations and removals of notifiers.

use anyhow::Result;

use crate::injector;
use crate::injector::{Attach, detach_line};
use crate::model::{Between, NotifierKind, Registration, Seen, StepKind, Way};
use crate::os::wait::WaitError;
use crate::trigger::helper::Answer;

use crate::observe::session::Session;
use crate::observe::setup::{REGISTERED, REMOVAL, Setup, beside};
use crate::observe::steps::asleep::{monotonic, returned_at};

impl Session {
    pub(super) fn register(&mut self, registration: Registration, setup: &mut Setup) -> Result<()> {
        if registration.way == Way::AfterExit {
            self.end_process(setup)?;
        }
        let attach = Attach {
            pid: setup.subject.pid().as_raw(),
            index: REGISTERED,
            kind: registration.kind.name(),
            range: registration
                .kind
                .is_interval()
                .then(|| setup.subject.watched()),
        };
        let object = match registration.way {
            Way::Child => setup.subject.child().to_string(),
            _ => format!("@{}", setup.holder.name()),
        };
        let answer = self.control(&attach.line_to(&object, registration.way.word()))?;
        // Only now: a helper that waits forever since an earlier scenario has been replaced by
        // another one.
        setup.actors.insert(0, self.helper.pid().as_raw());
        setup.is_held_up = answer == Answer::Waits;
        setup.written(StepKind::Register(registration), &answer);
        // The kernel must never walk a list that is a circle.
        if answer == Answer::Done(0) && registration.way != Way::Twice {
            let answer = self.control(&detach_line(&attach.name()))?;
            setup.written(StepKind::Remove, &answer);
        }
        Ok(())
    }

    /// Registers one notifier beside the invalidation while a callback sleeps, and removes another
    /// one.
    pub(super) fn change_in_invalidation(&mut self, setup: &mut Setup) -> Result<()> {
        let [old, new] = [REGISTERED, REGISTERED + 1].map(|index| Attach {
            pid: setup.subject.pid().as_raw(),
            index,
            kind: NotifierKind::Interval.name(),
            range: Some(beside(setup.subject.watched())),
        });
        let holder = format!("@{}", setup.holder.name());
        let answer = self.control(&old.line_to(&holder, ""))?;
        setup.actors.insert(0, self.helper.pid().as_raw());
        setup.written(StepKind::RegisterBefore, &answer);
        if answer != Answer::Done(0) {
            return Ok(());
        }

        let asleep_until = self.fall_asleep(1, setup)?;
        let registered = self.control(&new.line_to(&holder, ""))?;
        let registered_at = monotonic()?;
        let removed = self.control(&detach_line(&old.name()))?;
        let removed_at = monotonic()?;
        self.acted_after(asleep_until, setup)?;
        setup.written(StepKind::RegisterInInvalidation, &registered);
        setup.written(StepKind::RemoveInInvalidation, &removed);
        if registered_at >= asleep_until {
            setup.trouble = Some("the callback slept too short for a removal to begin".into());
            return Ok(());
        }
        setup.step(
            StepKind::ReturnOfRemoval,
            returned_at(removed_at, asleep_until),
        );
        if (registered, removed) != (Answer::Done(0), Answer::Done(0)) {
            return Ok(());
        }
        if let Some(number) = self.read_begin_of(&new.name(), setup)? {
            self.read_retry_of(&new.name(), setup, number, Between::Nothing)?;
        }
        let answer = self.control(&detach_line(&new.name()))?;
        setup.written(StepKind::RemoveAfter, &answer);
        Ok(())
    }

    /// Registers a notifier with ends while a callback sleeps in an invalidation that holds no lock
    /// but that of the VMA (`madvise_vma_behavior()`).
    pub(super) fn register_waits(&mut self, setup: &mut Setup) -> Result<()> {
        let new = Attach {
            pid: setup.subject.pid().as_raw(),
            index: REGISTERED,
            kind: NotifierKind::PlainEnd.name(),
            range: None,
        };
        let holder = format!("@{}", setup.holder.name());
        let asleep_until = self.fall_asleep(0, setup)?;
        let begun_at = monotonic()?;
        let registered = self.control(&new.line_to(&holder, ""))?;
        let registered_at = monotonic()?;
        setup.actors.insert(0, self.helper.pid().as_raw());
        setup.is_held_up = registered == Answer::Waits;
        self.acted_after(asleep_until, setup)?;
        setup.written(StepKind::RegisterInInvalidation, &registered);
        if begun_at >= asleep_until {
            setup.trouble = Some("the callback slept too short for a registration to begin".into());
            return Ok(());
        }
        setup.step(
            StepKind::ReturnOfRegistration,
            returned_at(registered_at, asleep_until),
        );
        if registered != Answer::Done(0) {
            return Ok(());
        }
        let counters = injector::counters(&new.name())?;
        setup.step(
            StepKind::CallsOfRegistered,
            Seen::Unpaired(counters.calls.abs_diff(counters.ends)),
        );
        let answer = self.control(&detach_line(&new.name()))?;
        setup.written(StepKind::RemoveAfter, &answer);
        Ok(())
    }

    pub(super) fn remove_in_callback(&mut self, setup: &mut Setup) -> Result<()> {
        setup.subject.act_and_die()?;
        let seen = match setup.subject.acted(&self.waiter, REMOVAL) {
            Ok(errno) => Seen::Returned(errno),
            Err(error) if error.is::<WaitError>() => {
                self.waiter.check()?;
                Seen::StillWaits
            }
            Err(error) => return Err(error),
        };
        setup.step(StepKind::MunmapWithRemoval, seen);
        Ok(())
    }
}
