// SPDX-License-Identifier: GPL-2.0

//! Inline functions of C, by way of `helpers.c`.
//!
//! Upstream they would be in `rust/helpers/`, and the `kernel` crate would call them by `bindings`.

use kernel::{
    bindings,
    prelude::*, //
};

// The pointers have no type, since the compiler takes some fields of the structs for a mistake:
// depending on the configuration they are structs without members.
extern "C" {
    #[cfg(CONFIG_KUNIT = "y")]
    fn mn_helper_map_anonymous(len: c_ulong) -> c_ulong;
    fn mn_helper_mmap_write_lock(mm: *mut c_void);
    fn mn_helper_mmap_write_unlock(mm: *mut c_void);
    fn mn_helper_mmu_interval_read_retry(interval_sub: *mut c_void, seq: c_ulong) -> bool;
    fn mn_helper_mmu_interval_set_seq(interval_sub: *mut c_void, cur_seq: c_ulong);
    fn mn_helper_read_page_table(mm: *mut c_void, addr: c_ulong, entries: *mut u64, count: c_ulong);
}

/// Maps anonymous memory. Returns its address, or a negative errno.
///
/// # Safety
///
/// The current task must have an address space.
#[cfg(CONFIG_KUNIT = "y")]
pub(super) unsafe fn map_anonymous(len: usize) -> usize {
    // SAFETY:
    // - The caller promises what is required.
    unsafe { mn_helper_map_anonymous(len) }
}

/// # Safety
///
/// `mm` must be valid. The current task must not hold the lock.
#[inline]
pub(super) unsafe fn mmap_write_lock(mm: *mut bindings::mm_struct) {
    // SAFETY:
    // - The caller promises what is required.
    unsafe { mn_helper_mmap_write_lock(mm.cast()) };
}

/// # Safety
///
/// `mm` must be valid. The current task must hold the lock for writing.
#[inline]
pub(super) unsafe fn mmap_write_unlock(mm: *mut bindings::mm_struct) {
    // SAFETY:
    // - The caller promises what is required.
    unsafe { mn_helper_mmap_write_unlock(mm.cast()) };
}

/// # Safety
///
/// `interval_sub` must have been inserted, and still be valid.
#[inline]
pub(super) unsafe fn mmu_interval_read_retry(
    interval_sub: *mut bindings::mmu_interval_notifier,
    seq: usize,
) -> bool {
    // SAFETY:
    // - The caller promises what is required.
    unsafe { mn_helper_mmu_interval_read_retry(interval_sub.cast(), seq) }
}

/// # Safety
///
/// `interval_sub` must have been inserted, and still be valid.
#[inline]
pub(super) unsafe fn mmu_interval_set_seq(
    interval_sub: *mut bindings::mmu_interval_notifier,
    cur_seq: usize,
) {
    // SAFETY:
    // - The caller promises what is required.
    unsafe { mn_helper_mmu_interval_set_seq(interval_sub.cast(), cur_seq) };
}

/// Reads the page table entries of the pages from `addr`, with interrupts off meanwhile. An address
/// that is not of user space has none.
///
/// # Safety
///
/// `mm` must be valid.
#[inline]
pub(super) unsafe fn read_page_table(
    mm: *mut bindings::mm_struct,
    addr: usize,
    entries: &mut [u64],
) {
    let count = entries.len();
    // SAFETY:
    // - The caller promises what is required.
    // - There is room for so many entries.
    unsafe { mn_helper_read_page_table(mm.cast(), addr, entries.as_mut_ptr(), count) };
}
