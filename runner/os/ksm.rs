// SPDX-License-Identifier: GPL-2.0

//! The kernel thread that merges pages with the same content
//! (Documentation/admin-guide/mm/ksm.rst).

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::os::kept::{Kept, Setting};
use crate::os::kernel::number;

/// The thread, which runs until this is dropped.
#[derive(Debug)]
pub struct Ksmd {
    // In this order: it is stopped first.
    _run: Kept,
    _sleep: Kept,
}

impl Ksmd {
    /// Lets it run without a pause.
    ///
    /// # Errors
    ///
    /// Its files cannot be read or written.
    pub fn start() -> Result<Self> {
        let _sleep = Kept::write(Setting::KsmSleep, "1")?;
        let _run = Kept::write(Setting::KsmRun, "1")?;
        Ok(Ksmd { _run, _sleep })
    }
}

/// Number of pages of a process that it has merged.
///
/// # Errors
///
/// The file of the process cannot be read.
pub fn merged(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/ksm_merging_pages");
    number(&path).with_context(|| format!("no number in {path}"))
}
