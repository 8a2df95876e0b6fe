// SPDX-License-Identifier: GPL-2.0

//! State that must be the same after a call that failed.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use anyhow::Context as _;

use mn_inject::injector::files;
use mn_inject::injector::formats::Mm;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::fail_nth::attach::words;
use crate::fuzz::kind::Kind;
use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, read};

/// A process to attach, whose address space a target without a notifier holds.
pub struct World {
    /// The process. It sleeps.
    pub subject: Subject,
    held: Attached,
}

/// State that a call that failed must not change.
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

/// Parts that the walks share, each made when it is first needed: starting a process takes longer than
/// most walks.
pub struct Stage<'a> {
    /// Processes and targets.
    pub rig: &'a Rig<'a>,
    world: RefCell<Option<Rc<World>>>,
    targets: RefCell<Vec<(Kind, Rc<Attached>)>>,
}

impl<'a> Stage<'a> {
    /// An empty stage.
    pub fn new(rig: &'a Rig<'a>) -> Self {
        Stage {
            rig,
            world: RefCell::default(),
            targets: RefCell::default(),
        }
    }

    /// The process of all walks. It has had a notifier: the kernel keeps its own structure for a
    /// process from the first one on.
    pub fn world(&self) -> Outcome<Rc<World>> {
        let mut world = self.world.borrow_mut();
        if let Some(world) = &*world {
            return Ok(world.clone());
        }
        let new = Rc::new(World::new(self.rig)?);
        for words in ["", &format!("kind=interval range={}", new.range())] {
            self.rig
                .attach(new.subject.pid().as_raw(), words)?
                .detach()?;
        }
        Ok(world.insert(new).clone())
    }

    /// The target of that kind of which all walks use the files.
    pub fn target(&self, kind: Kind) -> Outcome<Rc<Attached>> {
        let world = self.world()?;
        let mut targets = self.targets.borrow_mut();
        if let Some((_, target)) = targets.iter().find(|(one, _)| *one == kind) {
            return Ok(target.clone());
        }
        let pid = world.subject.pid().as_raw();
        let target = Rc::new(self.rig.attach(pid, &words(&world, kind))?);
        // An entry in its log, so that there is something to read.
        target.set_all(&[
            ("record", "all"),
            ("zap", &world.range()),
            ("record", "injected"),
        ])?;
        targets.push((kind, target.clone()));
        Ok(target)
    }
}
