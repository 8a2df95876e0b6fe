// SPDX-License-Identifier: GPL-2.0

//! Looks at the pages of a subject while an invalidation of them is under way, or refused.

use std::time::Duration;

use anyhow::Result;

use crate::model::{Seen, StepKind};
use crate::os::sys::PAGE;
use crate::trigger::pages;

use crate::observe::session::{STEP, Session};
use crate::observe::setup::{DELAY, Setup, sleeping};
use crate::observe::steps::asleep::{LONG_SLEEP, cannot_be_over_before, monotonic};

/// Trouble of a host that stood still while a callback ran: nothing was seen of it.
pub(in crate::observe) const TOO_SHORT: &str =
    "the callback ran too short for the pages to be seen";

impl Session {
    pub(super) fn pages_in_start(&mut self, setup: &mut Setup) -> Result<()> {
        let pid = setup.subject.pid();
        let before = pages::anonymous(pid)?;
        let asleep_until = self.fall_asleep(0, setup)?;
        let during = pages::anonymous(pid)?;
        if monotonic()? >= asleep_until {
            setup.trouble = Some(TOO_SHORT.into());
        }
        self.acted_after(asleep_until, setup)?;
        let zapped = before.saturating_sub(during);
        setup.step(StepKind::PagesInStart, Seen::Zapped(zapped));
        Ok(())
    }

    pub(super) fn pages_in_end(&mut self, setup: &mut Setup) -> Result<()> {
        let attachment = &setup.attached[0].attachment;
        attachment.change(&sleeping(LONG_SLEEP))?;
        let (log, pid) = (attachment.follow()?, setup.subject.pid());
        let before = pages::anonymous(pid)?;
        setup.subject.act_and_die()?;
        let asleep_until = self.injected(log)? + LONG_SLEEP;
        // Counted in the whole process: smaps does not show the mapping any more when its pages
        // are still there.
        let zapped = before.saturating_sub(pages::anonymous(pid)?);
        pages_in_end(zapped, asleep_until, setup)?;
        self.acted_after(asleep_until, setup)
    }

    /// The same with an end that waits without sleeping.
    pub(super) fn pages_in_end_of_reaping(&mut self, setup: &mut Setup) -> Result<()> {
        let log = setup.attached[0].attachment.follow()?;
        let (pid, watched) = (setup.subject.pid(), setup.subject.watched());
        let before = pages::resident(pid, watched)?;
        setup.nice_mrelease()?;
        setup.begin_mrelease()?;
        let busy_until = self.injected(log)? + DELAY;
        // Other mappings are zapped before and after this one.
        let zapped = before.saturating_sub(pages::resident(pid, watched)?);
        pages_in_end(zapped, busy_until, setup)?;
        setup.outcome = setup.end_mrelease(&self.waiter)?;
        cannot_be_over_before(busy_until, setup)
    }

    /// Counts the pages that a refused `process_mrelease(2)` leaves.
    pub(super) fn reaps_others(&mut self, setup: &mut Setup) -> Result<()> {
        let pid = setup.subject.pid();
        let errno = self.mrelease(setup)?;
        setup.step(StepKind::Mrelease, Seen::Returned(errno));
        let left = pages::anonymous(pid)?;
        setup.step(StepKind::PagesLeft, Seen::Left(left));
        Ok(())
    }

    /// Lets the subject write-protect a small page, and counts those beside it that are protected, too.
    pub(super) fn protect_hole(&mut self, setup: &mut Setup) -> Result<()> {
        setup.outcome = setup.subject.act(&self.waiter, STEP)?;
        let (start, end) = setup.subject.watched();
        let beside = (start + PAGE as u64, end);
        let protected = pages::protected(setup.subject.pid(), beside)?;
        setup.step(StepKind::ProtectedBeside, Seen::Protected(protected));
        Ok(())
    }
}

/// Records the pages that have just been seen to be zapped. The end runs until that time.
fn pages_in_end(zapped: u64, until: Duration, setup: &mut Setup) -> Result<()> {
    if monotonic()? >= until {
        setup.trouble = Some(TOO_SHORT.into());
    }
    setup.step(StepKind::PagesInEnd, Seen::Zapped(zapped));
    Ok(())
}
