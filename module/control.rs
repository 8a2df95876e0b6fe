// SPDX-License-Identifier: GPL-2.0

//! The files in the module's folder.

use crate::{
    abstractions::debugfs::{
        Dir,
        File,
        FileOperations, //
    },
    log,
    targets::{
        Owner,
        Targets, //
    },
    text::{
        self,
        Text, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
    uaccess::UserSliceWriter, //
};

/// What `help` shows.
const HELP: &str = include_str!("help.txt");

struct ControlFile(Arc<Targets>);

impl FileOperations for ControlFile {
    fn mode(&self) -> u16 {
        0o600
    }

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        let text = self.0.show(|_| true)?;
        text::copy_out(text.as_bytes(), position, out)
    }

    fn write(&self, data: &[u8]) -> Result {
        self.0.command(Owner::Control, data)
    }
}

struct HelpFile;

impl FileOperations for HelpFile {
    fn mode(&self) -> u16 {
        0o400
    }

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        text::copy_out(HELP.as_bytes(), position, out)
    }
}

struct TotalFile;

impl FileOperations for TotalFile {
    fn mode(&self) -> u16 {
        0o400
    }

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        let mut text = Text::with_capacity(32)?;
        text.add(fmt!("{}\n", log::TOTAL_ENTRIES.load(Relaxed)))?;
        text::copy_out(text.as_bytes(), position, out)
    }
}

/// The module's folder. Dropping it detaches every target.
pub(crate) struct Control {
    // First, so that nothing is attached any more when the list goes.
    _control: File<ControlFile>,
    _help: File<HelpFile>,
    _total: File<TotalFile>,
    targets: Arc<Targets>,
}

impl Control {
    /// Creates the module's folder. Fails with `EEXIST`, `ENOMEM`, or `ENODEV` without debugfs.
    pub(crate) fn new(log_bytes: usize) -> Result<Self> {
        let dir = Dir::new(c"mmu_notifier_inject", None)?;
        let targets = Targets::new(Dir::new(c"targets", Some(dir.clone()))?, log_bytes)?;
        Ok(Control {
            _control: File::new(c"control", &dir, ControlFile(targets.clone()))?,
            _help: File::new(c"help", &dir, HelpFile)?,
            _total: File::new(c"total", &dir, TotalFile)?,
            targets,
        })
    }

    /// The list of targets.
    pub(crate) fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }
}
