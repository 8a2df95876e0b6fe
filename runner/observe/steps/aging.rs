// SPDX-License-Identifier: GPL-2.0

//! Aging of pages, of which notifiers are asked whether a device has used them.

use std::time::Duration;

use anyhow::Result;

use crate::model::{FollowUp, Seen, StepKind};
use crate::os::lru_gen::LruGen;
use crate::os::wait::Limit;

use crate::observe::session::{POLL, Session};
use crate::observe::setup::Setup;

/// Time limit of the aging. A page that was touched just now may not be in the LRU yet.
const AGING: Duration = Duration::from_secs(5);

impl Session {
    /// Ages all pages, again and again, until the notifier is asked about some of the subject's.
    pub(super) fn age(&mut self, setup: &mut Setup) -> Result<()> {
        let (start, end) = setup.subject.watched();
        let enabled = LruGen::enable()?;
        let mut log = setup.attached[0].attachment.follow()?;
        let mut limit = Limit::new(AGING);
        let mut asked = 0;
        while asked == 0 && !limit.is_over() {
            enabled.age()?;
            let entries = log.new_entries()?.later;
            let of_subject = entries.iter().filter(|later| {
                later.op == FollowUp::ClearYoung && later.start < end && start < later.end
            });
            asked = of_subject.count() as u64;
            self.waiter.child_changes(POLL)?;
        }
        setup.step(StepKind::Aging, Seen::Asked(asked));
        Ok(())
    }
}
