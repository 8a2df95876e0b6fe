// SPDX-License-Identifier: GPL-2.0

//! DAMON, which samples whether pages are used (Documentation/admin-guide/mm/damon/usage.rst).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use crate::os::kernel::number;

/// Its kernel threads.
const KDAMONDS: &str = "/sys/kernel/mm/damon/admin/kdamonds";

/// Microseconds between two samples.
const SAMPLE_US: u64 = 1000;

/// Reason why it cannot be used here; [`None`] where it can.
pub fn missing() -> Option<&'static str> {
    match number(&format!("{KDAMONDS}/nr_kdamonds")) {
        None => Some("the kernel has no DAMON in sysfs (CONFIG_DAMON_SYSFS, CONFIG_DAMON_VADDR)"),
        Some(0) => None,
        Some(_) => Some("DAMON is in use"),
    }
}

fn write(file: &str, value: &str) -> Result<()> {
    let path = Path::new(KDAMONDS).join(file);
    fs::write(&path, value).with_context(|| format!("{value} > {} failed", path.display()))
}

/// A kernel thread that samples some addresses of a process, until this is dropped.
#[derive(Debug)]
pub struct Kdamond(());

impl Kdamond {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// Its files cannot be written, or it did not start.
    pub fn start(pid: Pid, (start, end): (u64, u64)) -> Result<Self> {
        write("nr_kdamonds", "1")?;
        // Taken back from here on, also if the rest fails.
        let kdamond = Kdamond(());
        write("0/contexts/nr_contexts", "1")?;
        let context = |file: &str, value: &str| write(&format!("0/contexts/0/{file}"), value);
        // "vaddr" would look for addresses by itself.
        context("operations", "fvaddr")?;
        let intervals = "monitoring_attrs/intervals";
        context(&format!("{intervals}/sample_us"), &SAMPLE_US.to_string())?;
        context(
            &format!("{intervals}/aggr_us"),
            &(20 * SAMPLE_US).to_string(),
        )?;
        context("targets/nr_targets", "1")?;
        context("targets/0/pid_target", &pid.to_string())?;
        context("targets/0/regions/nr_regions", "1")?;
        context("targets/0/regions/0/start", &start.to_string())?;
        context("targets/0/regions/0/end", &end.to_string())?;
        write("0/state", "on")?;
        let path = Path::new(KDAMONDS).join("0/state");
        let state = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        if state.trim() != "on" {
            bail!("{} reads {state:?} after it was turned on", path.display());
        }
        Ok(kdamond)
    }
}

impl Drop for Kdamond {
    fn drop(&mut self) {
        // It may have ended with its process.
        let _ = write("0/state", "off");
        if let Err(error) = write("nr_kdamonds", "0") {
            eprintln!("mn-inject: DAMON is not as it was: {error:#}");
        }
    }
}
