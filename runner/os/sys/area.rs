// SPDX-License-Identifier: GPL-2.0

//! Memory that a scenario works on.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{self, MapFlags, MmapAdvise, ProtFlags};

use crate::os::sys::{GIGABYTE, HUGE, PAGE};

/// Pages before and after the mapping of a scenario, so that it merges with no neighbour and never
/// contains a whole 2 MiB block with its page table: splitting a VMA around one makes a further
/// notifier call.
const GUARD: usize = 64;

/// Alignment of an area's reservation, before [`GUARD`] is added.
const ALIGNMENT: usize = 2 << 20;

/// Memory of this process that a scenario may unmap, move and protect: no Rust object ever lies in
/// it.
///
/// It lies in a reservation without access, unless it is at address 0, and is unmapped only when the
/// process ends.
#[derive(Debug)]
pub struct Area {
    /// Not a pointer: it may be 0.
    start: usize,
    pages: usize,
    /// Bytes before it in its file.
    offset: usize,
}

/// Length of `pages` pages in bytes.
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
        Self::map_in(Self::reservation(pages)?, pages, file)
    }

    /// Maps as [`Area::map`] does, far below all other memory, for a process with several threads.
    /// The kernel searches for the place of a new mapping from the top (`vm_unmapped_area()`), or
    /// from a base further above, so no other thread's mapping is placed where pages of this area
    /// were unmapped.
    pub fn map_apart(pages: usize, file: Option<&OwnedFd>) -> Result<Self, Errno> {
        Self::map_in(Self::reservation_apart(Self::reserve(pages)?)?, pages, file)
    }

    /// Maps `pages` pages as [`Area::map_apart`] does, one half before and one half behind a multiple of
    /// `boundary`, which is [`GIGABYTE`] at most. No other page is mapped in the gigabyte on either side.
    pub fn map_across(pages: usize, boundary: usize) -> Result<Self, Errno> {
        let reserved = NonZeroUsize::new(2 * GIGABYTE).ok_or(Errno::EINVAL)?;
        let reservation = Self::reservation_apart(reserved)?;
        let middle = reservation.as_ptr() as usize + GIGABYTE;
        // One that is not also a boundary of two gigabytes.
        let at = if boundary == GIGABYTE {
            middle
        } else {
            middle + boundary
        };
        Self::map_from(at - pages / 2 * PAGE, pages, None)
    }

    /// Reserves so many bytes, far below all other memory, from a multiple of [`GIGABYTE`] on.
    fn reservation_apart(length: NonZeroUsize) -> Result<NonNull<c_void>, Errno> {
        static NEXT: AtomicUsize = AtomicUsize::new(0x1000_0000_0000);
        let step = length.get().next_multiple_of(GIGABYTE);
        loop {
            let place = NonZeroUsize::new(NEXT.fetch_add(step, Ordering::Relaxed));
            // SAFETY: The kernel replaces no mapping, because of MAP_FIXED_NOREPLACE.
            let reservation = unsafe {
                mman::mmap_anonymous(
                    place,
                    length,
                    ProtFlags::PROT_NONE,
                    MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED_NOREPLACE,
                )
            };
            match reservation {
                Err(Errno::EEXIST) => {}
                reservation => return reservation,
            }
        }
    }

    /// Maps `pages` pages at address 0, as [`Area::map`] does. Fails with `EPERM` for a process
    /// without `CAP_SYS_RAWIO` where `vm.mmap_min_addr` is not 0.
    pub fn map_at_zero(pages: usize) -> Result<Self, Errno> {
        // SAFETY: The kernel replaces no mapping, because of MAP_FIXED_NOREPLACE.
        unsafe { map_private(std::ptr::null_mut(), pages, libc::MAP_FIXED_NOREPLACE) }?;
        Ok(Area {
            start: 0,
            pages,
            offset: 0,
        })
    }

    /// Maps so many whole page tables, each of [`HUGE`] pages, as [`Area::map`] does.
    pub fn map_tables(tables: usize, file: Option<&OwnedFd>) -> Result<Self, Errno> {
        let pages = tables.checked_mul(HUGE).ok_or(Errno::EINVAL)?;
        // From the first boundary on: a reservation has room for one, and pages behind the area.
        let start =
            (Self::reservation(pages)?.as_ptr() as usize + PAGE).next_multiple_of(ALIGNMENT);
        Self::map_from(start, pages, file)
    }

    /// Maps one huge page of hugetlbfs, of [`HUGE`] pages, with no reservation around it: private and
    /// anonymous, or that of `file`, shared. Fails with `ENOMEM` if no huge page is free.
    pub fn map_huge(file: Option<&OwnedFd>) -> Result<Self, Errno> {
        let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = bytes(HUGE)?;
        // SAFETY: The kernel chooses the place of a new mapping, so it overlaps none.
        let start = unsafe {
            match file {
                None => mman::mmap_anonymous(
                    None,
                    length,
                    rw,
                    MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB,
                ),
                Some(file) => mman::mmap(None, length, rw, MapFlags::MAP_SHARED, file, 0),
            }
        }?;
        Ok(Area {
            start: start.as_ptr() as usize,
            pages: HUGE,
            offset: 0,
        })
    }

    /// Maps a whole gigabyte of `file`, shared and aligned. The area is the one huge page in its
    /// middle.
    pub fn map_in_gigabyte(file: &OwnedFd) -> Result<Self, Errno> {
        let reserved = Self::reservation(2 * GIGABYTE / PAGE)?;
        let start = (reserved.as_ptr() as usize).next_multiple_of(GIGABYTE);
        // SAFETY: The pages replace some of the reservation, whose address is known only here.
        unsafe {
            mman::mmap(
                NonZeroUsize::new(start),
                NonZeroUsize::new(GIGABYTE).ok_or(Errno::EINVAL)?,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE,
                file,
                0,
            )
        }?;
        let offset = GIGABYTE / 2;
        Ok(Area {
            start: start + offset,
            pages: HUGE,
            offset,
        })
    }

    /// Maps `pages` pages of `file`, private, which can be read and executed.
    pub fn map_text(pages: usize, file: &OwnedFd) -> Result<Self, Errno> {
        let text = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
        let area = Self::map(pages, None)?;
        // SAFETY: The pages replace the area's, which contains no Rust object.
        unsafe {
            mman::mmap(
                NonZeroUsize::new(area.start),
                bytes(pages)?,
                text,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED,
                file,
                0,
            )
        }?;
        Ok(area)
    }

    /// Reserves addresses for `pages` pages.
    fn reservation(pages: usize) -> Result<NonNull<c_void>, Errno> {
        // SAFETY: The kernel chooses the place of a new mapping, so it overlaps none.
        unsafe {
            mman::mmap_anonymous(
                None,
                Self::reserve(pages)?,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }
    }

    /// Bytes of the reservation for `pages` pages.
    fn reserve(pages: usize) -> Result<NonZeroUsize, Errno> {
        bytes(ALIGNMENT / PAGE + pages.checked_add(2 * GUARD).ok_or(Errno::EINVAL)?)
    }

    /// Maps `pages` pages inside a reservation of that many.
    fn map_in(
        reservation: NonNull<c_void>,
        pages: usize,
        file: Option<&OwnedFd>,
    ) -> Result<Self, Errno> {
        let aligned = (reservation.as_ptr() as usize).next_multiple_of(ALIGNMENT) + GUARD * PAGE;
        Self::map_from(aligned, pages, file)
    }

    /// Maps `pages` pages from that address, which must lie in a reservation.
    fn map_from(start: usize, pages: usize, file: Option<&OwnedFd>) -> Result<Self, Errno> {
        let start = NonZeroUsize::new(start).ok_or(Errno::EINVAL)?;
        let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = bytes(pages)?;
        // SAFETY: The pages replace some of the reservation, whose address is known only here.
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
        Ok(Area {
            start: start.as_ptr() as usize,
            pages,
            offset: 0,
        })
    }

    /// First address, and first address after it.
    pub fn range(&self) -> (u64, u64) {
        let start = self.start as u64;
        (start, start + (self.pages * PAGE) as u64)
    }

    /// Bytes before it in its file.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Its number of pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The address of page `first`. Fails with `EINVAL` unless `count` pages from there lie in the
    /// area.
    fn at(&self, first: usize, count: usize) -> Result<*mut c_void, Errno> {
        let end = first.checked_add(count).ok_or(Errno::EINVAL)?;
        if end > self.pages {
            return Err(Errno::EINVAL);
        }
        Ok(std::ptr::with_exposed_provenance_mut(
            self.start + first * PAGE,
        ))
    }

    /// Writes one byte to each of `count` pages from page `first`. Fails with `EFAULT` at a page
    /// that cannot be written.
    pub fn touch(&self, first: usize, count: usize) -> Result<(), Errno> {
        for page in first..first.saturating_add(count) {
            let address = self.at(page, 1)?;
            // A system call writes into the page, rather than a store: an unmapped page is then an
            // error, and not a SIGSEGV.
            poke(address)?;
        }
        Ok(())
    }

    /// Fills every page with its byte, which is [`pattern`].
    pub fn fill(&self) -> Result<(), Errno> {
        self.fill_first(self.pages)
    }

    /// The same for the first `count` pages.
    pub fn fill_first(&self, count: usize) -> Result<(), Errno> {
        let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC)?;
        (0..count).try_for_each(|page| self.put_from(&file, page, &[pattern(page); PAGE]))
    }

    /// Writes some bytes to the beginning of a page.
    pub fn put(&self, page: usize, bytes: &[u8]) -> Result<(), Errno> {
        let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC)?;
        self.put_from(&file, page, bytes)
    }

    /// The same by way of a file, from which the kernel copies them: a page that cannot be written
    /// is an error.
    fn put_from(&self, file: &OwnedFd, page: usize, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() > PAGE {
            return Err(Errno::EINVAL);
        }
        if nix::sys::uio::pwrite(file, bytes, 0)? != bytes.len() {
            return Err(Errno::EIO);
        }
        let address = self.at(page, 1)?;
        // SAFETY: `pread(2)` checks the addresses. They lie in the area, which contains no Rust
        // object.
        let read = unsafe { libc::pread(file.as_raw_fd(), address, bytes.len(), 0) };
        if usize::try_from(Errno::result(read)?) == Ok(bytes.len()) {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }

    /// `munmap(2)` of `count` pages from page `first`.
    pub fn unmap(&self, first: usize, count: usize) -> Result<(), Errno> {
        // SAFETY: The pages lie in the area, which contains no Rust object.
        let result = unsafe { libc::munmap(self.at(first, count)?, bytes(count)?.get()) };
        Errno::result(result).map(drop)
    }

    /// `munmap(2)` of `count` pages from page `first`, and new pages in their place, for a process
    /// with several threads. Fails with `EEXIST` if another thread's mapping was placed there
    /// meanwhile; the area is then empty, so that it never touches that mapping.
    pub fn renew(&mut self, first: usize, count: usize) -> Result<(), Errno> {
        self.unmap(first, count)?;
        self.refill(first, count)
    }

    /// [`Area::move_over`], and new pages in the place of those that were moved. Fails like
    /// [`Area::renew`].
    pub fn move_and_renew(&mut self, other: &Area) -> Result<(), Errno> {
        self.move_over(other)?;
        self.refill(0, self.pages)
    }

    /// Maps pages that were unmapped or moved.
    fn refill(&mut self, first: usize, count: usize) -> Result<(), Errno> {
        let start = NonZeroUsize::new(self.at(first, count)? as usize);
        // SAFETY: The kernel replaces no mapping, because of MAP_FIXED_NOREPLACE.
        let mapped = unsafe {
            mman::mmap_anonymous(
                start,
                bytes(count)?,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE,
            )
        };
        if mapped.is_err() {
            self.pages = 0;
        }
        mapped.map(drop)
    }

    /// `madvise(2)` on the whole area.
    pub fn advise(&self, advice: MmapAdvise) -> Result<(), Errno> {
        self.madvise(0, self.pages, advice as i32)
    }

    /// `madvise(2)` of `count` pages from page `first`.
    fn madvise(&self, first: usize, count: usize, advice: i32) -> Result<(), Errno> {
        let start = self.at(first, count)?;
        // SAFETY: The pages lie in the area, which contains no Rust object.
        let result = unsafe { libc::madvise(start, bytes(count)?.get(), advice) };
        Errno::result(result).map(drop)
    }

    /// `madvise(2)` on the whole area with `MADV_COLLAPSE`, which nix does not have.
    pub fn collapse(&self) -> Result<(), Errno> {
        self.madvise(0, self.pages, libc::MADV_COLLAPSE)
    }

    /// `madvise(2)` on the first page.
    pub fn advise_first(&self, advice: MmapAdvise) -> Result<(), Errno> {
        self.madvise(0, 1, advice as i32)
    }

    /// `msync(2)` of the whole area with `MS_SYNC`.
    pub fn sync(&self) -> Result<(), Errno> {
        let start = self.at(0, self.pages)?;
        // SAFETY: The pages lie in the area. Their contents stay.
        let result = unsafe { libc::msync(start, bytes(self.pages)?.get(), libc::MS_SYNC) };
        Errno::result(result).map(drop)
    }

    /// `madvise(2)` on the whole area with `MADV_GUARD_INSTALL`, which nix does not have.
    pub fn guard(&self) -> Result<(), Errno> {
        // Of include/uapi/asm-generic/mman-common.h; libc has it for other targets only.
        const MADV_GUARD_INSTALL: i32 = 102;
        self.madvise(0, self.pages, MADV_GUARD_INSTALL)
    }

    /// Reads a byte of each page. What was not written to before is a page of zeroes then.
    pub fn peek(&self) -> Result<(), Errno> {
        let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC)?;
        for page in 0..self.pages {
            // SAFETY: `pwrite(2)` checks the address, and reads one byte.
            let read = unsafe { libc::pwrite(file.as_raw_fd(), self.at(page, 1)?, 1, 0) };
            Errno::result(read)?;
        }
        Ok(())
    }

    /// `madvise(2)` of `count` pages from page `first` with `MADV_DONTDUMP`.
    pub fn dont_dump(&self, first: usize, count: usize) -> Result<(), Errno> {
        self.madvise(first, count, libc::MADV_DONTDUMP)
    }

    /// `mlock(2)` of `count` pages from page `first`.
    pub fn lock(&self, first: usize, count: usize) -> Result<(), Errno> {
        // SAFETY: The pages lie in the area. Their contents stay.
        let result = unsafe { libc::mlock(self.at(first, count)?, bytes(count)?.get()) };
        Errno::result(result).map(drop)
    }

    /// `mmap(2)` of new private pages over the whole area, with `MAP_FIXED`.
    pub fn map_over(&self) -> Result<(), Errno> {
        let start = self.at(0, self.pages)?;
        // SAFETY: The pages replace the area, which contains no Rust object.
        unsafe { map_private(start, self.pages, libc::MAP_FIXED) }
    }

    /// `mremap(2)` of the area to its first `count` pages, in its place.
    pub fn shrink(&self, count: usize) -> Result<(), Errno> {
        let start = self.at(0, count)?;
        // SAFETY: The pages lie in the area, which contains no Rust object.
        let moved =
            unsafe { libc::mremap(start, bytes(self.pages)?.get(), bytes(count)?.get(), 0) };
        Errno::result(moved).map(drop)
    }

    /// `mprotect(2)` of `count` pages from page `first`, to read-only or to read and write.
    pub fn protect(&self, first: usize, count: usize, read_only: bool) -> Result<(), Errno> {
        let start = self.at(first, count)?;
        let protection = if read_only {
            libc::PROT_READ
        } else {
            libc::PROT_READ | libc::PROT_WRITE
        };
        // SAFETY: The pages lie in the area, which contains no Rust object.
        let result = unsafe { libc::mprotect(start, bytes(count)?.get(), protection) };
        Errno::result(result).map(drop)
    }

    /// `mremap(2)` of the whole area over `other`, which has the same size.
    pub fn move_over(&self, other: &Area) -> Result<(), Errno> {
        if self.pages != other.pages {
            return Err(Errno::EINVAL);
        }
        let length = bytes(self.pages)?.get();
        // Not that of nix, which has no address 0.
        let (from, to) = (self.at(0, self.pages)?, other.at(0, other.pages)?);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: Both lie in areas, which contain no Rust object.
        let moved = unsafe { libc::mremap(from, length, length, flags, to) };
        Errno::result(moved).map(drop)
    }
}

/// Maps `pages` private pages at `start`, which may be 0: nix has no such address.
///
/// # Safety
///
/// `flags` must be `MAP_FIXED_NOREPLACE`, or `MAP_FIXED` where the pages that are replaced contain no
/// Rust object.
unsafe fn map_private(start: *mut c_void, pages: usize, flags: i32) -> Result<(), Errno> {
    let length = bytes(pages)?.get();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: The caller promises what is required.
    let mapped = unsafe { libc::mmap(start, length, protection, flags, -1, 0) };
    Errno::result(mapped).map(drop)
}

/// The byte that fills a page of an [`Area`]; never 0.
pub const fn pattern(page: usize) -> u8 {
    0x40 | (page & 0x3f) as u8
}

/// Writes one byte to `address`. The kernel writes it, so the page fault happens in the kernel, and
/// a page that cannot be written is `EFAULT`.
fn poke(address: *mut c_void) -> Result<(), Errno> {
    // SAFETY: `getrandom(2)` checks the address and fails if it cannot be written. Only addresses
    // inside an `Area` are passed.
    let result = unsafe { libc::getrandom(address, 1, 0) };
    Errno::result(result).map(drop)
}
