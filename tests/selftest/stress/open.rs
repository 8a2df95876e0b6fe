// SPDX-License-Identifier: GPL-2.0

//! Files and sessions that a worker holds open.

use std::fs::File;
use std::sync::Arc;

use crate::stress::module_state::Moment;
use crate::stress::target::Target;

/// A file that is held open.
#[derive(Debug)]
pub struct Held {
    /// The open file.
    pub file: File,
    /// Its name.
    pub name: &'static str,
    /// Its owner.
    pub of: Of,
}

/// Owner of a file.
#[derive(Debug)]
pub enum Of {
    /// The module. The file was opened at this moment.
    Module(Moment),
    /// A target.
    Target {
        /// The target.
        target: Arc<Target>,
        /// Value to write to a file that is open for writing; [`None`] if it is open for reading.
        value: Option<&'static str>,
    },
}

/// The device, open in this process.
#[derive(Debug)]
pub struct Session {
    /// The open file.
    pub device: File,
    /// Targets that were attached through it.
    pub targets: Vec<Arc<Target>>,
}
