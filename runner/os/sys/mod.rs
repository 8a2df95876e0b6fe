// SPDX-License-Identifier: GPL-2.0

//! All `unsafe` of the runner: memory that a scenario works on, and system calls that have no
//! safe wrapper.

mod area;
mod calls;
mod child;
mod dmirror;
mod probe;
mod robust;
mod userfault;

pub use area::{Area, pattern};
pub use calls::{
    be_nice, clear_log, give_up_ptrace, is_huge, move_pages, pidfd_open, process_madvise,
    process_mrelease, protect_by_scan, scan_pagemap, swapon,
};
pub use child::{ChildWork, fork_child, fork_sleeper};
pub use dmirror::{DMIRROR, Dmirror};
pub use probe::{NOTHING, PROBES, Probe};
pub use robust::RobustThread;
pub use userfault::{Feature, UserFault};

/// Bytes in a page. The scenarios count in pages, and x86-64 has this size only.
pub const PAGE: usize = 4096;

/// Bytes that a page table of the third level maps.
pub const GIGABYTE: usize = 1 << 30;

/// Pages in a huge page of 2 MiB.
pub const HUGE: usize = (2 << 20) / PAGE;
