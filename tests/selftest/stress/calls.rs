// SPDX-License-Identifier: GPL-2.0

//! System calls of all workers on the files of the module and of its targets.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::PoisonError;

use nix::errno::Errno;

use mn_inject::injector::formats::Counters;
use mn_inject::injector::{control_file, files, target_file};

use crate::fuzz::finding::shown;
use crate::fuzz::setting::path_of;
use crate::stress::errno::Call;
use crate::stress::files::{errno, read_once, write_once};
use crate::stress::module_state::Moment;
use crate::stress::target::{Target, gone_back};
use crate::stress::worker::{On, Worker};

/// Count of the callbacks of all targets, from their counters.
pub const CALLBACKS: &str = "callbacks seen";
/// Count of the callbacks that were made to fail, from the same counters.
pub const INJECTED: &str = "failures injected";

fn open(path: &Path, write: bool) -> Result<File, Errno> {
    errno(OpenOptions::new().read(!write).write(write).open(path))
}

impl Worker {
    /// Opens a file that exists as long as the module is loaded.
    pub fn open_root(&self, path: &Path, write: bool) -> Option<File> {
        self.call(Call::OpenRoot, On::Module, path.display(), || {
            open(path, write)
        })
    }

    /// Reads a file that exists as long as the module is loaded.
    pub fn read_root(&self, name: &str) -> Option<String> {
        let since = self.moment();
        let file = self.open_root(&files::path(name), false)?;
        self.read_open_root(&file, name, since)
    }

    /// Reads such a file that has been open since the given moment.
    pub fn read_open_root(&self, file: &File, name: &str, since: Moment) -> Option<String> {
        let result = read_once(file);
        self.judged(Call::ReadRoot, On::Module, since, name, result)
    }

    /// Writes a line to `control`. Returns `None` if the module is not loaded.
    pub fn write_control(&self, line: &str) -> Option<Result<(), Errno>> {
        let file = self.open_root(&control_file(), true)?;
        Some(write_once(&file, line))
    }

    /// Writes a line to `control`, which must fail with this errno. Returns false if the module is
    /// not loaded.
    pub fn refused_line(&self, line: &str, with: Errno) -> bool {
        let since = self.moment();
        let Some(result) = self.write_control(line) else {
            return false;
        };
        let what = format_args!("{line:?} > control");
        self.refused(On::Module, since, what, &[with], result)
    }

    /// Opens a file of a target, which is named by its path or by the key of its setting.
    pub fn open_target(&self, target: &Target, file: &str, write: bool) -> Option<File> {
        let path = target_file(&target.name, path_of(file));
        self.call(Call::OpenTarget, On::Target(target), path.display(), || {
            open(&path, write)
        })
    }

    /// Reads the beginning of an open file of a target.
    pub fn read_open(&self, target: &Target, name: &str, file: &File) -> Option<String> {
        let what = format_args!("{}/{name}", target.name);
        self.call(Call::ReadTarget, On::Target(target), what, || {
            read_once(file)
        })
    }

    /// Writes a valid value to an open file of a target.
    pub fn set_open(&self, target: &Target, name: &str, file: &File, value: &str) -> bool {
        self.set_or(target, name, file, value, &[])
    }

    /// Writes a value to an open file of a target, which succeeds or fails with one of these.
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

    /// Reads a file of a target.
    pub fn read(&self, target: &Target, name: &str) -> Option<String> {
        let file = self.open_target(target, name, false)?;
        self.read_open(target, name, &file)
    }

    /// Writes a valid value to a file of a target.
    pub fn set(&self, target: &Target, name: &str, value: &str) -> bool {
        self.may_refuse(target, name, value, &[])
    }

    /// Writes a value to a file of a target, which succeeds or fails with one of these.
    pub fn may_refuse(&self, target: &Target, name: &str, value: &str, with: &[Errno]) -> bool {
        self.open_target(target, name, true)
            .is_some_and(|file| self.set_or(target, name, &file, value, with))
    }

    /// Writes a value to a file of a target, which must fail with one of these. Returns false if
    /// the target was gone.
    pub fn refused_value(&self, target: &Target, name: &str, value: &[u8], with: &[Errno]) -> bool {
        let Some(file) = self.open_target(target, name, true) else {
            return false;
        };
        let since = self.moment();
        let result = write_once(&file, value);
        let what = format_args!("{} > {}/{name}", shown(value), target.name);
        self.refused(On::Target(target), since, what, with, result)
    }

    /// Reads the counters of a target, and checks that none has gone back.
    pub fn counters(&self, target: &Target) -> Option<Counters> {
        // Workers must compare in the order in which they read.
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
