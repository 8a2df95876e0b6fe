// SPDX-License-Identifier: GPL-2.0

//! A run's hold on the module, and the notifiers that it attaches.

use std::fs;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;

use crate::injector::files::{DEVICE, control_file, target_folder};
use crate::injector::formats::Mm;
use crate::injector::line;
use crate::injector::log::{Entries, LogReader};
use crate::injector::targets;
use crate::injector::targets::{Attach, CLAIM, detach_line};
use crate::model::Counters;

/// An open file of the module's device. What was attached through it is detached when the last
/// clone is dropped, or when this process is killed. The module cannot be unloaded before.
#[derive(Clone, Debug)]
pub struct Connection(Arc<File>);

impl Connection {
    /// Opens the module's device.
    ///
    /// # Errors
    ///
    /// The device is not there or cannot be opened.
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE);
        let file = file.with_context(|| {
            format!("cannot open {DEVICE}; the module makes it where devtmpfs is mounted on /dev")
        })?;
        Ok(Connection(Arc::new(file)))
    }

    fn write(&self, line: &str) -> io::Result<()> {
        line::write_once(&*self.0, line)
    }

    /// Claims the module for this run, until the connection is closed. Two runs at a time would
    /// count the calls of one another.
    ///
    /// # Errors
    ///
    /// Another run has claimed it.
    pub fn claim(&self) -> Result<()> {
        let line = format!("attach {} name={CLAIM} kind=none", std::process::id());
        match self.write(&line) {
            Err(error) if line::errno_of(&error) == Errno::EEXIST => bail!(
                "another run is at work with the module (its process is that of the target {CLAIM} \
                 in {}); wait until it has ended",
                control_file().display()
            ),
            result => result.with_context(|| failed(&line)),
        }
    }

    /// Attaches a notifier that returns 0 from every call and logs it.
    ///
    /// # Errors
    ///
    /// The module does not attach it, or its files cannot be opened.
    pub fn attach(&self, what: &Attach<'_>) -> Result<Attachment> {
        let (name, line) = (what.name(), format!("{} record=all", what.line()));
        self.write(&line).with_context(|| failed(&line))?;
        let folder = target_folder(&name);
        match LogReader::open(folder.join("log"), what.index) {
            Ok(log) => Ok(Attachment {
                connection: self.clone(),
                name,
                folder,
                log,
                attached: true,
            }),
            Err(error) => {
                let _ = self.write(&detach_line(&name));
                Err(error)
            }
        }
    }

    /// Detaches a target. Returns when no callback of its notifier runs any more.
    fn detach(&self, name: &str) -> Result<()> {
        let line = detach_line(name);
        self.write(&line).with_context(|| failed(&line))
    }
}

fn failed(line: &str) -> String {
    format!("\"{line}\" > {DEVICE} failed")
}

/// A notifier on the address space of a process, attached through a connection. Detached when
/// dropped.
#[derive(Debug)]
pub struct Attachment {
    connection: Connection,
    name: String,
    folder: PathBuf,
    log: LogReader,
    attached: bool,
}

impl Attachment {
    /// The target's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a line to a file in the target's folder.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the module does not take the line.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.folder.join(file);
        line::write_to(&path, value)
            .map(drop)
            .with_context(|| format!("{value:?} > {} failed", path.display()))
    }

    /// Reads a file in the target's folder.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn get(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Changes settings, given as `key=value ...`, in one step.
    ///
    /// # Errors
    ///
    /// As [`Self::set`]; nothing is changed then.
    pub fn change(&self, settings: &str) -> Result<()> {
        self.set("settings", settings)
    }

    /// Makes a mirror copy the page table, and log the pages of which its copy was stale.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn copy_page_table(&self) -> Result<()> {
        self.set("mirror", "copy")
    }

    /// Returns the log entries since the last call.
    ///
    /// # Errors
    ///
    /// As [`LogReader::new_entries`].
    pub fn new_entries(&mut self) -> Result<Entries> {
        self.log.new_entries()
    }

    /// Returns another reader of the log, which begins after its last entry.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn follow(&self) -> Result<LogReader> {
        self.log.follow()
    }

    /// The module's counters of this target.
    ///
    /// # Errors
    ///
    /// `counters` cannot be read, or is not as the module writes it.
    pub fn counters(&self) -> Result<Counters> {
        targets::counters(&self.name)
    }

    /// The counts of the address space.
    ///
    /// # Errors
    ///
    /// `mm` cannot be read, or is not as the module writes it.
    pub fn mm_counts(&self) -> Result<Mm> {
        let text = self.get("mm")?;
        Mm::parse(&text).with_context(|| format!("mm of {}", self.name))
    }

    /// Gives the attachment up without detaching it: another process has detached it, or is about
    /// to and may wait forever.
    pub fn forget(mut self) {
        self.attached = false;
    }

    /// Detaches the notifier. Returns when no callback of it runs any more.
    ///
    /// # Errors
    ///
    /// The module does not detach it.
    pub fn detach(mut self) -> Result<()> {
        self.attached = false;
        self.connection.detach(&self.name)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.attached
            && let Err(error) = self.connection.detach(&self.name)
        {
            eprintln!("mn-inject: {error:#}");
        }
    }
}
