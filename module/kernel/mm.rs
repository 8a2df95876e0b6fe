// SPDX-License-Identifier: GPL-2.0

//! Address spaces.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use super::Unsound;
#[cfg(CONFIG_PER_VMA_LOCK)]
use kernel::sync::atomic::{
    xchg,
    Full, //
};
use kernel::{
    bindings,
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

/// How many processes, and others that `mmget()`, use the address space: `mm_users`. At 0 it
/// is torn down, and it never rises again.
pub(crate) fn users(mm: &Mm) -> i32 {
    let mm = mm.as_raw();
    // SAFETY:
    // - `mm` is valid, and so is its field, which is aligned.
    // - The kernel changes it by atomic operations only.
    unsafe { atomic_load(&raw mut (*mm).__bindgen_anon_1.mm_users.counter, Relaxed) }
}

/// How many hold the `mm_struct` itself: `mm_count`. All users together are one; the others
/// are those that `mmgrab()`, and kernel threads that borrow it on some processor (lazy TLB).
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

/// An `mmap_lock` that is held for writing.
///
/// # Invariants
///
/// The current thread holds the lock of `mm` for writing, but for a guard that was made in
/// breach of contract.
#[must_use = "the lock is released when the guard is dropped"]
pub(crate) struct MmapWriteGuard<'a> {
    mm: &'a MmWithUser,
    is_held: bool,
    // The thread that takes the lock has to release it.
    _nts: NotThreadSafe,
}

/// Takes `mmap_lock` for writing: `mmap_write_lock()`, without its tracepoints. May sleep.
pub(crate) fn mmap_write_lock(mm: &MmWithUser) -> MmapWriteGuard<'_> {
    // SAFETY:
    // - `mm` is valid, and so is its lock.
    unsafe { bindings::down_write(&raw mut (*mm.as_raw()).__bindgen_anon_1.mmap_lock) };
    // Makes it odd.
    advance_lock_seq(mm);
    // INVARIANT: The lock was taken, by this thread.
    MmapWriteGuard {
        mm,
        is_held: true,
        _nts: NotThreadSafe,
    }
}

impl<'a> MmapWriteGuard<'a> {
    /// Pretends to hold the lock.
    ///
    /// Unsound on purpose: what is then called relies on nobody else changing the address
    /// space, and others may.
    pub(crate) fn not_held_in_breach_of_contract(mm: &'a MmWithUser, _: Unsound) -> Self {
        MmapWriteGuard {
            mm,
            is_held: false,
            _nts: NotThreadSafe,
        }
    }

    /// The address space.
    pub(crate) fn mm(&self) -> &'a MmWithUser {
        self.mm
    }
}

impl Drop for MmapWriteGuard<'_> {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        // Makes it even, as `vma_end_write_all()` does: all VMAs that were locked meanwhile are
        // locked no more.
        advance_lock_seq(self.mm);
        // SAFETY:
        // - `mm` is valid, and so is its lock.
        // - By the type invariants this thread holds it for writing.
        unsafe { bindings::up_write(&raw mut (*self.mm.as_raw()).__bindgen_anon_1.mmap_lock) };
    }
}

/// `mm_lock_seqcount_begin()` and `mm_lock_seqcount_end()`, for who holds `mmap_lock` for
/// writing.
#[cfg(CONFIG_PER_VMA_LOCK)]
fn advance_lock_seq(mm: &MmWithUser) {
    let mm = mm.as_raw();
    // SAFETY:
    // - `mm` is valid, and so is its field, which is aligned.
    // - Nobody else writes it while the lock is held, and others read it atomically.
    unsafe {
        let seq = &raw mut (*mm).__bindgen_anon_1.mm_lock_seq.sequence;
        let now = atomic_load(seq, Relaxed);
        // ORDERING: What is done under the lock is between the two changes for others, too; C
        // has `smp_wmb()` for that.
        xchg(seq, now.wrapping_add(1), Full);
    }
}

/// Without locks for each VMA there is nothing to be told.
#[cfg(not(CONFIG_PER_VMA_LOCK))]
fn advance_lock_seq(_mm: &MmWithUser) {}

/// Pretends that the address space has users.
///
/// Unsound on purpose: where it has none, it is being torn down, or was, and nothing stands
/// against that.
pub(crate) fn pretend_users_in_breach_of_contract(mm: &Mm, _: Unsound) -> &MmWithUser {
    // SAFETY:
    // - `mm` is valid as long as the reference.
    // - It may have no users, although it should: the caller accepts what comes of that.
    unsafe { MmWithUser::from_raw(mm.as_raw()) }
}
