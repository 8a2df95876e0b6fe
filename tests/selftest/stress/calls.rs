// SPDX-License-Identifier: GPL-2.0

//! The calls that all workers make: on files of the module, and on files of targets.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::PoisonError;

use nix::errno::Errno;

use mn_inject::injector::formats::Counters;
use mn_inject::injector::{control_file, files, target_file};

use crate::fuzz::finding::shown;
use crate::stress::errno::Call;
use crate::stress::files::{errno, read_once, write_once};
use crate::stress::module_state::Moment;
use crate::stress::target::{Target, gone_back};
use crate::stress::worker::{On, Worker};

/// What is counted of the targets' own counters.
pub const CALLBACKS: &str = "callbacks seen";
/// The same of those that were made to fail.
pub const INJECTED: &str = "failures injected";

fn open(path: &Path, write: bool) -> Result<File, Errno> {
    errno(OpenOptions::new().read(!write).write(write).open(path))
}

impl Worker {
    /// Opens a file that the module has for as long as it is loaded.
    pub fn open_root(&self, path: &Path, write: bool) -> Option<File> {
        self.call(Call::OpenRoot, On::Module, path.display(), || {
            open(path, write)
        })
    }

    /// Reads a file that the module has for as long as it is loaded.
    pub fn read_root(&self, name: &str) -> Option<String> {
        let since = self.moment();
        let file = self.open_root(&files::path(name), false)?;
        self.read_open_root(&file, name, since)
    }

    /// Reads such a file that is open since then.
    pub fn read_open_root(&self, file: &File, name: &str, since: Moment) -> Option<String> {
        let result = read_once(file);
        self.judged(Call::ReadRoot, On::Module, since, name, result)
    }

    /// Writes a line to `control`. [`None`] where the module is not there.
    pub fn write_control(&self, line: &str) -> Option<Result<(), Errno>> {
        let file = self.open_root(&control_file(), true)?;
        Some(write_once(&file, line))
    }

    /// Writes a line to `control`, which must be refused so. False where the module was not there.
    pub fn refused_line(&self, line: &str, with: Errno) -> bool {
        let since = self.moment();
        let Some(result) = self.write_control(line) else {
            return false;
        };
        let what = format_args!("{line:?} > control");
        self.refused(On::Module, since, what, &[with], result)
    }

    /// Opens a file of a target's.
    pub fn open_target(&self, target: &Target, file: &str, write: bool) -> Option<File> {
        let path = target_file(&target.name, file);
        self.call(Call::OpenTarget, On::Target(target), path.display(), || {
            open(&path, write)
        })
    }

    /// Reads an open file of a target's, at least its beginning.
    pub fn read_open(&self, target: &Target, name: &str, file: &File) -> Option<String> {
        let what = format_args!("{}/{name}", target.name);
        self.call(Call::ReadTarget, On::Target(target), what, || {
            read_once(file)
        })
    }

    /// Writes to an open file of a target's a value that it takes.
    pub fn set_open(&self, target: &Target, name: &str, file: &File, value: &str) -> bool {
        self.set_or(target, name, file, value, &[])
    }

    /// Writes to an open file of a target's a value that it takes, or refuses with one of these.
    fn set_or(
        &self,
        target: &Target,
        name: &str,
        file: &File,
        value: &str,
        with: &[Errno],
    ) -> bool {
        let what = format_args!("{value:?} > {}/{name}", target.name);
        let done = self.call(
            Call::SetKnob,
            On::Target(target),
            what,
            || match write_once(file, value) {
                Err(errno) if with.contains(&errno) => Ok(()),
                result => result,
            },
        );
        done.is_some()
    }

    /// Reads a file of a target's.
    pub fn read(&self, target: &Target, name: &str) -> Option<String> {
        let file = self.open_target(target, name, false)?;
        self.read_open(target, name, &file)
    }

    /// Sets a file of a target's to a value that it takes.
    pub fn set(&self, target: &Target, name: &str, value: &str) -> bool {
        self.may_refuse(target, name, value, &[])
    }

    /// Writes to a file of a target's a value that it takes, or refuses with one of these.
    pub fn may_refuse(&self, target: &Target, name: &str, value: &str, with: &[Errno]) -> bool {
        self.open_target(target, name, true)
            .is_some_and(|file| self.set_or(target, name, &file, value, with))
    }

    /// Writes to a file of a target's a value that it must refuse with one of these.
    pub fn refused_value(&self, target: &Target, name: &str, value: &[u8], with: &[Errno]) -> bool {
        let Some(file) = self.open_target(target, name, true) else {
            return false;
        };
        let since = self.moment();
        let result = write_once(&file, value);
        let what = format_args!("{} > {}/{name}", shown(value), target.name);
        self.refused(On::Target(target), since, what, with, result)
    }

    /// Reads a target's counters, and looks that none has gone back.
    pub fn counters(&self, target: &Target) -> Option<Counters> {
        // Who reads later must not compare earlier.
        let mut seen = target.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read(target, "counters")?;
        match Counters::parse(&text) {
            Ok(counters) => {
                if let Some(name) = gone_back(&counters, &seen) {
                    self.finding(format_args!(
                        "{name} of {} has gone back: {:?}, then {counters:?}",
                        target.name, *seen
                    ));
                }
                let counts = &self.world.counts;
                counts.add(CALLBACKS, counters.calls.saturating_sub(seen.calls));
                counts.add(INJECTED, counters.injected.saturating_sub(seen.injected));
                seen.clone_from(&counters);
                Some(counters)
            }
            Err(error) => {
                self.finding(format_args!("counters of {}: {error:#}", target.name));
                None
            }
        }
    }
}
