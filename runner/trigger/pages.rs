// SPDX-License-Identifier: GPL-2.0

//! State of a subject's pages, seen from outside: `/proc/PID/mem` reads what the process itself
//! would read, also while it is held at its exit, and `/proc/PID/smaps` shows what is counted.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context as _, Result};
use nix::libc;
use nix::unistd::Pid;

use crate::model::Pages;
use crate::os::sys::{PAGE, pattern};

/// Classifies the pages from the first address to before the second.
///
/// # Errors
///
/// The files in `/proc` cannot be read.
pub fn look(pid: Pid, (start, end): (u64, u64)) -> Result<Pages> {
    // Counted first: reading a page may map it.
    let mut pages = Pages {
        rss: resident(pid, (start, end))?,
        ..Pages::default()
    };
    let path = format!("/proc/{pid}/mem");
    let memory = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let mut page = vec![0; PAGE];
    for (index, address) in (start..end).step_by(PAGE).enumerate() {
        match memory.read_exact_at(&mut page, address) {
            Ok(()) if page.iter().all(|&byte| byte == pattern(index)) => pages.kept += 1,
            Ok(()) if page.iter().all(|&byte| byte == 0) => pages.zeroed += 1,
            Ok(()) => pages.damaged += 1,
            Err(error) if error.raw_os_error() == Some(libc::EIO) => pages.gone += 1,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {path} at {address:#x}"));
            }
        }
    }
    Ok(pages)
}

/// Number of anonymous pages of a process (`RssAnon`). Takes no lock of the process.
///
/// # Errors
///
/// `/proc/PID/status` cannot be read, or has no `RssAnon`.
pub fn anonymous(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mut lines = text.lines();
    let kib = lines.find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    let kib: u64 = kib
        .and_then(|kib| kib.parse().ok())
        .with_context(|| format!("{path} has no RssAnon"))?;
    Ok(kib * 1024 / PAGE as u64)
}

/// Number of the pages in the range that are write-protected for userfaultfd(2), whether they are there or
/// not.
///
/// # Errors
///
/// `/proc/PID/pagemap` cannot be read.
pub fn protected(pid: Pid, (start, end): (u64, u64)) -> Result<u64> {
    // PM_UFFD_WP of fs/proc/task_mmu.c.
    const PROTECTED: u64 = 1 << 57;
    let path = format!("/proc/{pid}/pagemap");
    let pagemap = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let mut count = 0;
    for address in (start..end).step_by(PAGE) {
        let mut entry = [0; 8];
        pagemap
            .read_exact_at(&mut entry, address / PAGE as u64 * 8)
            .with_context(|| format!("cannot read {path} for {address:#x}"))?;
        count += u64::from(u64::from_ne_bytes(entry) & PROTECTED != 0);
    }
    Ok(count)
}

/// RSS of the mappings that lie in the range, in pages. Takes mmap_lock for reading.
///
/// # Errors
///
/// `/proc/PID/smaps` cannot be read.
pub fn resident(pid: Pid, (start, end): (u64, u64)) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mut is_inside = false;
    let mut kib = 0;
    for line in text.lines() {
        if let Some((first, last)) = range(line) {
            is_inside = start <= first && last <= end;
        } else if is_inside && let Some(rest) = line.strip_prefix("Rss:") {
            let number = rest.trim().trim_end_matches(" kB");
            kib += number
                .parse::<u64>()
                .with_context(|| format!("{line:?} in {path}"))?;
        }
    }
    Ok(kib * 1024 / PAGE as u64)
}

/// The addresses of a mapping, if the line is the first one about a mapping.
fn range(line: &str) -> Option<(u64, u64)> {
    let (first, last) = line.split(' ').next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some((hex(first)?, hex(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sys::Area;
    use nix::sys::mman::MmapAdvise;
    use nix::unistd::getpid;

    fn seen(area: &Area) -> Pages {
        look(getpid(), area.range()).unwrap()
    }

    #[test]
    fn pages_are_kept_until_they_are_given_up() {
        let area = Area::map(4, None).unwrap();
        area.fill().unwrap();
        let whole = Pages {
            kept: 4,
            rss: 4,
            ..Pages::default()
        };
        assert_eq!(seen(&area), whole);
        area.touch(2, 1).unwrap();
        let damaged = seen(&area);
        // One random byte in 256 is the one that was there.
        assert!(
            damaged.kept + damaged.damaged == 4 && damaged.kept >= 3,
            "{damaged:?}"
        );
        area.advise(MmapAdvise::MADV_DONTNEED).unwrap();
        let zeroed = Pages {
            zeroed: 4,
            ..Pages::default()
        };
        assert_eq!(seen(&area), zeroed);
        area.unmap(0, 4).unwrap();
        let gone = Pages {
            gone: 4,
            ..Pages::default()
        };
        assert_eq!(seen(&area), gone);
    }

    #[test]
    fn anonymous_pages_are_counted() {
        let area = Area::map(64, None).unwrap();
        area.fill().unwrap();
        assert!(anonymous(getpid()).unwrap() >= 64);
    }
}
