// SPDX-License-Identifier: GPL-2.0

//! All `unsafe` of the runner: memory that a scenario works on, and system calls that have no
//! safe wrapper.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{self, MRemapFlags, MapFlags, MmapAdvise, ProtFlags};
use nix::unistd::{ForkResult, Pid};

/// Bytes in a page. The scenarios count in pages, and x86-64 has this size only.
pub const PAGE: usize = 4096;

/// Pages before and behind what a scenario maps: it merges with no neighbour, and a whole 2 MiB
/// block with its page table never lies in it (splitting a VMA around one makes a call more).
const GUARD: usize = 64;

/// Memory of this process that a scenario may unmap, move and protect as it likes: nothing of
/// Rust's ever stands in it.
///
/// It lies in a reservation without access, and is given back with the process.
#[derive(Debug)]
pub struct Area {
    start: NonNull<c_void>,
    pages: usize,
}

/// Makes the length of `pages` pages.
fn bytes(pages: usize) -> Result<NonZeroUsize, Errno> {
    pages
        .checked_mul(PAGE)
        .and_then(NonZeroUsize::new)
        .ok_or(Errno::EINVAL)
}

impl Area {
    /// Maps `pages` pages: private and anonymous, or those of `file`, shared. They can be read
    /// and written, and none is populated.
    pub fn map(pages: usize, file: Option<&OwnedFd>) -> Result<Self, Errno> {
        const ALIGNMENT: usize = 2 << 20;
        let room = ALIGNMENT + (pages + 2 * GUARD) * PAGE;
        let reserve = NonZeroUsize::new(room).ok_or(Errno::EINVAL)?;
        // SAFETY: The kernel chooses the place of a new mapping, so it overlaps none.
        let reservation = unsafe {
            mman::mmap_anonymous(
                None,
                reserve,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }?;
        let aligned = (reservation.as_ptr() as usize).next_multiple_of(ALIGNMENT) + GUARD * PAGE;
        let start = NonZeroUsize::new(aligned).ok_or(Errno::EINVAL)?;
        let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = bytes(pages)?;
        // SAFETY: The pages replace some of the reservation above, which nobody else knows.
        let start = unsafe {
            match file {
                None => mman::mmap_anonymous(
                    Some(start),
                    length,
                    rw,
                    MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED,
                ),
                Some(file) => mman::mmap(
                    Some(start),
                    length,
                    rw,
                    MapFlags::MAP_SHARED | MapFlags::MAP_FIXED,
                    file,
                    0,
                ),
            }
        }?;
        Ok(Area { start, pages })
    }

    /// First address, and first address behind.
    pub fn range(&self) -> (u64, u64) {
        let start = self.start.as_ptr() as u64;
        (start, start + (self.pages * PAGE) as u64)
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The address of page `first`, where `count` pages from there lie in the area.
    fn at(&self, first: usize, count: usize) -> Result<NonNull<c_void>, Errno> {
        let end = first.checked_add(count).ok_or(Errno::EINVAL)?;
        if end > self.pages {
            return Err(Errno::EINVAL);
        }
        // SAFETY: The offset stays inside the area, as checked above.
        Ok(unsafe { self.start.byte_add(first * PAGE) })
    }

    /// Writes one byte to each of `count` pages from page `first`. Takes `EFAULT` for a page that
    /// cannot be written: the caller knows what it has mapped where.
    pub fn touch(&self, first: usize, count: usize) -> Result<(), Errno> {
        for page in first..first.saturating_add(count) {
            let address = self.at(page, 1)?;
            // A write(2) into the page rather than a store: a page that is gone is an error then,
            // and no crash.
            poke(address)?;
        }
        Ok(())
    }

    /// `munmap(2)` of `count` pages from page `first`.
    pub fn unmap(&self, first: usize, count: usize) -> Result<(), Errno> {
        // SAFETY: The pages lie in the area, of which nothing of Rust's is a part.
        unsafe { mman::munmap(self.at(first, count)?, bytes(count)?.get()) }
    }

    /// `madvise(2)` on the whole area.
    pub fn advise(&self, advice: MmapAdvise) -> Result<(), Errno> {
        let start = self.at(0, self.pages)?;
        // SAFETY: The pages lie in the area, of which nothing of Rust's is a part.
        unsafe { mman::madvise(start, bytes(self.pages)?.get(), advice) }
    }

    /// `mprotect(2)` of `count` pages from page `first`, to read-only or to what they had.
    pub fn protect(&self, first: usize, count: usize, read_only: bool) -> Result<(), Errno> {
        let start = self.at(first, count)?;
        let protection = if read_only {
            ProtFlags::PROT_READ
        } else {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        };
        // SAFETY: The pages lie in the area, of which nothing of Rust's is a part.
        unsafe { mman::mprotect(start, bytes(count)?.get(), protection) }
    }

    /// `mremap(2)` of the whole area over `other`, which has the same size.
    pub fn move_over(&self, other: &Area) -> Result<(), Errno> {
        if self.pages != other.pages {
            return Err(Errno::EINVAL);
        }
        let length = bytes(self.pages)?.get();
        // SAFETY: Both lie in areas, of which nothing of Rust's is a part.
        unsafe {
            mman::mremap(
                self.at(0, self.pages)?,
                length,
                length,
                MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED,
                Some(other.start),
            )
        }?;
        Ok(())
    }
}

/// Writes one byte to `address`, as a fault that comes from the kernel: `EFAULT` where it cannot.
fn poke(address: NonNull<c_void>) -> Result<(), Errno> {
    // SAFETY: `getrandom(2)` checks the address and fails where it cannot be written. Only
    // addresses inside an `Area` come here.
    let result = unsafe { libc::getrandom(address.as_ptr(), 1, 0) };
    Errno::result(result).map(drop)
}

/// Forks this process, which must have one thread. The child does nothing but wait until its
/// parent dies or ends it.
pub fn fork_sleeper() -> Result<Pid, Errno> {
    // SAFETY: The child calls async-signal-safe functions only, and never returns.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // SAFETY: These are plain system calls. If the parent is gone already, its end was
            // before the request and nobody would end this process: hence the second check.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != 1 {
                    loop {
                        libc::pause();
                    }
                }
                libc::_exit(0)
            }
        }
    }
}

/// Turns the result of a raw system call into a result.
fn syscall_result(result: libc::c_long) -> Result<libc::c_long, Errno> {
    Errno::result(result)
}

/// `pidfd_open(2)`.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: The call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = syscall_result(fd)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `process_mrelease(2)`: reaps the memory of a process that is dying, as the OOM reaper does.
pub fn process_mrelease(pidfd: impl AsFd) -> Result<(), Errno> {
    // SAFETY: The call takes two numbers, and the descriptor is open.
    let result = unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd.as_fd().as_raw_fd(), 0) };
    syscall_result(result).map(drop)
}
