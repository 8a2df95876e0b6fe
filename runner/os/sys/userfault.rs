// SPDX-License-Identifier: GPL-2.0

//! userfaultfd(2), for the operations that it has on pages: none of its faults is waited for.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::os::sys::calls::descriptor;

// All of include/uapi/linux/userfaultfd.h.
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;
const MODE_WP: u64 = 1 << 1;

/// Features that a kernel has or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `UFFD_FEATURE_PAGEFAULT_FLAG_WP`
    WriteProtect,
    /// `UFFD_FEATURE_WP_ASYNC`: a fault of a page that is write-protected is not waited for.
    WriteProtectAsync,
    /// `UFFD_FEATURE_WP_HUGETLBFS_SHMEM`
    WriteProtectHugetlb,
    /// That and `UFFD_FEATURE_WP_ASYNC`
    WriteProtectAsyncHugetlb,
    /// `UFFD_FEATURE_MOVE`
    Move,
}

impl Feature {
    const fn bits(self) -> u64 {
        match self {
            Feature::WriteProtect => 1,
            Feature::WriteProtectAsync => 1 << 15,
            Feature::WriteProtectHugetlb => 1 << 12,
            Feature::WriteProtectAsyncHugetlb => 1 << 12 | 1 << 15,
            Feature::Move => 1 << 16,
        }
    }
}

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    length: u64,
    mode: u64,
}

#[repr(C)]
struct Move {
    to: u64,
    from: u64,
    length: u64,
    mode: u64,
    moved: i64,
}

nix::ioctl_readwrite!(uffdio_api, 0xaa, 0x3f, Api);
nix::ioctl_readwrite!(uffdio_register, 0xaa, 0x00, Register);
nix::ioctl_readwrite!(uffdio_move, 0xaa, 0x05, Move);
nix::ioctl_readwrite!(uffdio_writeprotect, 0xaa, 0x06, WriteProtect);

/// A userfaultfd of this process.
#[derive(Debug)]
pub struct UserFault(OwnedFd);

impl UserFault {
    /// Opens one with that feature.
    ///
    /// # Errors
    ///
    /// `ENOSYS` from a kernel without userfaultfd, and `EINVAL` from one without the feature.
    pub fn new(feature: Feature) -> Result<Self, Errno> {
        // SAFETY: The call takes a number.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        // SAFETY: The call returns a new descriptor.
        let user_fault = UserFault(unsafe { descriptor(fd) }?);
        let mut api = Api {
            api: UFFD_API,
            features: feature.bits(),
            ioctls: 0,
        };
        // SAFETY: The struct is the one that this call reads and writes.
        unsafe { uffdio_api(user_fault.0.as_raw_fd(), &mut api) }?;
        Ok(user_fault)
    }

    fn register(&self, (start, end): (u64, u64), mode: u64) -> Result<(), Errno> {
        let mut register = Register {
            start,
            length: end.saturating_sub(start),
            mode,
            ioctls: 0,
        };
        // SAFETY: The struct is the one that this call reads and writes.
        unsafe { uffdio_register(self.0.as_raw_fd(), &mut register) }.map(drop)
    }

    /// Makes these addresses some that pages may be moved to.
    pub fn receive(&self, range: (u64, u64)) -> Result<(), Errno> {
        self.register(range, MODE_MISSING)
    }

    /// Makes these addresses some that may be write-protected.
    pub fn watch(&self, range: (u64, u64)) -> Result<(), Errno> {
        self.register(range, MODE_WP)
    }

    /// Write-protects these addresses (`UFFDIO_WRITEPROTECT`).
    pub fn protect(&self, (start, end): (u64, u64)) -> Result<(), Errno> {
        let mut protect = WriteProtect {
            start,
            length: end.saturating_sub(start),
            mode: 1,
        };
        // SAFETY: The struct is the one that this call reads. The pages keep their contents.
        unsafe { uffdio_writeprotect(self.0.as_raw_fd(), &mut protect) }.map(drop)
    }

    /// Moves the pages of `from` to `to`, which has none (`UFFDIO_MOVE`).
    pub fn move_pages(&self, from: &super::Area, to: &super::Area) -> Result<(), Errno> {
        let (start, end) = from.range();
        let mut moved = Move {
            to: to.range().0,
            from: start,
            length: end - start,
            mode: 0,
            moved: 0,
        };
        // SAFETY: The struct is the one that this call reads and writes. The pages lie in areas,
        // which contain no Rust object.
        unsafe { uffdio_move(self.0.as_raw_fd(), &mut moved) }?;
        if u64::try_from(moved.moved) == Ok(moved.length) {
            Ok(())
        } else {
            Err(Errno::EAGAIN)
        }
    }
}
