// SPDX-License-Identifier: GPL-2.0

//! System calls that have no safe wrapper.

use std::ffi::{CStr, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::MmapAdvise;
use nix::unistd::Pid;

use crate::os::sys::PAGE;

/// Turns the return value of a raw system call into a result.
fn syscall_result(result: libc::c_long) -> Result<libc::c_long, Errno> {
    Errno::result(result)
}

/// The descriptor that a raw system call has returned.
///
/// # Safety
///
/// The call must be one that returns a new descriptor, and nothing else may own that.
pub(super) unsafe fn descriptor(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(syscall_result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: The caller promises what is required.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Clears the kernel's log for later reads (`dmesg -C`).
pub fn clear_log() -> Result<(), Errno> {
    // SYSLOG_ACTION_CLEAR of include/linux/syslog.h.
    const CLEAR: libc::c_int = 5;
    // SAFETY: This action takes no buffer.
    let result = unsafe { libc::klogctl(CLEAR, std::ptr::null_mut(), 0) };
    Errno::result(result).map(drop)
}

/// `pidfd_open(2)`.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: The call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    // SAFETY: The call returns a new descriptor.
    unsafe { descriptor(fd) }
}

/// `setpriority(2)`: gives a process the smallest share of the processor (nice 19).
pub fn be_nice(pid: Pid) -> Result<(), Errno> {
    let who = libc::id_t::try_from(pid.as_raw()).map_err(|_| Errno::ESRCH)?;
    // SAFETY: The call takes three numbers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, who, 19) };
    Errno::result(result).map(drop)
}

/// `process_mrelease(2)`: reaps the memory of a dying process, as the OOM reaper does.
pub fn process_mrelease(pidfd: impl AsFd) -> Result<(), Errno> {
    // SAFETY: The call takes two numbers, and the descriptor is open.
    let result = unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd.as_fd().as_raw_fd(), 0) };
    syscall_result(result).map(drop)
}

/// `swapon(2)`: uses a device for swap space.
pub fn swapon(device: &CStr) -> Result<(), Errno> {
    // SAFETY: The kernel reads the string, which ends with a zero.
    let result = unsafe { libc::swapon(device.as_ptr(), 0) };
    Errno::result(result).map(drop)
}

/// Moves the pages of this process that lie at these addresses to the other one of the NUMA nodes 0
/// and 1 (`move_pages(2)`). Fails with `EAGAIN` if one is left behind, and with `ENOENT` if there is
/// none at an address.
pub fn move_pages((start, end): (u64, u64)) -> Result<(), Errno> {
    // Of include/uapi/linux/mempolicy.h.
    const MPOL_MF_MOVE: libc::c_int = 1 << 1;
    let address = |address| usize::try_from(address).map_err(|_| Errno::EINVAL);
    let pages = (address(start)?..address(end)?).step_by(PAGE);
    let pages: Vec<*mut c_void> = pages.map(std::ptr::without_provenance_mut).collect();
    let call = |nodes: Option<&[libc::c_int]>| -> Result<Vec<libc::c_int>, Errno> {
        let mut status = vec![libc::c_int::MIN; pages.len()];
        let nodes = nodes.map_or(std::ptr::null(), <[_]>::as_ptr);
        // SAFETY: The kernel reads as many addresses and nodes, and writes as many numbers, as there
        // are pages. It only looks the addresses up.
        let left = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                pages.len(),
                pages.as_ptr(),
                nodes,
                status.as_mut_ptr(),
                MPOL_MF_MOVE,
            )
        };
        match syscall_result(left)? {
            0 => Ok(status),
            _ => Err(Errno::EAGAIN),
        }
    };
    let other = |&node: &libc::c_int| match node {
        0 => Ok(1),
        1 => Ok(0),
        _ => Err(Errno::ENOENT),
    };
    let others: Result<Vec<_>, _> = call(None)?.iter().map(other).collect();
    let others = others?;
    if call(Some(&others))? == others {
        Ok(())
    } else {
        Err(Errno::EAGAIN)
    }
}

/// `process_madvise(2)` on these addresses of another process, which the kernel only looks up.
pub fn process_madvise(
    pidfd: impl AsFd,
    (start, end): (u64, u64),
    advice: MmapAdvise,
) -> Result<(), Errno> {
    let address = |address| usize::try_from(address).map_err(|_| Errno::EINVAL);
    let start = address(start)?;
    let range = libc::iovec {
        iov_base: std::ptr::without_provenance_mut::<c_void>(start),
        iov_len: address(end)?.checked_sub(start).ok_or(Errno::EINVAL)?,
    };
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: The kernel reads one `struct iovec`, which lives longer than the call. Its addresses
    // are those of another process: advice that destroys is refused for any but the caller's own
    // (`process_madvise_remote_valid()`), and the descriptor is open.
    let result =
        unsafe { libc::syscall(libc::SYS_process_madvise, fd, &range, 1, advice as i32, 0) };
    syscall_result(result).map(drop)
}

