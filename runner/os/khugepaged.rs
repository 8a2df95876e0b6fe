// SPDX-License-Identifier: GPL-2.0

//! The kernel thread that collapses small pages to huge ones, and the sizes of huge pages
//! (Documentation/admin-guide/mm/transhuge.rst).

use std::fs::File;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::os::kept::{Kept, Setting};
use crate::os::kernel::number;
use crate::os::sys;

/// Number of times that it has been through all address spaces.
const SCANS: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans";

/// The sizes, each with the word that is to be written.
const SIZES: [(Setting, &str); 2] = [
    (Setting::Folios64K, "madvise"),
    (Setting::Folios2M, "never"),
];

/// The thread, which hardly sleeps until this is dropped.
#[derive(Debug)]
pub struct Khugepaged {
    _sleep: Kept,
}

impl Khugepaged {
    /// Lets it run without a pause.
    ///
    /// # Errors
    ///
    /// Its file cannot be read or written.
    pub fn hurry() -> Result<Self> {
        // A write wakes it up.
        let _sleep = Kept::write(Setting::KhugepagedSleep, "1")?;
        Ok(Khugepaged { _sleep })
    }

    /// Number of times that it has been through all address spaces.
    ///
    /// # Errors
    ///
    /// There is no such number.
    pub fn scans(&self) -> Result<u64> {
        number(SCANS).with_context(|| format!("no number in {SCANS}"))
    }
}

/// Folios of 64 KiB in place of huge pages of 2 MiB, for memory with `MADV_HUGEPAGE`, until this is
/// dropped.
#[derive(Debug)]
pub struct SmallFolios {
    _sizes: Vec<Kept>,
}

impl SmallFolios {
    /// Chooses them.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn choose() -> Result<Self> {
        let sizes = SIZES
            .iter()
            .map(|(setting, word)| Kept::write(*setting, word));
        Ok(SmallFolios {
            _sizes: sizes.collect::<Result<_>>()?,
        })
    }

    /// Reason why this kernel has none; [`None`] where it has them.
    pub fn missing() -> Option<&'static str> {
        let is_there = |(setting, _): &(Setting, &str)| setting.value().is_ok();
        (!SIZES.iter().all(is_there)).then_some("the kernel has no folios of 64 KiB")
    }
}

/// Whether a process has one huge page mapped at these addresses.
///
/// # Errors
///
/// Its page table cannot be scanned.
pub fn is_huge(pid: Pid, range: (u64, u64)) -> Result<bool> {
    let path = format!("/proc/{pid}/pagemap");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    sys::is_huge(file, range).with_context(|| format!("PAGEMAP_SCAN of {path}"))
}
