// SPDX-License-Identifier: GPL-2.0

//! A victim of the OOM killer that is let go while the OOM reaper waits after its last attempt.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kmsg::KmsgReader;
use crate::os::wait::Limit;
use crate::scenario::triggers::REAP_ATTEMPTS;

use crate::observe::reaper::{REAPER, is_closing_line};
use crate::observe::session::{POLL, STEP, Session};
use crate::observe::setup::Setup;

/// Time in which the last word would come. The reaper waits for a tenth of a second before it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The reason for no verdict if the reaper may have been right to complain.
pub(in crate::observe) const TOO_LATE: &str =
    "the victim was gone too late: the OOM reaper had said its last word";

impl Session {
    /// Lets the victim go after the last attempt to reap it, which a notifier has refused.
    pub(super) fn let_go(&mut self, setup: &mut Setup) -> Result<()> {
        let mut log = setup.attached[0].attachment.follow()?;
        let mut reaper = KmsgReader::open_at_end().context("cannot open /dev/kmsg")?;
        setup.subject.act_and_die()?;
        setup.subject.wait_held(&self.waiter, STEP)?;
        let mut limit = Limit::new(REAPER);
        let mut refused = 0;
        while refused < REAP_ATTEMPTS {
            if limit.is_over() {
                bail!("the OOM reaper made {refused} attempts within {REAPER:?}");
            }
            let calls = log.new_entries()?.calls;
            refused += calls.iter().filter(|call| call.injected).count() as u64;
            self.waiter.child_changes(POLL)?;
        }
        setup.subject.let_go(&self.waiter, STEP)?;

        let gone = self.kmsg.mark("the victim is gone")?;
        let pid = setup.subject.pid();
        let mut is_gone = false;
        let (records, _) = reaper.read_to(
            |record| {
                is_gone |= gone.is(record);
                is_closing_line(record, pid)
            },
            &mut Limit::new(LAST_WORD),
        );
        let has_spoken = records
            .last()
            .is_some_and(|record| is_closing_line(record, pid));
        if has_spoken && !is_gone {
            setup.trouble = Some(TOO_LATE.to_owned());
        }
        Ok(())
    }
}
