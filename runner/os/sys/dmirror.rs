// SPDX-License-Identifier: GPL-2.0

//! The driver that mirrors a process (lib/test_hmm.c), which stands for that of a device with memory
//! of its own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use crate::os::sys::{Area, PAGE};

/// Its first device, whose memory the processor cannot address.
pub const DMIRROR: &str = "/dev/hmm_dmirror0";

/// `struct hmm_dmirror_cmd` of lib/test_hmm_uapi.h.
#[repr(C)]
struct Command {
    address: u64,
    data: u64,
    pages: u64,
    pages_copied: u64,
    faults: u64,
}

nix::ioctl_readwrite!(migrate_to_device, b'H', 0x02, Command);
nix::ioctl_readwrite!(take, b'H', 0x05, Command);

/// A mirror of this process.
#[derive(Debug)]
pub struct Dmirror(File);

impl Dmirror {
    /// Opens one, which registers an interval notifier of the driver's for this process.
    ///
    /// # Errors
    ///
    /// `ENOENT` from a kernel without the driver.
    pub fn open() -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(DMIRROR);
        file.map(Dmirror)
    }

    /// Moves all pages of an area to the device (`migrate_vma_setup()`). Those that are not there yet
    /// are made on it.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if pages are left behind.
    pub fn migrate(&self, area: &Area) -> Result<(), Errno> {
        // SAFETY: As `Command::run()` demands, the call takes a `Command`. The pages lie in the area,
        // and keep their contents.
        Command::run(area, |command| unsafe {
            migrate_to_device(self.0.as_raw_fd(), command)
        })
    }

    /// Makes all pages of an area the device's alone (`make_device_exclusive()`).
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there are others.
    pub fn take(&self, area: &Area) -> Result<(), Errno> {
        // SAFETY: As `Command::run()` demands, the call takes a `Command`. The pages lie in the area,
        // and keep their contents.
        Command::run(area, |command| unsafe { take(self.0.as_raw_fd(), command) })
    }
}

impl Command {
    /// Makes a call for all pages of an area. It reads and writes a command, and writes to its `data`
    /// what the device finds in the pages.
    fn run(
        area: &Area,
        call: impl FnOnce(&mut Command) -> Result<i32, Errno>,
    ) -> Result<(), Errno> {
        let mut data = vec![0u8; area.pages() * PAGE];
        let mut command = Command {
            address: area.range().0,
            data: data.as_mut_ptr().expose_provenance() as u64,
            pages: area.pages() as u64,
            pages_copied: 0,
            faults: 0,
        };
        call(&mut command)?;
        if command.pages_copied == command.pages {
            Ok(())
        } else {
            Err(Errno::EAGAIN)
        }
    }
}