/// `struct pm_scan_arg` of include/uapi/linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct PmScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// A `struct page_region` of include/uapi/linux/fs.h: start, end, and categories.
const REGION: [u64; 3] = [0; 3];

nix::ioctl_readwrite!(pagemap_scan, b'f', 16, PmScanArg);

/// Of include/uapi/linux/fs.h.
const PM_SCAN_WP_MATCHING: u64 = 1;

/// Write-protects those of the pages that were written to (`PAGEMAP_SCAN` of ioctl_pagemap_scan(2)).
/// `pagemap` is a file of that name in `/proc`, and `regions` is the number of regions of such pages
/// that are there: 0 if they are not asked for. Fails with `EAGAIN` if there is another number of them.
pub fn scan_pagemap(
    pagemap: impl AsFd,
    (start, end): (u64, u64),
    regions: usize,
) -> Result<(), Errno> {
    // Of include/uapi/linux/fs.h.
    const PAGE_IS_WRITTEN: u64 = 1 << 1;
    const PAGE_IS_PRESENT: u64 = 1 << 3;
    let mut found = vec![REGION; regions];
    let mut argument = PmScanArg {
        size: size_of::<PmScanArg>() as u64,
        flags: PM_SCAN_WP_MATCHING,
        start,
        end,
        category_mask: PAGE_IS_WRITTEN,
        ..PmScanArg::default()
    };
    if !found.is_empty() {
        argument.vec = found.as_mut_ptr().expose_provenance() as u64;
        argument.vec_len = found.len() as u64;
        argument.return_mask = PAGE_IS_WRITTEN;
        // A page that is not present counts as written.
        argument.category_mask |= PAGE_IS_PRESENT;
    }
    // SAFETY: The kernel reads and writes the struct, whose size it is told, and writes so many
    // regions at most as there are, which live longer than the call.
    let count = unsafe { pagemap_scan(pagemap.as_fd().as_raw_fd(), &mut argument) }?;
    // The kernel's `walk_end` is of no use: after several passes it may be that of an earlier one.
    if usize::try_from(count) == Ok(regions) {
        Ok(())
    } else {
        Err(Errno::EAGAIN)
    }
}

/// Write-protects pages, whether they are there or not.
pub fn protect_by_scan(pagemap: impl AsFd, (start, end): (u64, u64)) -> Result<(), Errno> {
    let mut argument = PmScanArg {
        size: size_of::<PmScanArg>() as u64,
        flags: PM_SCAN_WP_MATCHING,
        start,
        end,
        ..PmScanArg::default()
    };
    // SAFETY: The kernel reads and writes the struct, whose size it is told.
    unsafe { pagemap_scan(pagemap.as_fd().as_raw_fd(), &mut argument) }.map(drop)
}

/// Whether one huge page is mapped in the place of these pages, that of zeroes included.
pub fn is_huge(pagemap: impl AsFd, (start, end): (u64, u64)) -> Result<bool, Errno> {
    // Of include/uapi/linux/fs.h.
    const PAGE_IS_HUGE: u64 = 1 << 6;
    let mut region = REGION;
    let mut argument = PmScanArg {
        size: size_of::<PmScanArg>() as u64,
        start,
        end,
        vec: std::ptr::from_mut(&mut region).expose_provenance() as u64,
        vec_len: 1,
        category_mask: PAGE_IS_HUGE,
        return_mask: PAGE_IS_HUGE,
        ..PmScanArg::default()
    };
    // SAFETY: The kernel reads and writes the struct, whose size it is told, and writes one region
    // at most. Both live longer than the call.
    let found = unsafe { pagemap_scan(pagemap.as_fd().as_raw_fd(), &mut argument) }?;
    Ok(found == 1 && (region[0], region[1]) == (start, end))
}

/// Takes `CAP_SYS_PTRACE` from the calling thread, of which other threads take no notice.
pub fn give_up_ptrace() -> Result<(), Errno> {
    // `_LINUX_CAPABILITY_VERSION_3` and `CAP_SYS_PTRACE` of include/uapi/linux/capability.h.
    const VERSION: u32 = 0x2008_0522;
    const SYS_PTRACE: u32 = 1 << 19;
    // `struct __user_cap_header_struct`: the version, and 0 for the calling thread.
    let mut header = [VERSION, 0];
    // Two `struct __user_cap_data_struct`: effective, permitted and inheritable.
    let mut data = [[0u32; 3]; 2];
    // SAFETY: Both pointers are to what the kernel reads and writes for this version, and both
    // arrays live longer than the call.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    syscall_result(result)?;
    data[0][0] &= !SYS_PTRACE;
    // SAFETY: As above; nothing is written to.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), data.as_ptr()) };
    syscall_result(result).map(drop)
}
