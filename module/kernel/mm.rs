// SPDX-License-Identifier: GPL-2.0

//! Memory management: additions to `kernel::mm`.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use super::helpers;
use kernel::{
    mm::{
        Mm,
        MmWithUser, //
    },
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    types::NotThreadSafe, //
};

/// Returns the number of users of the address space: `mm_users`.
///
/// Users are the processes that run in it, and others that have called `mmget()`. At 0 it is torn
/// down, and the number never rises again.
#[inline]
pub(crate) fn users(mm: &Mm) -> i32 {
    let mm = mm.as_raw();
    // SAFETY:
    // - `mm` is valid, and so is its field, which is aligned.
    // - The kernel changes it by atomic operations only.
    unsafe { atomic_load(&raw mut (*mm).__bindgen_anon_1.mm_users.counter, Relaxed) }
}

/// Returns the number of references to the `mm_struct`: `mm_count`.
///
/// All users together count as one. The others are those that have called `mmgrab()`, and kernel
/// threads that have borrowed it (lazy TLB).
#[inline]
pub(crate) fn count(mm: &Mm) -> i32 {
    let mm = mm.as_raw();
    // SAFETY:
    // - `mm` is valid, and so is its field, which is aligned.
    // - The kernel changes it by atomic operations only.
    unsafe {
        atomic_load(
            &raw mut (*mm).__bindgen_anon_1.__bindgen_anon_1.mm_count.counter,
            Relaxed,
        )
    }
}

/// Returns the number of changes of the page tables under way after which TLBs are to be flushed:
/// `tlb_flush_pending`.
///
/// Callers of `inc_tlb_flush_pending()` raise it, among them `tlb_gather_mmu()`, until
/// `dec_tlb_flush_pending()`.
#[inline]
pub(crate) fn tlb_flush_pending(mm: &Mm) -> i32 {
    let mm = mm.as_raw();
    // SAFETY:
    // - `mm` is valid, and so is its field, which is aligned.
    // - The kernel changes it by atomic operations only.
    unsafe {
        atomic_load(
            &raw mut (*mm).__bindgen_anon_1.tlb_flush_pending.counter,
            Relaxed,
        )
    }
}

/// A guard for the mmap write lock.
///
/// # Invariants
///
/// This `MmapWriteGuard` guard owns the mmap write lock.
#[must_use = "the lock is released when the guard is dropped"]
pub(crate) struct MmapWriteGuard<'a> {
    mm: &'a MmWithUser,
    // `mmap_write_lock()` and `mmap_write_unlock()` must be called on the same thread.
    _nts: NotThreadSafe,
}

/// Locks the mmap write lock: `mmap_write_lock()`.
///
/// # Context
///
/// May sleep.
#[inline]
pub(crate) fn mmap_write_lock(mm: &MmWithUser) -> MmapWriteGuard<'_> {
    // SAFETY:
    // - The pointer is valid since `mm` is a reference.
    unsafe { helpers::mmap_write_lock(mm.as_raw()) };
    // SAFETY:
    // - The lock was just taken, by this thread.
    unsafe { MmapWriteGuard::new(mm) }
}

impl<'a> MmapWriteGuard<'a> {
    /// Creates a guard for a lock that is held.
    ///
    /// # Safety
    ///
    /// The caller must own the mmap write lock of `mm`, and not release it.
    #[inline]
    pub(super) unsafe fn new(mm: &'a MmWithUser) -> Self {
        // INVARIANT: The caller promises to own the lock.
        MmapWriteGuard {
            mm,
            _nts: NotThreadSafe,
        }
    }

    /// Returns the address space.
    #[inline]
    pub(crate) fn mm(&self) -> &MmWithUser {
        self.mm
    }
}

impl Drop for MmapWriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY:
        // - We hold the write lock by the type invariants.
        unsafe { helpers::mmap_write_unlock(self.mm.as_raw()) };
    }
}
