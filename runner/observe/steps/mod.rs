// SPDX-License-Identifier: GPL-2.0

//! Carries out the steps of scripts, and records the result of each. The outcomes that are due are
//! in [`crate::contract::steps`].

mod aging;
mod asleep;
mod exit;
pub(super) mod let_go;
pub(super) mod pages;
mod reads;
mod registration;
mod release;

use anyhow::Result;

use crate::model::Between;
use crate::scenario::script::Steps;

use crate::observe::session::{STEP, Session};
use crate::observe::setup::Setup;

impl Session {
    /// Carries out the steps of a script.
    pub(super) fn play(&mut self, steps: Steps, setup: &mut Setup) -> Result<()> {
        match steps {
            Steps::Read => self.read(setup),
            Steps::ReadDisturbed => self.read_disturbed(setup),
            Steps::ReadElsewhere => self.read_around(Between::InvalidationElsewhere, setup),
            Steps::ReadFailed => self.read_around(Between::Failure, setup),
            Steps::ReadWaits => self.read_waits(setup),
            Steps::ReadRefused => self.read_refused(setup),
            Steps::PagesInStart => self.pages_in_start(setup),
            Steps::PagesInEnd => self.pages_in_end(setup),
            Steps::PagesInEndOfReaping => self.pages_in_end_of_reaping(setup),
            Steps::ReapsOthers => self.reaps_others(setup),
            Steps::Register(registration) => self.register(registration, setup),
            Steps::ChangeInInvalidation => self.change_in_invalidation(setup),
            Steps::LetGo => self.let_go(setup),
            Steps::Age => self.age(setup),
            Steps::Sample => self.sample(setup),
            Steps::MakeOld => self.make_old(setup),
            Steps::ProtectHole => self.protect_hole(setup),
            Steps::AskedBeforeCollapse => self.asked_around_start(setup, false),
            Steps::AskedAfterStart => self.asked_around_start(setup, true),
            Steps::ScanCollapsed => self.scan_collapsed(setup),
            Steps::RegisterWaits => self.register_waits(setup),
            Steps::RemoveInCallback => self.remove_in_callback(setup),
            Steps::Exit => self.exit(setup),
            Steps::TruncateInRelease => self.truncate_in_release(setup),
            Steps::ExitInRemoval => self.exit_in_removal(setup),
            Steps::Operation => self.operate(setup),
        }
    }

    /// Makes the subject carry out its operation.
    fn operate(&self, setup: &mut Setup) -> Result<()> {
        setup.outcome = setup.subject.act(&self.waiter, STEP)?;
        Ok(())
    }
}
