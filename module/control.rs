// SPDX-License-Identifier: GPL-2.0

//! The files in the module's folder.

use crate::{
    abstractions::{
        breach,
        debugfs::{
            Dir,
            File,
            FileOperations, //
        },
        Output, //
    },
    log,
    readings::Readings,
    targets::{
        Owner,
        Targets, //
    },
    text::{
        self,
        Text, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// Contents of `help`.
const HELP: &str = include_str!("help.txt");

struct ControlFile {
    targets: Arc<Targets>,
    readings: Arc<Readings>,
}

impl FileOperations for ControlFile {
    fn mode(&self) -> u16 {
        0o600
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        let targets = &self.targets;
        self.readings
            .read(position, out, |text| targets.show(|_| true, text))
    }

    fn write(&self, data: &[u8]) -> Result {
        self.targets.command(Owner::Control, data)
    }
}

struct HelpFile;

impl FileOperations for HelpFile {
    fn mode(&self) -> u16 {
        0o400
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        text::copy_out(HELP.as_bytes(), position, out)
    }
}

/// A file that shows a fact about the module.
struct FactFile {
    readings: Arc<Readings>,
    show: fn(&mut Text) -> Result,
}

impl FileOperations for FactFile {
    fn mode(&self) -> u16 {
        0o400
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        self.readings.read(position, out, self.show)
    }
}

/// The module's folder. Dropping it detaches every target.
pub(crate) struct Control {
    // First, so that nothing is attached any more when the list goes.
    _control: File<ControlFile>,
    _help: File<HelpFile>,
    _total: File<FactFile>,
    _breach: File<FactFile>,
    targets: Arc<Targets>,
}

impl Control {
    /// Creates the module's folder. Fails with `EEXIST`, `ENOMEM`, or `ENODEV` without debugfs.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let dir = Dir::new(c"mmu_notifier_inject", None)?;
        let targets = Dir::new(c"targets", Some(dir.clone()))?;
        let targets = Targets::new(module, targets)?;
        let readings = Readings::new()?;
        let control = ControlFile {
            targets: targets.clone(),
            readings: readings.clone(),
        };
        let total = FactFile {
            readings: readings.clone(),
            show: |text| text.add(fmt!("{}\n", log::TOTAL_ENTRIES.load(Relaxed))),
        };
        let breach = FactFile {
            readings,
            show: |text| text.add(fmt!("{}\n", u8::from(breach::is_permitted()))),
        };
        Ok(Control {
            _control: File::new(c"control", &dir, control)?,
            _help: File::new(c"help", &dir, HelpFile)?,
            _total: File::new(c"total", &dir, total)?,
            _breach: File::new(c"breach", &dir, breach)?,
            targets,
        })
    }

    /// The list of targets.
    pub(crate) fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }
}
