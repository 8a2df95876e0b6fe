// SPDX-License-Identifier: GPL-2.0

//! Events while the release of a notifier sleeps.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::injector;
use crate::injector::{Attach, LogReader, control_file, detach_line};
use crate::model::{FollowUp, NotifierKind, StepKind};
use crate::trigger::helper::Answer;
use crate::trigger::remote;

use crate::observe::session::Session;
use crate::observe::setup::{REGISTERED, REMOVAL, Setup};
use crate::observe::steps::asleep::{LONG_SLEEP, monotonic};

/// The settings of a notifier whose first release sleeps.
fn sleeping_in_release() -> String {
    let time = LONG_SLEEP.as_micros();
    format!("callback=release times=1 sleep_us={time}")
}

impl Session {
    /// Truncates the file that the process has mapped, while the release at its exit sleeps.
    pub(super) fn truncate_in_release(&mut self, setup: &mut Setup) -> Result<()> {
        let pid = setup.subject.pid();
        let file = remote::file_at(pid, setup.subject.watched())
            .with_context(|| format!("cannot open the file that process {pid} has mapped"))?;
        let sleeper = &setup.attached[0].attachment;
        sleeper.change(&sleeping_in_release())?;
        let log = sleeper.follow()?;
        setup.subject.begin_to_end();
        let asleep_until = self.injected(log)? + LONG_SLEEP;
        file.set_len(0).context("cannot truncate the memfd")?;
        let truncated_at = monotonic()?;
        self.exit(setup)?;
        if truncated_at >= asleep_until {
            setup.trouble = Some("the release slept too short for a truncation".into());
        }
        Ok(())
    }

    /// Lets the process exit while the release of a notifier that is being removed sleeps: it is
    /// called a second time, and then taken off the list.
    pub(super) fn exit_in_removal(&mut self, setup: &mut Setup) -> Result<()> {
        let removed = Attach {
            pid: setup.subject.pid().as_raw(),
            index: REGISTERED,
            kind: NotifierKind::Plain.name(),
            range: None,
        };
        let holder = format!("@{}", setup.holder.name());
        let attach = removed.line_to(&holder, "");
        let answer = self.control(&format!("{attach} {}", sleeping_in_release()))?;
        if answer != Answer::Done(0) {
            bail!("\"{attach}\" > control: {answer}");
        }
        let line = detach_line(&removed.name());
        // Its files are gone when it is released, so there is no log to look at.
        let entries = injector::total_entries()?;
        let begun_at = monotonic()?;
        self.helper.begin_write(&control_file(), &line)?;
        setup.actors.insert(0, self.helper.pid().as_raw());
        self.wait_until("a notifier that is removed was not released", || {
            Ok(injector::total_entries()? != entries)
        })?;
        // Another notifier is released after it, and before either is taken off the list.
        let log = setup.attached[0].attachment.follow()?;
        setup.subject.begin_to_end();
        let released_at = self.released(log)?;
        self.exit(setup)?;
        let answer = self.helper.answer(&self.waiter, REMOVAL)?;
        setup.written(StepKind::RemoveAtExit, &answer);
        if released_at >= begun_at + LONG_SLEEP {
            setup.trouble = Some("the release slept too short for an exit".into());
        }
        Ok(())
    }

    /// Waits until a notifier is released. Returns the time.
    fn released(&self, log: LogReader) -> Result<Duration> {
        let missing = "a notifier whose process exits was not released";
        self.logged(log, missing, |entries| {
            let mut later = entries.later.iter();
            let release = later.find(|entry| entry.op == FollowUp::Release)?;
            Some(release.time_ns)
        })
    }
}
