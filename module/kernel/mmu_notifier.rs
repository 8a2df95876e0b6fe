// SPDX-License-Identifier: GPL-2.0

//! MMU notifiers.
//!
//! A driver that mirrors the page tables of a process registers a notifier with the process's
//! `mm_struct`. The core then calls `invalidate_range_start` before the kernel changes the page
//! tables, and `invalidate_range_end` after it. [`mmu_interval`](super::mmu_interval) is for
//! drivers that mirror only a range of addresses.
//!
//! An invalidation is *blockable* or not. In a blockable one the callback may sleep and must
//! succeed. In a non-blockable one (the OOM reaper and `process_mrelease(2)`) it must not sleep,
//! and may fail with `-EAGAIN`. A notifier that can fail must not have an `invalidate_range_end`,
//! because the core cannot tell it which of its starts failed (the comment above
//! `invalidate_range_start` in `struct mmu_notifier_ops`).
//!
//! The types enforce these rules:
//!
//! - [`WouldBlock`] can only be obtained from a non-blockable [`Range`], and only be returned from
//!   the callback that was called with that range.
//! - [`Notifier`] can fail and has no end. [`NotifierWithEnd`] has an end and cannot fail.
//! - [`SecondaryTlbNotifier`] has neither: the core refuses a notifier with
//!   `arch_invalidate_secondary_tlbs` and either of the others.
//! - Callbacks of a notifier may run until it is unregistered, and safe code can leak a
//!   [`Registration`]. What a notifier refers to therefore lives forever (`'static`).
//!
//! A [`Registration`] belongs to its owner. Of a [`SharedNotifier`] there is one for each address
//! space, with a count of its users.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
//!
//! # Examples
//!
//! Drivers with the three kinds of notifiers. They run as part of the module's KUnit tests.
//!
//! ```ignore
#![doc = include_str!("../example.rs")]
//! ```

use super::mm::MmapWriteGuard;
use core::ops::Deref;
use kernel::{
    bindings,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    types::Opaque, //
};

pub(super) use node::{
    alloc_node,
    free_node,
    Node, //
};
pub(crate) use range::{
    Event,
    Range,
    WouldBlock, //
};
pub(crate) use shared::{
    SharedNotifier,
    SharedOps,
    SharedRegistration,
    Synchronize, //
};
use vtable::Callbacks;
pub(super) use vtable::Young;

mod node;
mod range;
mod shared;
mod vtable;

