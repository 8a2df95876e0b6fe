// SPDX-License-Identifier: GPL-2.0

//! Opening and reading the device.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

use mn_inject::injector::DEVICE;

use crate::fail_nth::call::Call;
use crate::fail_nth::files::Contents;
use crate::fail_nth::world::{Stage, State, World};
use crate::module_cases::outcome::{Failure, Outcome, same};
use crate::module_cases::rig::{listed, open, write};

/// Opens the device.
pub struct OpenDevice {
    world: Rc<World>,
    before: State,
    opened: Option<OwnedFd>,
}

impl OpenDevice {
    /// Opens the device, for a process that can be attached.
    pub fn new(stage: &Stage<'_>) -> Outcome<Self> {
        let world = stage.world()?;
        Ok(OpenDevice {
            before: world.state()?,
            world,
            opened: None,
        })
    }
}

impl Call for OpenDevice {
    fn make(&mut self) -> Result<(), Errno> {
        self.opened = Some(fcntl::open(
            Path::new(DEVICE),
            OFlag::O_RDWR | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?);
        Ok(())
    }

    fn succeeded(&mut self) -> Outcome {
        self.opened = None;
        self.world.demand(&self.before)
    }

    fn failed(&mut self) -> Outcome {
        self.world.demand(&self.before)
    }
}

/// Reads the list of the targets of a session.
pub struct ReadDevice {
    world: Rc<World>,
    before: State,
    contents: Contents,
    due: Vec<u8>,
}

impl ReadDevice {
    /// Reads the list of a session with one target.
    pub fn new(stage: &Stage<'_>) -> Outcome<Self> {
        let world = stage.world()?;
        let session = open(Path::new(DEVICE))?;
        let name = stage.rig.name();
        let line = format!("attach {} name={name} kind=none", world.subject.pid());
        same(&line, write(&session, line.as_bytes())?, Ok(()))?;
        let line = listed(&name)?
            .ok_or_else(|| Failure::Wrong("the session's target is not in control".into()))?;
        Ok(ReadDevice {
            before: world.state()?,
            world,
            contents: Contents::of(session),
            due: (line + "\n").into_bytes(),
        })
    }
}

impl Call for ReadDevice {
    fn make(&mut self) -> Result<(), Errno> {
        self.contents.read()
    }

    fn succeeded(&mut self) -> Outcome {
        self.contents.demand(&self.due)?;
        self.world.demand(&self.before)
    }

    fn failed(&mut self) -> Outcome {
        self.make()
            .map_err(|errno| Failure::Wrong(format!("the read after it: {errno:?}")))?;
        self.succeeded()
    }
}
