// SPDX-License-Identifier: GPL-2.0

//! Settings of the kernel that are changed for a while.

use std::fs;
use std::io;

use anyhow::{Context as _, Result};

/// A file with such a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whether ksmd runs.
    KsmRun,
    /// The pause of ksmd.
    KsmSleep,
    /// The pause of khugepaged.
    KhugepagedSleep,
    /// Where folios of 64 KiB are used.
    Folios64K,
    /// Where huge pages of 2 MiB are used.
    Folios2M,
    /// The multi-generational LRU.
    LruGen,
    /// The number of DAMON's threads.
    Kdamonds,
}

impl Setting {
    /// All of them.
    pub const ALL: [Setting; 7] = [
        Setting::KsmRun,
        Setting::KsmSleep,
        Setting::KhugepagedSleep,
        Setting::Folios64K,
        Setting::Folios2M,
        Setting::LruGen,
        Setting::Kdamonds,
    ];

    /// Path of the file.
    pub const fn path(self) -> &'static str {
        match self {
            Setting::KsmRun => "/sys/kernel/mm/ksm/run",
            Setting::KsmSleep => "/sys/kernel/mm/ksm/sleep_millisecs",
            Setting::KhugepagedSleep => {
                "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
            }
            Setting::Folios64K => "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled",
            Setting::Folios2M => "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled",
            Setting::LruGen => "/sys/kernel/mm/lru_gen/enabled",
            Setting::Kdamonds => "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds",
        }
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// The kernel does not have the file.
    pub fn value(self) -> io::Result<String> {
        let text = fs::read_to_string(self.path())?;
        // Of several words the one in brackets is the value.
        let chosen = text.split(['[', ']']).nth(1).unwrap_or(text.trim());
        Ok(chosen.to_owned())
    }

    /// Gives it a value.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn set(self, value: &str) -> Result<()> {
        let path = self.path();
        fs::write(path, value).with_context(|| format!("{value} > {path} failed"))
    }
}

/// A setting with a value until this is dropped, when it gets back the one that it had.
#[derive(Debug)]
pub struct Kept {
    setting: Setting,
    before: String,
}

impl Kept {
    /// Writes the value.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn write(setting: Setting, value: &str) -> Result<Self> {
        let before = setting
            .value()
            .with_context(|| format!("cannot read {}", setting.path()))?;
        setting.set(value)?;
        Ok(Kept { setting, before })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Err(error) = self.setting.set(&self.before) {
            eprintln!("mn-inject: a setting is not as it was: {error:#}");
        }
    }
}
