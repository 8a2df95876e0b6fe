// SPDX-License-Identifier: GPL-2.0

//! Read sides of interval notifiers.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::injector::formats::{BEGIN, Seq};
use crate::injector::target_file;
use crate::model::{Between, Seen, StepKind};
use crate::trigger::helper::Answer;

use crate::observe::session::{STEP, Session};
use crate::observe::setup::{REMOVAL, Setup, beside};
use crate::observe::steps::asleep::{monotonic, returned_at};

impl Session {
    pub(super) fn read(&mut self, setup: &mut Setup) -> Result<()> {
        let Some(number) = self.read_begin(setup)? else {
            return Ok(());
        };
        self.read_retry(setup, number, Between::Nothing)
    }

    pub(super) fn read_disturbed(&mut self, setup: &mut Setup) -> Result<()> {
        let Some(first) = self.read_begin(setup)? else {
            return Ok(());
        };
        self.operate(setup)?;
        self.read_retry(setup, first, Between::Invalidation)?;
        let Some(second) = self.read_begin(setup)? else {
            return Ok(());
        };
        setup.step(StepKind::NextReadBegin, Seen::Numbers(first, second));
        self.read_retry(setup, second, Between::Nothing)
    }

    /// A read side around the operation, which is what the retry says.
    pub(super) fn read_around(&mut self, operation: Between, setup: &mut Setup) -> Result<()> {
        let Some(number) = self.read_begin(setup)? else {
            return Ok(());
        };
        self.operate(setup)?;
        self.read_retry(setup, number, operation)
    }

    /// Two interval notifiers: the first one is done with the invalidation while the second one
    /// sleeps.
    pub(super) fn read_waits(&mut self, setup: &mut Setup) -> Result<()> {
        let asleep_until = self.fall_asleep(1, setup)?;
        // Another invalidation begins and ends meanwhile.
        let (start, end) = beside(setup.subject.watched());
        let file = target_file(setup.holder.name(), "zap");
        let line = format!("{start:#x}-{end:#x}");
        let answer = self.helper.write(&file, &line, &self.waiter, STEP)?;
        setup.written(StepKind::InvalidateBeside, &answer);
        let began = monotonic()?;
        let number = self.read_begin(setup)?;
        let ended = monotonic()?;
        self.acted_after(asleep_until, setup)?;
        let Some(number) = number else {
            return Ok(());
        };
        if began >= asleep_until {
            setup.trouble = Some("the callback slept too short for a read side to begin".into());
            return Ok(());
        }
        setup.step(
            StepKind::ReadBeginInInvalidation,
            returned_at(ended, asleep_until),
        );
        self.read_retry(setup, number, Between::Nothing)
    }

    pub(super) fn read_refused(&mut self, setup: &mut Setup) -> Result<()> {
        let Some(first) = self.read_begin(setup)? else {
            return Ok(());
        };
        let errno = self.mrelease(setup)?;
        setup.step(StepKind::Mrelease, Seen::Returned(errno));
        self.read_retry(setup, first, Between::Refusal)?;
        let Some(second) = self.read_begin(setup)? else {
            return Ok(());
        };
        self.read_retry(setup, second, Between::Nothing)
    }

    /// Begins a read side of the first notifier. Returns its sequence number, or [`None`] if the
    /// call waits forever, which is a finding.
    fn read_begin(&mut self, setup: &mut Setup) -> Result<Option<u64>> {
        let name = setup.attached[0].attachment.name().to_owned();
        self.read_begin_of(&name, setup)
    }

    /// The same of the target of that name.
    pub(super) fn read_begin_of(&mut self, name: &str, setup: &mut Setup) -> Result<Option<u64>> {
        let file = target_file(name, "read_begin");
        match self.helper.write(&file, BEGIN, &self.waiter, REMOVAL)? {
            Answer::Done(0) => {}
            Answer::Waits => {
                setup.step(StepKind::ReadBegin, Seen::StillWaits);
                return Ok(None);
            }
            answer => bail!("\"{BEGIN}\" > {}: {answer}", file.display()),
        }
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let Seq(number) = Seq::parse(&text).with_context(|| format!("in {}", file.display()))?;
        setup.step(StepKind::ReadBegin, Seen::Number(number));
        Ok(Some(number))
    }

    /// Ends a read side of the first notifier.
    fn read_retry(&mut self, setup: &mut Setup, number: u64, after: Between) -> Result<()> {
        let name = setup.attached[0].attachment.name().to_owned();
        self.read_retry_of(&name, setup, number, after)
    }

    /// The same of the target of that name.
    pub(super) fn read_retry_of(
        &mut self,
        name: &str,
        setup: &mut Setup,
        number: u64,
        after: Between,
    ) -> Result<()> {
        let file = target_file(name, "read_retry");
        let line = number.to_string();
        let answer = self.helper.write(&file, &line, &self.waiter, STEP)?;
        setup.written(StepKind::ReadRetry { after }, &answer);
        Ok(())
    }
}
