// SPDX-License-Identifier: GPL-2.0

//! What must be the same after a call that failed.

use std::fs;

use anyhow::Context as _;

use mn_inject::injector::files;
use mn_inject::injector::formats::Mm;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, read};

/// A process to attach, whose address space a target without a notifier holds.
pub struct World {
    /// The process. It sleeps.
    pub subject: Subject,
    held: Attached,
}

/// What a call that failed must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    control: String,
    folders: Vec<String>,
    mm: Mm,
}

impl World {
    /// Starts a process and holds its address space.
    pub fn new(rig: &Rig<'_>) -> Outcome<Self> {
        let subject = rig.start(Operation::Hold)?;
        let held = rig.attach(subject.pid().as_raw(), "kind=none")?;
        Ok(World { subject, held })
    }

    /// The name of the target that holds the address space.
    pub fn held(&self) -> &str {
        &self.held.name
    }

    /// The watched range of the process, as an `attach` line takes it.
    pub fn range(&self) -> String {
        let (start, end) = self.subject.watched();
        format!("{start:#x}-{end:#x}")
    }

    /// The state now.
    pub fn state(&self) -> Outcome<State> {
        let path = files::path("targets");
        let context = || format!("cannot list {}", path.display());
        let mut folders = fs::read_dir(&path)
            .with_context(context)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<_>>>()
            .with_context(context)?;
        folders.sort();
        Ok(State {
            control: read("control")?,
            folders,
            mm: self.held.mm()?,
        })
    }

    /// Demands that the state is that one. References of kernel threads that have borrowed the
    /// address space may go, but as the process sleeps, none can come.
    pub fn demand(&self, before: &State) -> Outcome {
        let now = self.state()?;
        same("control", &now.control, &before.control)?;
        same("folders below targets/", &now.folders, &before.folders)?;
        let is_same = now.mm.users == before.mm.users && now.mm.count <= before.mm.count;
        demand(is_same, || {
            format!("mm: {:?} before, {:?} now", before.mm, now.mm)
        })
    }
}
