// SPDX-License-Identifier: GPL-2.0

//! Notifiers with a count of users: `mmu_notifier_get()` and `mmu_notifier_put()`.

use super::{
    node::{
        alloc_node,
        free_node,
        Node, //
    },
    vtable::NotifierVTable,
    Notifier, //
};
use crate::abstractions::mm::{
    mmap_write_lock,
    MmapWriteGuard, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::atomic::{
        atomic_load,
        Relaxed, //
    }, //
};

/// Notifier of which there is one for each address space, shared by all that ask for it.
///
/// # Context
///
/// As for [`Notifier`]. The value is dropped in an SRCU callback, where nothing may sleep.
pub(crate) trait SharedNotifier: Notifier + Sized {
    /// Returns the table of callbacks, which must be a `static`: the core takes notifiers for the
    /// same one if they have the same table.
    fn ops() -> &'static SharedOps<Self>;

    /// Creates the notifier of an address space that has none of this type: `alloc_notifier`.
    ///
    /// # Context
    ///
    /// Called with `mmap_lock` held for writing. May sleep.
    fn alloc(mm: &Mm) -> impl PinInit<Self, Error>;
}

/// Table of callbacks of a [`SharedNotifier`].
///
/// # Invariants
///
/// - The callbacks are sound for the `subscription` of a live `Node<T>` whose `data` is
///   initialized.
/// - `alloc_notifier` and `free_notifier` are [`alloc_node`] and [`free_node`], or do the same.
pub(crate) struct SharedOps<T>(bindings::mmu_notifier_ops, PhantomData<fn() -> T>);

impl<T: SharedNotifier> SharedOps<T> {
    /// Creates the table.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The callbacks of `NotifierVTable<T>` require what is promised.
        SharedOps(
            bindings::mmu_notifier_ops {
                alloc_notifier: Some(alloc_notifier::<T>),
                free_notifier: Some(free_node::<T>),
                ..*NotifierVTable::<T>::OPS
            },
            PhantomData,
        )
    }
}

impl<T> SharedOps<T> {
    /// Creates a table of other callbacks.
    ///
    /// # Safety
    ///
    /// `ops` must satisfy the type invariants.
    pub(in crate::abstractions) const unsafe fn from_raw(ops: bindings::mmu_notifier_ops) -> Self {
        // INVARIANT: The caller promises it.
        SharedOps(ops, PhantomData)
    }
}

/// `alloc_notifier`.
///
/// # Safety
///
/// `mm` must be valid for the duration of the call.
unsafe extern "C" fn alloc_notifier<T: SharedNotifier>(
    mm: *mut bindings::mm_struct,
) -> *mut bindings::mmu_notifier {
    // SAFETY:
    // - `mm` is as this function requires.
    alloc_node(T::alloc(unsafe { Mm::from_raw(mm) }))
}

/// User of a [`SharedNotifier`].
///
/// Dropping it puts the notifier: `mmu_notifier_put()`. If it was the last user, no callback begins
/// after that. Those that run are not waited for: the notifier is freed when they have returned.
///
/// The module needs a [`Synchronize`], since the code that frees it is the module's.
///
/// # Invariants
///
/// `node` is that of a notifier to which this has a count, and whose `data` is initialized.
#[must_use = "the notifier is put when this is dropped"]
pub(crate) struct SharedRegistration<T: Send + Sync + 'static> {
    node: NonNull<Node<T>>,
}

// SAFETY:
// - A notifier may be put by another thread than the one that got it.
// - The data is `Send`: the thread that frees it need not be the one that made it.
unsafe impl<T: Send + Sync + 'static> Send for SharedRegistration<T> {}

// SAFETY:
// - Shared access reaches the data, which is `Sync`, and the count, which is only read.
unsafe impl<T: Send + Sync + 'static> Sync for SharedRegistration<T> {}

impl<T: SharedNotifier> SharedRegistration<T> {
    /// Gets the notifier of `mm`, which is created if there is none: `mmu_notifier_get()`.
    ///
    /// Returns the errors of [`SharedNotifier::alloc`] and of
    /// [`Registration::new`](super::Registration::new), and `Err(EOVERFLOW)` if it has too many
    /// users.
    ///
    /// # Context
    ///
    /// Takes `mmap_lock` for writing. May sleep.
    pub(crate) fn get(mm: &MmWithUser) -> Result<Self> {
        Self::get_locked(&mmap_write_lock(mm))
    }

    /// Gets the notifier, for callers that hold `mmap_lock` for writing.
    ///
    /// Otherwise as [`Self::get`].
    pub(crate) fn get_locked(guard: &MmapWriteGuard<'_>) -> Result<Self> {
        Self::with_ops(guard, T::ops())
    }
}

impl<T: Send + Sync + 'static> SharedRegistration<T> {
    /// Gets the notifier with that table.
    pub(in crate::abstractions) fn with_ops(
        guard: &MmapWriteGuard<'_>,
        ops: &'static SharedOps<T>,
    ) -> Result<Self> {
        // SAFETY:
        // - By its type invariants the guard holds the lock, and its `mm` has users.
        // - By their type invariants the callbacks suit the nodes that `alloc_notifier` allocates.
        //   Nothing else registers a notifier with this table.
        let subscription = from_err_ptr(unsafe {
            bindings::mmu_notifier_get_locked(&ops.0, guard.mm().as_raw())
        })?;
        // SAFETY:
        // - It comes from `alloc_node()`, since the core returns only notifiers with this table.
        let node = unsafe { Node::from_raw(subscription) };
        // INVARIANT: The core has counted this user. `alloc_node()` has initialized the data.
        Ok(SharedRegistration {
            node: NonNull::new(node).ok_or(EINVAL)?,
        })
    }

    /// Returns the subscription.
    fn subscription(&self) -> *mut bindings::mmu_notifier {
        // SAFETY:
        // - By the type invariants the node is valid.
        unsafe { (*self.node.as_ptr()).subscription.get() }
    }

    /// Returns the number of users. It may change at any time.
    pub(crate) fn users(&self) -> u32 {
        // SAFETY:
        // - The field is valid and aligned.
        // - The core changes it under a lock of its own. An aligned load of it is not torn.
        unsafe { atomic_load(&raw mut (*self.subscription()).users, Relaxed) }
    }
}

impl<T: Send + Sync + 'static> Deref for SharedRegistration<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY:
        // - By the type invariants the notifier is not freed while this exists, and the data is
        //   initialized.
        unsafe { &(*self.node.as_ptr()).data }
    }
}

impl<T: Send + Sync + 'static> Drop for SharedRegistration<T> {
    fn drop(&mut self) {
        // SAFETY:
        // - By the type invariants this has a count, which it gives up.
        unsafe { bindings::mmu_notifier_put(self.subscription()) };
    }
}

/// Waits, when dropped, until every notifier that was put is freed: `mmu_notifier_synchronize()`.
///
/// A module that uses [`SharedRegistration`] must drop this last.
pub(crate) struct Synchronize;

impl Drop for Synchronize {
    fn drop(&mut self) {
        // SAFETY:
        // - This may be called by any thread that may sleep.
        unsafe { bindings::mmu_notifier_synchronize() };
    }
}