/// Notifier that can fail, and that therefore has no end callback.
///
/// # Context
///
/// The callbacks are called with locks of the memory management held, also from reclaim. They must
/// not allocate memory in a way that enters reclaim, and must neither take `mmap_lock` nor rely on
/// it. The current task need not be one that uses the address space. Several callbacks may run at
/// the same time.
#[vtable]
pub(crate) trait Notifier: Send + Sync + 'static {
    /// Called before the kernel changes the range.
    ///
    /// # Context
    ///
    /// May sleep only if [`Range::is_blockable`].
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>>;

    /// Tests and clears the accessed bit of the pages in `range`, of which the kernel has just
    /// cleared its own, and flushes the TLB of the device. Returns whether one was accessed.
    ///
    /// # Context
    ///
    /// Called with the page table lock held. Must neither sleep nor allocate memory in a way that
    /// may sleep.
    fn clear_flush_young(&self, _mm: &Mm, _range: core::ops::Range<usize>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As [`Self::clear_flush_young`], but the TLB of the device need not be flushed.
    ///
    /// # Context
    ///
    /// As for [`Self::clear_flush_young`].
    fn clear_young(&self, _mm: &Mm, _range: core::ops::Range<usize>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns whether the page at `address` was accessed, without clearing the bit.
    ///
    /// # Context
    ///
    /// As for [`Self::clear_flush_young`].
    fn test_young(&self, _mm: &Mm, _address: usize) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Called when the address space is torn down, or when the notifier is unregistered, whichever
    /// comes first. No other callback is called after it. A [`SharedNotifier`] is not unregistered:
    /// if its last user puts it, this is not called.
    ///
    /// # Context
    ///
    /// May sleep.
    fn release(&self, _mm: &Mm) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Notifier with an end callback, which therefore cannot fail.
///
/// # Context
///
/// As for [`Notifier`].
#[vtable]
pub(crate) trait NotifierWithEnd: Send + Sync + 'static {
    /// Called before the kernel changes the range.
    ///
    /// # Context
    ///
    /// May sleep only if [`Range::is_blockable`].
    fn invalidate_range_start(&self, range: &Range);

    /// Called after the kernel has changed the range, or has not because another notifier failed.
    ///
    /// # Context
    ///
    /// May sleep only if [`Range::is_blockable`].
    fn invalidate_range_end(&self, range: &Range);

    /// As [`Notifier::clear_flush_young`].
    fn clear_flush_young(&self, _mm: &Mm, _range: core::ops::Range<usize>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As [`Notifier::clear_young`].
    fn clear_young(&self, _mm: &Mm, _range: core::ops::Range<usize>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As [`Notifier::test_young`].
    fn test_young(&self, _mm: &Mm, _address: usize) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As [`Notifier::release`].
    fn release(&self, _mm: &Mm) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Notifier of a device with a TLB of its own that walks the page tables of the process.
///
/// # Context
///
/// As for [`Notifier`].
#[vtable]
pub(crate) trait SecondaryTlbNotifier: Send + Sync + 'static {
    /// Called when the architecture has invalidated TLB entries of the processors in the range.
    /// The TLB of the device must not have them any more when this returns.
    ///
    /// `range` ends at `usize::MAX` if it has no bounds.
    ///
    /// # Context
    ///
    /// Called with the page table lock held. Must neither sleep nor allocate memory in a way that
    /// may sleep.
    fn arch_invalidate_secondary_tlbs(&self, mm: &Mm, range: core::ops::Range<usize>);

    /// As [`Notifier::release`].
    fn release(&self, _mm: &Mm) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Kind of a [`Notifier`].
pub(crate) enum MayFail {}

/// Kind of a [`NotifierWithEnd`].
pub(crate) enum WithEnd {}

/// Kind of a [`SecondaryTlbNotifier`].
pub(crate) enum SecondaryTlb {}

/// `mmu_notifier_register()`, or the variant for callers that hold `mmap_lock`.
pub(super) type Register =
    unsafe extern "C" fn(*mut bindings::mmu_notifier, *mut bindings::mm_struct) -> c_int;

/// Registration of a notifier with an address space.
///
/// Dropping it unregisters the notifier and waits until no callback of it runs, whether the
/// process still exists or not. A registration that is leaked stays registered forever. Nothing
/// then keeps the module with its callbacks from being unloaded, as with every registration.
///
/// # Context
///
/// Dropping it may sleep. It must not be dropped in a callback, nor with a lock held that a
/// callback takes.
///
/// # Invariants
///
/// The subscription of `node` is registered with the `mm` that it names, to which the core holds a
/// reference (`mmgrab()`).
#[must_use = "the notifier is unregistered when the registration is dropped"]
#[pin_data(PinnedDrop)]
#[repr(transparent)]
pub(crate) struct Registration<T: Send + Sync + 'static> {
    #[pin]
    node: Node<T>,
}

// SAFETY:
// - A notifier may be unregistered by another thread than the one that registered it.
// - The data is `Send`.
unsafe impl<T: Send + Sync + 'static> Send for Registration<T> {}

// SAFETY:
// - Shared access reaches the data, which is `Sync`, and fields of the subscription that the core
//   does not change after the registration.
unsafe impl<T: Send + Sync + 'static> Sync for Registration<T> {}

impl<T: Send + Sync + 'static> Registration<T> {
    /// Registers a notifier by `register`, with the callbacks in `ops`.
    ///
    /// # Safety
    ///
    /// - The caller must hold the locks that `register` requires while the initializer runs.
    /// - The callbacks in `ops` must be sound for the `subscription` of a live `Node<T>` whose
    ///   `data` is initialized.
    pub(super) unsafe fn with_ops<'a, E>(
        register: Register,
        mm: &'a MmWithUser,
        ops: &'static bindings::mmu_notifier_ops,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        Error: From<E>,
        E: 'a,
    {
        try_pin_init!(Self {
            // INVARIANT: On success the subscription is registered, and the core holds a reference
            // to the `mm` for it.
            node <- try_pin_init!(Node {
                // First, since callbacks may run as soon as the notifier is registered.
                data <- data,
                subscription <- Opaque::try_ffi_init(move |ptr: *mut bindings::mmu_notifier| {
                    // SAFETY:
                    // - `ptr` is valid for writes, and an all-zero `mmu_notifier` is valid.
                    unsafe {
                        ptr.write(pin_init::zeroed());
                        (*ptr).ops = ops;
                    }
                    // SAFETY:
                    // - `ptr` is pinned. It stays valid until `drop()` has unregistered it.
                    // - The caller promises that the callbacks suit it.
                    // - `mm` has users, by the invariants of `MmWithUser`.
                    // - The caller promises that the locks are held that `register` requires.
                    to_result(unsafe { register(ptr, mm.as_raw()) })
                }),
            }? Error),
        }? Error)
    }

    /// Returns the data of the notifier.
    #[inline]
    pub(crate) fn data(&self) -> &T {
        &self.node.data
    }

    /// Returns the subscription.
    #[inline]
    pub(super) fn subscription(&self) -> *mut bindings::mmu_notifier {
        self.node.subscription.get()
    }

    /// Returns the address space with which the notifier is registered. It may have no users.
    #[inline]
    pub(crate) fn mm(&self) -> &Mm {
        // SAFETY:
        // - By the type invariants the core holds a reference to the `mm` as long as the notifier
        //   is registered, and does not change the field.
        unsafe { Mm::from_raw((*self.subscription()).mm) }
    }

    /// Frees a registration whose notifier is not registered any more.
    ///
    /// # Safety
    ///
    /// The notifier must have been unregistered, and the core must not use `subscription`.
    pub(super) unsafe fn free_unregistered(this: Pin<KBox<Self>>) {
        // SAFETY:
        // - The value is dropped in place, and not moved.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(this) });
        // SAFETY:
        // - `this` comes from a box of a type with the same layout (`repr(transparent)`), and
        //   nothing uses the node any more: the caller promises it.
        drop(unsafe { KBox::from_raw(this.cast::<Node<T>>()) });
    }
}

impl<T: Send + Sync + 'static> Registration<T> {
    /// Registers a [`Notifier`], a [`NotifierWithEnd`] or a [`SecondaryTlbNotifier`].
    ///
    /// The kind follows from the type of the data. For a type that is more than one of them the
    /// caller names it, as in `Registration::new::<WithEnd, _>`.
    ///
    /// Callbacks may run before the initializer has returned. It returns `Err(ENOMEM)` if memory
    /// cannot be allocated, and `Err(EINTR)` if a signal ends the wait for locks.
    ///
    /// # Context
    ///
    /// The initializer takes `mmap_lock` for writing. It may sleep.
    pub(crate) fn new<'a, Kind, E>(
        mm: &'a MmWithUser,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: Callbacks<Kind>,
        Error: From<E>,
        E: 'a,
    {
        let ops = <T as Callbacks<Kind>>::OPS;
        // SAFETY:
        // - This function takes the lock itself.
        // - `Callbacks` promises of the callbacks what is required.
        unsafe { Self::with_ops(bindings::mmu_notifier_register, mm, ops, data) }
    }

    /// Registers a notifier, for callers that hold `mmap_lock` for writing.
    ///
    /// Otherwise as [`Self::new`].
    pub(crate) fn new_locked<'a, Kind, E>(
        guard: &'a MmapWriteGuard<'_>,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: Callbacks<Kind>,
        Error: From<E>,
        E: 'a,
    {
        let register = bindings::__mmu_notifier_register;
        let ops = <T as Callbacks<Kind>>::OPS;
        // SAFETY:
        // - By its type invariants the guard holds the lock. It is borrowed for `'a`.
        // - `Callbacks` promises of the callbacks what is required.
        unsafe { Self::with_ops(register, guard.mm(), ops, data) }
    }
}

impl<T: Send + Sync + 'static> Deref for Registration<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.data()
    }
}

#[pinned_drop]
impl<T: Send + Sync + 'static> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        let subscription = self.subscription();
        // SAFETY:
        // - By the type invariants the subscription is registered with the `mm` that it names.
        // - The core holds a reference to that `mm` until this call is done.
        unsafe { bindings::mmu_notifier_unregister(subscription, (*subscription).mm) };
    }
}
