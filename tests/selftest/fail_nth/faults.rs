// SPDX-License-Identifier: GPL-2.0

//! The kernel's fault injection, as far as `fail-nth` uses it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;

use mn_inject::injector::line::errno_of;

/// The file of the calling thread: the kernel counts the faults of that thread only.
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";

/// Where the kernel has the files of the capabilities.
const DEBUGFS: &str = "/sys/kernel/debug";

/// Where the kernel has the files of the slab caches.
const SLAB: &str = "/sys/kernel/slab";

/// Settings while faults are injected.
const SETTINGS: [(&str, &str); 7] = [
    // The caches of kmemleak are left out.
    ("failslab/cache-filter", "Y"),
    // Without these, only allocations that cannot sleep fail.
    ("failslab/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/min-order", "0"),
    // Each fault comes with a stack, which says what failed.
    ("failslab/verbose", "2"),
    ("fail_page_alloc/verbose", "2"),
    ("fail_usercopy/verbose", "2"),
];

/// Faults for the calling thread. The settings are restored when it is dropped.
pub struct Faults {
    file: File,
    before: Vec<(PathBuf, String)>,
}

/// Whether a call came to the fault that was set up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The fault was injected.
    Injected,
    /// The call ended before.
    NotReached,
}

impl Faults {
    /// Sets up the kernel's fault injection for the calling thread.
    ///
    /// # Errors
    ///
    /// The kernel has none (`CONFIG_FAULT_INJECTION`), or something else uses it.
    pub fn new() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(FAIL_NTH)
            .with_context(|| {
                format!("cannot open {FAIL_NTH}: the kernel needs CONFIG_FAULT_INJECTION, as that of `mn-selftest vm fail-nth` has it")
            })?;
        let mut faults = Faults {
            file,
            before: Vec::new(),
        };
        for path in caches()? {
            faults.set(path, "1")?;
        }
        for (name, value) in SETTINGS {
            let path = Path::new(DEBUGFS).join(name);
            faults.set(path, value)?;
        }
        for capability in ["failslab", "fail_page_alloc", "fail_usercopy"] {
            let path = Path::new(DEBUGFS).join(capability).join("probability");
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(
                text.trim() == "0",
                "{} is {}: something else injects faults; write 0 to it when that is over",
                path.display(),
                text.trim()
            );
        }
        Ok(faults)
    }

    fn set(&mut self, path: PathBuf, value: &str) -> Result<()> {
        let name = path.display();
        let before = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {name}: the kernel needs SLUB_DEBUG and CONFIG_FAULT_INJECTION_DEBUG_FS with slab, page and usercopy faults, as that of `mn-selftest vm fail-nth` has them, and debugfs on {DEBUGFS}")
        })?;
        fs::write(&path, value).with_context(|| format!("{value} > {name} failed"))?;
        self.before.push((path, before.trim().to_owned()));
        Ok(())
    }

    /// Makes `call` with its `nth` fault injected; 0 injects none. `call` must make one system call
    /// only.
    ///
    /// # Errors
    ///
    /// The kernel's file cannot be read or written.
    pub fn during<T>(&self, nth: u32, call: impl FnOnce() -> T) -> Result<(T, Fault)> {
        let mut text = [0; 16];
        let length = {
            let mut rest = &mut text[..];
            write!(rest, "{nth}")?;
            16 - rest.len()
        };
        let context = || format!("cannot write to {FAIL_NTH}");
        self.file
            .write_all_at(&text[..length], 0)
            .with_context(context)?;
        let result = call();
        let fault = self.read_back();
        self.clear()?;
        Ok((result, if nth == 0 { Fault::NotReached } else { fault? }))
    }

    /// Reads whether the fault that was set up was injected.
    fn read_back(&self) -> Result<Fault> {
        let mut text = [0; 16];
        match self.file.read_at(&mut text, 0) {
            Ok(length) => match text[..length].trim_ascii() {
                b"0" => Ok(Fault::Injected),
                left if left.iter().all(u8::is_ascii_digit) => Ok(Fault::NotReached),
                other => bail!("{FAIL_NTH} reads \"{}\"", other.escape_ascii()),
            },
            // One was left, which was this read's copy to user space.
            Err(error) if errno_of(&error) == Errno::EFAULT => Ok(Fault::NotReached),
            Err(error) => Err(error).with_context(|| format!("cannot read {FAIL_NTH}")),
        }
    }

    /// Takes back a fault that was set up and not injected.
    fn clear(&self) -> Result<()> {
        let write = || self.file.write_all_at(b"0", 0);
        match write() {
            // The last fault was this write's copy from user space.
            Err(error) if errno_of(&error) == Errno::EFAULT => write(),
            other => other,
        }
        .with_context(|| format!("cannot write to {FAIL_NTH}"))
    }

    fn restore(&self) -> io::Result<()> {
        for (path, before) in self.before.iter().rev() {
            fs::write(path, before)?;
        }
        Ok(())
    }
}

/// The files of the slab caches whose allocations fail: all but those of kmemleak, which makes an
/// object of its own for each allocation, and does without it after a fault. No two caches are merged
/// in the kernel (`failslab_store()` in mm/slub.c takes no other), as with `--config debug`.
fn caches() -> Result<Vec<PathBuf>> {
    let context = || format!("cannot list {SLAB}");
    let mut files = Vec::new();
    for entry in fs::read_dir(SLAB).with_context(context)? {
        let entry = entry.with_context(context)?;
        let is_link = entry.file_type().with_context(context)?.is_symlink();
        let name = entry.file_name();
        if !is_link && !name.as_encoded_bytes().starts_with(b"kmemleak_") {
            files.push(entry.path().join("failslab"));
        }
    }
    Ok(files)
}

impl Drop for Faults {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            eprintln!("mn-selftest: cannot restore the settings of the fault injection: {error}");
        }
    }
}
