// SPDX-License-Identifier: GPL-2.0

//! The kernel thread that merges pages with the same content
//! (Documentation/admin-guide/mm/ksm.rst).

use std::fs;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::os::kernel::number;

/// Whether it runs: 1 if it does.
pub const RUN: &str = "/sys/kernel/mm/ksm/run";

/// Milliseconds that it sleeps after some pages.
const SLEEP: &str = "/sys/kernel/mm/ksm/sleep_millisecs";

fn write(path: &str, value: u64) -> Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("{value} > {path} failed"))
}

/// The thread, which runs until this is dropped.
#[derive(Debug)]
pub struct Ksmd {
    sleep: u64,
}

impl Ksmd {
    /// Lets it run without a pause.
    ///
    /// # Errors
    ///
    /// Its files cannot be read or written.
    pub fn start() -> Result<Self> {
        let sleep = number(SLEEP).with_context(|| format!("no number in {SLEEP}"))?;
        let ksmd = Ksmd { sleep };
        write(SLEEP, 1)?;
        write(RUN, 1)?;
        Ok(ksmd)
    }
}

impl Drop for Ksmd {
    fn drop(&mut self) {
        for (path, value) in [(RUN, 0), (SLEEP, self.sleep)] {
            if let Err(error) = write(path, value) {
                eprintln!("mn-inject: ksmd is not as it was: {error:#}");
            }
        }
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
