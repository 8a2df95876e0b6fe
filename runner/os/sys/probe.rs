// SPDX-License-Identifier: GPL-2.0

//! A user-space probe (Documentation/trace/uprobetracer.rst) of the process that makes it.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::os::sys::calls::descriptor;

/// The number of the kernel's event source for such probes.
pub const PROBES: &str = "/sys/bus/event_source/devices/uprobe/type";

/// A machine instruction that does nothing, in place of which a probe may be.
pub const NOTHING: &[u8] = if cfg!(target_arch = "x86_64") {
    &[0x90]
} else {
    &[0x1f, 0x20, 0x03, 0xd5]
};

/// The first fields of `struct perf_event_attr` of include/uapi/linux/perf_event.h, up to the size
/// `PERF_ATTR_SIZE_VER1`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    path: u64,
    offset: u64,
}

/// A probe at the first instruction of a file, where this process has mapped it. Removed when dropped.
#[derive(Debug)]
pub struct Probe {
    _event: OwnedFd,
}

impl Probe {
    /// Makes one, by which the kernel writes a breakpoint to the page (`uprobe_write()`).
    ///
    /// # Errors
    ///
    /// Those of `perf_event_open(2)`, and `ENOENT` from a kernel without such probes.
    pub fn new(file: &OwnedFd) -> Result<Self, Errno> {
        let kind = fs::read_to_string(PROBES).map_err(|_| Errno::ENOENT)?;
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let path = path.map_err(|_| Errno::EINVAL)?;
        let attributes = Attributes {
            kind: kind.trim().parse().map_err(|_| Errno::EINVAL)?,
            size: size_of::<Attributes>() as u32,
            path: path.as_ptr().expose_provenance() as u64,
            ..Attributes::default()
        };
        // Of include/uapi/linux/perf_event.h.
        const FD_CLOEXEC: libc::c_ulong = 1 << 3;
        // This thread, on any processor, and no group.
        let (pid, cpu, group) = (0, -1, -1);
        // SAFETY: The kernel reads the struct, whose size stands in it, and the path, which ends with
        // a zero; both live longer than the call. It changes a page of a private mapping of the file,
        // which contains no code of this program.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &attributes,
                pid,
                cpu,
                group,
                FD_CLOEXEC,
            )
        };
        // SAFETY: The call returns a new descriptor.
        let event = unsafe { descriptor(fd) }?;
        Ok(Probe { _event: event })
    }
}
