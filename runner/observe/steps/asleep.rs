// SPDX-License-Identifier: GPL-2.0

//! Callbacks that sleep, or wait without sleeping, while a script does something else.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};

use crate::injector::{Entries, LogReader};
use crate::model::Seen;
use crate::os::wait::Limit;

use crate::observe::session::{POLL, STEP, Session};
use crate::observe::setup::{Setup, sleeping};

/// Duration of a callback's sleep during which a script does something else.
pub(super) const LONG_SLEEP: Duration = Duration::from_millis(500);

impl Session {
    /// Begins an invalidation in which the start of that notifier sleeps. Returns the time until
    /// which it sleeps at least.
    pub(super) fn fall_asleep(&self, sleeper: usize, setup: &mut Setup) -> Result<Duration> {
        let sleeper = &setup.attached[sleeper].attachment;
        sleeper.change(&sleeping(LONG_SLEEP))?;
        // The state of the process is no sign of it: it may wait for something else before.
        let log = sleeper.follow()?;
        setup.subject.act_and_die()?;
        Ok(self.injected(log)? + LONG_SLEEP)
    }

    /// Waits until the injector of a notifier does something. Returns the time at which it began,
    /// which the module logs just before. `log` is that of the notifier.
    pub(super) fn injected(&self, log: LogReader) -> Result<Duration> {
        self.logged(log, "no callback did as it was told", |entries| {
            entries.first_injected()
        })
    }

    /// Waits until the log has an entry of some sort, of which `find` returns the time in
    /// nanoseconds; `missing` says that it has none.
    pub(super) fn logged(
        &self,
        mut log: LogReader,
        missing: &str,
        find: impl Fn(&Entries) -> Option<u64>,
    ) -> Result<Duration> {
        let mut limit = Limit::new(STEP);
        loop {
            if let Some(time) = find(&log.new_entries()?) {
                return Ok(Duration::from_nanos(time));
            }
            if limit.is_over() {
                bail!("{missing}");
            }
            self.waiter.child_changes(POLL)?;
        }
    }

    /// Waits for the end of an operation in which a callback sleeps until that time.
    pub(super) fn acted_after(&self, asleep_until: Duration, setup: &mut Setup) -> Result<()> {
        setup.outcome = setup.subject.acted(&self.waiter, STEP)?;
        cannot_be_over_before(asleep_until, setup)
    }
}

/// Checks that an operation that has just ended took long enough: a callback sleeps in it until
/// that time, and no kernel goes on before the callback returns.
pub(super) fn cannot_be_over_before(until: Duration, setup: &mut Setup) -> Result<()> {
    if monotonic()? < until {
        let text = "the operation was over before the callback can have done as it was told";
        setup.trouble.get_or_insert_with(|| text.into());
    }
    Ok(())
}

/// Now, on the clock of the module's log.
pub(super) fn monotonic() -> Result<Duration> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("clock_gettime failed")?;
    Ok(Duration::from(now))
}

/// The result of a call that was begun while a callback slept.
pub(super) fn returned_at(time: Duration, asleep_until: Duration) -> Seen {
    Seen::ReturnedAt {
        time_ns: time.as_nanos() as u64,
        asleep_until_ns: asleep_until.as_nanos() as u64,
    }
}
