// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};

use mn_inject::injector::{self, DEVICE, load};
use mn_inject::model::MODULE_NAME;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::fail_nth::call::Call;
use crate::fail_nth::world::Stage;
use crate::module_cases::outcome::{Failure, Outcome, demand};
use crate::module_cases::rig::{Rig, read};

/// Demands that nothing of the module is there.
fn demand_absent() -> Outcome {
    let module = Path::new("/sys/module").join(MODULE_NAME);
    for path in [Path::new(injector::FOLDER), Path::new(DEVICE), &module] {
        demand(!path.exists(), || {
            format!("{} is there, and the module is not loaded", path.display())
        })?;
    }
    Ok(())
}

/// Demands that all of the module is there.
fn demand_present() -> Outcome {
    for path in [Path::new(injector::FOLDER), Path::new(DEVICE)] {
        demand(path.exists(), || {
            format!("{} is not there, and the module is loaded", path.display())
        })?;
    }
    read("control").map(drop)
}

fn unload() -> Outcome {
    load::unload()
        .map_err(|errno| Failure::Wrong(format!("the module cannot be unloaded: {errno:?}")))
}

/// Loads the module.
pub struct Load {
    file: File,
}

impl Load {
    /// Loads the module from its file.
    pub fn new(stage: &Stage<'_>) -> Outcome<Self> {
        demand_absent()?;
        let path = stage.rig.module.context("the module's file is not known")?;
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Load { file })
    }
}

impl Call for Load {
    fn make(&mut self) -> Result<(), Errno> {
        load::load_file(&self.file, c"")
    }

    fn succeeded(&mut self) -> Outcome {
        let present = demand_present();
        unload()?;
        demand_absent()?;
        present
    }

    fn failed(&mut self) -> Outcome {
        demand_absent()
    }
}

/// Unloads the module while a process is attached.
pub struct Unload<'a> {
    rig: &'a Rig<'a>,
    load: Load,
    name: CString,
    subject: Subject,
    is_loaded: bool,
}

impl<'a> Unload<'a> {
    /// Loads the module from its file and unloads it.
    pub fn new(stage: &Stage<'a>) -> Outcome<Self> {
        let rig = stage.rig;
        Ok(Unload {
            rig,
            load: Load::new(stage)?,
            name: CString::new(MODULE_NAME).context("the module's name")?,
            subject: rig.start(Operation::Hold)?,
            is_loaded: false,
        })
    }
}

impl Call for Unload<'_> {
    fn prepare(&mut self) -> Outcome {
        if !self.is_loaded {
            self.load.make().context("cannot load the module")?;
            self.is_loaded = true;
            let pid = self.subject.pid().as_raw();
            self.rig.attach(pid, "")?.forget();
        }
        Ok(())
    }

    fn make(&mut self) -> Result<(), Errno> {
        delete_module(&self.name, DeleteModuleFlags::O_NONBLOCK)
    }

    fn succeeded(&mut self) -> Outcome {
        self.is_loaded = false;
        demand_absent()
    }

    fn failed(&mut self) -> Outcome {
        demand_present()
    }
}

impl Drop for Unload<'_> {
    fn drop(&mut self) {
        if self.is_loaded
            && let Err(errno) = load::unload()
        {
            eprintln!("mn-selftest: cannot unload {MODULE_NAME}: {errno}");
        }
    }
}
