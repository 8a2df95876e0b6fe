// SPDX-License-Identifier: GPL-2.0

//! The operations on the memory of a subject that another process carries out.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;

use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::mman::MmapAdvise;
use nix::unistd::Pid;

use crate::os::sys;
use crate::trigger::operation::Operation;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A write through `/proc/PID/mem` to a page that the subject shares with its child.
    Write,
    /// `process_madvise(MADV_PAGEOUT)` of a memfd that the subject has mapped shared.
    Pageout,
    /// `ftruncate` of it, to nothing.
    Truncate,
    /// `4` is written to `/proc/PID/clear_refs`.
    ClearRefs,
    /// A transparent huge page is split through debugfs.
    Split,
}

impl Deed {
    const ALL: [Deed; 5] = [
        Deed::Write,
        Deed::Pageout,
        Deed::Truncate,
        Deed::ClearRefs,
        Deed::Split,
    ];

    /// The operation for which the subject prepares its memory.
    pub const fn operation(self) -> Operation {
        match self {
            Deed::Write => Operation::CopyOnWrite,
            Deed::Pageout => Operation::Pageout,
            Deed::Truncate => Operation::Truncate,
            Deed::ClearRefs | Deed::Split => Operation::Hold,
        }
    }

    /// Carries it out on these addresses of that process.
    ///
    /// # Errors
    ///
    /// Those of the system call, and of opening a file in `/proc` or debugfs.
    pub fn perform(self, pid: Pid, (start, end): (u64, u64)) -> io::Result<()> {
        match self {
            Deed::Write => {
                let memory = OpenOptions::new()
                    .write(true)
                    .open(format!("/proc/{pid}/mem"))?;
                memory.write_all_at(b"x", start)
            }
            Deed::Pageout => {
                // Pages that were touched on a processor may still be in its batch for the LRU
                // lists, which only a caller on that processor drains.
                sched_setaffinity(Pid::from_raw(0), &sched_getaffinity(pid)?)?;
                let pidfd = sys::pidfd_open(pid)?;
                Ok(sys::process_madvise(
                    &pidfd,
                    (start, end),
                    MmapAdvise::MADV_PAGEOUT,
                )?)
            }
            Deed::Truncate => {
                let file = format!("/proc/{pid}/map_files/{start:x}-{end:x}");
                let file: File = OpenOptions::new().write(true).open(file)?;
                file.set_len(0)
            }
            Deed::ClearRefs => fs::write(format!("/proc/{pid}/clear_refs"), "4"),
            Deed::Split => fs::write(
                "/sys/kernel/debug/split_huge_pages",
                format!("{pid},{start:#x},{end:#x}"),
            ),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Deed {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Deed::ALL
            .into_iter()
            .find(|deed| deed.to_string() == name)
            .ok_or_else(|| format!("unknown deed {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_is_found_by_its_name() {
        for deed in Deed::ALL {
            assert_eq!(deed.to_string().parse(), Ok(deed));
        }
        assert!("write".parse::<Deed>().is_err());
    }
}
