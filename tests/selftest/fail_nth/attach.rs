// SPDX-License-Identifier: GPL-2.0

//! Attaching and detaching.

use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;

use mn_inject::injector::line::{errno_of, write_once};
use mn_inject::injector::{DEVICE, control_file};
use mn_inject::model::NotifierKind;

use crate::fail_nth::call::Call;
use crate::fail_nth::world::{Stage, State, World};
use crate::fuzz::kind::{Kind, TWO_PASS, word};
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, open, write};

/// Writes a line with one `write(2)`, which may fail with any errno.
pub fn write_line(file: &File, line: &[u8]) -> Result<(), Errno> {
    write_once(file, line).map_err(|error| errno_of(&error))
}

/// The words of an `attach` line.
pub fn words(world: &World, kind: Kind) -> String {
    let range = if kind.is_some_and(NotifierKind::has_range) {
        format!(" range={}", world.range())
    } else {
        String::new()
    };
    format!("kind={}{range}", word(kind))
}

/// Skips a walk with a notifier that this kernel does not have.
fn demand_kind(rig: &Rig<'_>, world: &World, kind: Kind) -> Outcome {
    if kind != TWO_PASS {
        return Ok(());
    }
    rig.attach(world.subject.pid().as_raw(), &words(world, kind))?
        .detach()
}

/// Attaches a target to a process.
pub struct Attach {
    world: Rc<World>,
    file: File,
    line: String,
    name: String,
    before: State,
}

/// Where an `attach` line is written.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// `control`.
    Control,
    /// The device.
    Session,
}

impl Attach {
    /// Attaches a process by its pid, with these words in the line.
    pub fn new(stage: &Stage<'_>, kind: Kind, how: &str, via: Via) -> Outcome<Self> {
        let world = stage.world()?;
        demand_kind(stage.rig, &world, kind)?;
        let object = world.subject.pid().to_string();
        Self::line(stage.rig, world, &object, kind, how, via)
    }

    /// Attaches the address space of another target.
    pub fn of_target(stage: &Stage<'_>) -> Outcome<Self> {
        let world = stage.world()?;
        let object = format!("@{}", world.held());
        Self::line(stage.rig, world, &object, None, "", Via::Control)
    }

    fn line(
        rig: &Rig<'_>,
        world: Rc<World>,
        object: &str,
        kind: Kind,
        how: &str,
        via: Via,
    ) -> Outcome<Self> {
        let file = match via {
            Via::Control => open(&control_file())?,
            Via::Session => open(Path::new(DEVICE))?,
        };
        let name = rig.name();
        let words = words(&world, kind);
        Ok(Attach {
            line: format!("attach {object} name={name} {words} {how}"),
            before: world.state()?,
            world,
            file,
            name,
        })
    }
}

impl Call for Attach {
    fn make(&mut self) -> Result<(), Errno> {
        write_line(&self.file, self.line.as_bytes())
    }

    fn succeeded(&mut self) -> Outcome {
        let attached = Attached::adopt(self.name.clone());
        attached.demand_state("live")?;
        attached.detach()?;
        self.world.demand(&self.before)
    }

    fn failed(&mut self) -> Outcome {
        self.world.demand(&self.before)
    }
}

/// Attaches the first notifier of a process: a new process each time.
pub struct First<'a> {
    rig: &'a Rig<'a>,
    kind: Kind,
    attach: Option<Attach>,
}

impl<'a> First<'a> {
    /// Attaches the first notifier of that kind.
    pub fn new(stage: &Stage<'a>, kind: Kind) -> Self {
        First {
            rig: stage.rig,
            kind,
            attach: None,
        }
    }

    fn attach(&mut self) -> Outcome<&mut Attach> {
        let absent = || Failure::Wrong("nothing was prepared".into());
        self.attach.as_mut().ok_or_else(absent)
    }
}

impl Call for First<'_> {
    fn prepare(&mut self) -> Outcome {
        // First, since it is listed as long as it is there.
        self.attach = None;
        let world = Rc::new(World::new(self.rig)?);
        let object = world.subject.pid().to_string();
        let attach = Attach::line(self.rig, world, &object, self.kind, "", Via::Control)?;
        self.attach = Some(attach);
        Ok(())
    }

    fn make(&mut self) -> Result<(), Errno> {
        self.attach.as_mut().ok_or(Errno::EBADF)?.make()
    }

    fn succeeded(&mut self) -> Outcome {
        self.attach()?.succeeded()
    }

    fn failed(&mut self) -> Outcome {
        self.attach()?.failed()
    }
}

/// Detaches a target.
pub struct Detach<'a> {
    rig: &'a Rig<'a>,
    world: Rc<World>,
    kind: Kind,
    file: File,
    line: String,
    target: Option<Attached>,
    without: State,
    with: State,
}

impl<'a> Detach<'a> {
    /// Detaches a target of that kind.
    pub fn new(stage: &Stage<'a>, kind: Kind) -> Outcome<Self> {
        let rig = stage.rig;
        let world = stage.world()?;
        demand_kind(rig, &world, kind)?;
        let without = world.state()?;
        Ok(Detach {
            rig,
            kind,
            file: open(&control_file())?,
            line: String::new(),
            target: None,
            with: without.clone(),
            without,
            world,
        })
    }
}

impl Call for Detach<'_> {
    fn prepare(&mut self) -> Outcome {
        if self.target.is_none() {
            let pid = self.world.subject.pid().as_raw();
            let target = self.rig.attach(pid, &words(&self.world, self.kind))?;
            self.line = format!("detach {}", target.name);
            self.target = Some(target);
            self.with = self.world.state()?;
        }
        Ok(())
    }

    fn make(&mut self) -> Result<(), Errno> {
        write_line(&self.file, self.line.as_bytes())
    }

    fn succeeded(&mut self) -> Outcome {
        if let Some(mut target) = self.target.take() {
            target.forget();
        }
        self.world.demand(&self.without)
    }

    fn failed(&mut self) -> Outcome {
        self.world.demand(&self.with)
    }
}

/// Closes the device with a target that was attached through it.
pub struct Close {
    world: Rc<World>,
    session: Option<File>,
    name: String,
    before: State,
}

impl Close {
    /// Closes the device.
    pub fn new(stage: &Stage<'_>) -> Outcome<Self> {
        let world = stage.world()?;
        Ok(Close {
            before: world.state()?,
            world,
            session: None,
            name: stage.rig.name(),
        })
    }
}

impl Call for Close {
    fn prepare(&mut self) -> Outcome {
        let session = open(Path::new(DEVICE))?;
        let line = format!("attach {} name={}", self.world.subject.pid(), self.name);
        same(&line, write(&session, line.as_bytes())?, Ok(()))?;
        self.session = Some(session);
        Ok(())
    }

    fn make(&mut self) -> Result<(), Errno> {
        match self.session.take() {
            Some(session) => nix::unistd::close(session),
            None => Err(Errno::EBADF),
        }
    }

    fn succeeded(&mut self) -> Outcome {
        self.world.demand(&self.before)
    }

    fn failed(&mut self) -> Outcome {
        // The descriptor is gone in any case.
        demand(false, || "the device could not be closed".into())
    }
}
