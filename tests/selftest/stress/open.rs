// SPDX-License-Identifier: GPL-2.0

//! What a worker holds open.

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
    /// Whose it is.
    pub of: Of,
}

/// Whose file it is.
#[derive(Debug)]
pub enum Of {
    /// The module's, opened then.
    Module(Moment),
    /// A target's.
    Target {
        /// The target.
        target: Arc<Target>,
        /// What can be written to it; [`None`]: it can be read.
        value: Option<&'static str>,
    },
}

/// The device, open in this process.
#[derive(Debug)]
pub struct Session {
    /// The open file.
    pub device: File,
    /// What was attached through it.
    pub targets: Vec<Arc<Target>>,
}
