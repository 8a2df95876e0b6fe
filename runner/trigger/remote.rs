// SPDX-License-Identifier: GPL-2.0

//! The operations on the memory of a subject that another process carries out.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

use nix::libc;
use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::mman::MmapAdvise;
use nix::unistd::{Pid, syncfs};

use crate::os::cgroup;
use crate::os::sys;
use crate::os::sys::Area;
use crate::trigger::operation::Operation;
use crate::trigger::pages;
use crate::trigger::place::PAGES;

/// Number of times that pages are taken at most. The first time, a page that was used is only noted.
const RECLAIMS: usize = 20;

/// Folder of the module of `tests/dirty` in debugfs.
pub const DIRTY: &str = "/sys/kernel/debug/mn_dirty";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A write through `/proc/PID/mem` to a page that the subject shares with its child.
    Write,
    /// `process_madvise(MADV_PAGEOUT)` of a memfd that the subject has mapped shared.
    Pageout,
    /// `ftruncate` of it, to nothing.
    Truncate,
    /// `4` is written to `/proc/PID/clear_refs`.
    ClearRefs,
    /// `madvise(MADV_COLLAPSE)` of a memfd that both have mapped shared.
    Collapse,
    /// A transparent huge page is split through debugfs.
    Split,
    /// `syncfs` of the file system whose file the subject has mapped shared.
    Sync,
    /// Its pages are taken from its memory cgroup (`memory.reclaim`).
    Reclaim,
    /// A driver write-protects some pages of a memfd in all of its mappings
    /// (`wp_shared_mapping_range()`).
    ProtectFile,
    /// The same for all of its pages, where a private mapping of the file was there first.
    ProtectFileBesides,
    /// A driver takes note of the dirty pages of a memfd and makes them clean
    /// (`clean_record_shared_mapping_range()`).
    CleanFile,
}

impl Remote {
    const ALL: [Remote; 11] = [
        Remote::Write,
        Remote::Pageout,
        Remote::Truncate,
        Remote::ClearRefs,
        Remote::Collapse,
        Remote::Split,
        Remote::Sync,
        Remote::Reclaim,
        Remote::ProtectFile,
        Remote::ProtectFileBesides,
        Remote::CleanFile,
    ];

    /// The operation for which the subject prepares its memory.
    pub const fn operation(self) -> Operation {
        match self {
            Remote::Write => Operation::CopyOnWrite,
            Remote::Pageout => Operation::Pageout,
            Remote::Truncate => Operation::Truncate,
            Remote::Collapse | Remote::Sync | Remote::ProtectFile | Remote::CleanFile => {
                Operation::HoldFile
            }
            Remote::ProtectFileBesides => Operation::HoldFileTwice,
            Remote::ClearRefs | Remote::Split | Remote::Reclaim => Operation::Hold,
        }
    }

    /// Carries it out on these addresses of that process.
    ///
    /// # Errors
    ///
    /// Those of the system call, and of opening a file in `/proc` or debugfs.
    pub fn perform(self, pid: Pid, (start, end): (u64, u64)) -> io::Result<()> {
        match self {
            Remote::Write => {
                let memory = OpenOptions::new()
                    .write(true)
                    .open(format!("/proc/{pid}/mem"))?;
                memory.write_all_at(b"x", start)
            }
            Remote::Pageout => {
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
            Remote::Truncate => file_at(pid, (start, end))?.set_len(0),
            Remote::Collapse => {
                let file = file_at(pid, (start, end))?.into();
                Ok(Area::map_tables(1, Some(&file))?.collapse()?)
            }
            Remote::Sync => Ok(syncfs(file_at(pid, (start, end))?)?),
            Remote::Reclaim => reclaim(pid, (start, end)),
            Remote::ProtectFile => track(
                &file_at(pid, (start, end))?,
                "protect",
                PAGES / 4,
                PAGES / 2,
            ),
            Remote::ProtectFileBesides => track(&file_at(pid, (start, end))?, "protect", 0, PAGES),
            Remote::CleanFile => track(&file_at(pid, (start, end))?, "clean", 0, PAGES),
            Remote::ClearRefs => fs::write(format!("/proc/{pid}/clear_refs"), "4"),
            Remote::Split => fs::write(
                "/sys/kernel/debug/split_huge_pages",
                format!("{pid},{start:#x},{end:#x}"),
            ),
        }
    }
}

/// Takes pages from the cgroup of a process until it has none in the range. How many others are taken
/// before is the kernel's choice.
fn reclaim(pid: Pid, range: (u64, u64)) -> io::Result<()> {
    for _ in 0..RECLAIMS {
        match cgroup::reclaim(pid, range.1 - range.0) {
            Err(error) if error.raw_os_error() != Some(libc::EAGAIN) => return Err(error),
            _ => {}
        }
        if pages::resident(pid, range).map_err(io::Error::other)? == 0 {
            return Ok(());
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

/// Lets the module of `tests/dirty` do that to pages of a file.
fn track(file: &File, how: &str, first: usize, count: usize) -> io::Result<()> {
    let line = format!("{} {first} {count}", file.as_raw_fd());
    fs::write(Path::new(DIRTY).join(how), line)
}

/// The file that a process has mapped at these addresses.
///
/// # Errors
///
/// Those of opening a file in `/proc/PID/map_files`.
pub fn file_at(pid: Pid, (start, end): (u64, u64)) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/map_files/{start:x}-{end:x}"))
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Remote {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Remote::ALL
            .into_iter()
            .find(|remote| remote.to_string() == name)
            .ok_or_else(|| format!("unknown operation {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for remote in Remote::ALL {
            assert_eq!(remote.to_string().parse(), Ok(remote));
        }
        assert!("write".parse::<Remote>().is_err());
    }
}
