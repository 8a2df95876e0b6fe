// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers: MMU notifiers for a range of addresses.
//!
//! The core calls an interval notifier before the kernel changes the page tables of a range that
//! overlaps with its own. Everything that [`mmu_notifier`](super::mmu_notifier) says about
//! blockable and non-blockable invalidations holds here, too.
//!
//! A driver that fills its mirror from the page tables uses the collision-retry scheme of the
//! core, which resembles a sequence counter:
//!
//! - The reader calls [`IntervalRegistration::read_begin`], looks at the page tables, takes the
//!   driver's lock, and uses what it has found only if [`IntervalRegistration::read_retry`] returns
//!   false.
//! - The callback takes the same lock, stops the use of the range, and calls [`Seq::set`]. It can
//!   only succeed if it has done so, because it has to return a [`SeqSet`].
//!
//! A `TwoPassNotifier` starts work on hardware in a first pass, and waits for it in a second one,
//! after all notifiers have had their first pass.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use super::{
    mm::MmapWriteGuard,
    mmu_notifier::{
        Range,
        WouldBlock, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    types::Opaque, //
};

#[cfg(mmu_interval_two_pass)]
pub(crate) use two_pass::{
    Finish,
    TwoPassNotifier, //
};

#[cfg(mmu_interval_two_pass)]
mod two_pass;

/// Sequence number of an invalidation, as the core passes it to a callback.
///
/// # Invariants
///
/// `subscription` is that of a live registration, and its callback runs for `'a`.
pub(crate) struct Seq<'a> {
    cur_seq: usize,
    subscription: *mut bindings::mmu_interval_notifier,
    _callback: PhantomData<&'a Range>,
}

impl<'a> Seq<'a> {
    /// # Safety
    ///
    /// `subscription` must be that of a live registration, whose callback runs for `'a`.
    #[inline]
    unsafe fn new(subscription: *mut bindings::mmu_interval_notifier, cur_seq: usize) -> Self {
        // INVARIANT: The caller promises it.
        Seq {
            cur_seq,
            subscription,
            _callback: PhantomData,
        }
    }

    /// Returns the number. It is odd, and the same for all notifiers of an invalidation.
    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.cur_seq
    }

    /// Makes [`IntervalRegistration::read_retry`] return true for readers that began before this
    /// invalidation: `mmu_interval_set_seq()`.
    ///
    /// # Context
    ///
    /// Must be called with the lock held with which the driver calls
    /// [`IntervalRegistration::read_retry`]. Never sleeps.
    #[inline]
    pub(crate) fn set(&self) -> SeqSet<'a> {
        // SAFETY:
        // - By the type invariants the subscription is that of a live registration.
        unsafe { super::helpers::mmu_interval_set_seq(self.subscription, self.cur_seq) };
        SeqSet(PhantomData)
    }

    /// Returns the subscription whose callback runs.
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::mmu_interval_notifier {
        self.subscription
    }
}

/// Proof that a callback has called [`Seq::set`].
#[must_use = "a callback that succeeds has to return it"]
pub(crate) struct SeqSet<'a>(PhantomData<&'a Range>);

/// Notifier for a range of addresses.
///
/// # Context
///
/// As for [`Notifier`](super::mmu_notifier::Notifier).
pub(crate) trait IntervalNotifier: Send + Sync + 'static {
    /// Called before the kernel changes `range`, which overlaps with the interval.
    ///
    /// A callback that succeeds must have called [`Seq::set`]. A callback that fails must not: it
    /// could not take the driver's lock, and the kernel will not change the range.
    ///
    /// # Context
    ///
    /// May sleep only if [`Range::is_blockable`].
    fn invalidate<'a>(&self, range: &'a Range, seq: Seq<'a>) -> Result<SeqSet<'a>, WouldBlock<'a>>;
}

/// `mmu_interval_notifier_insert()`, or the variant for callers that hold `mmap_lock`.
type Insert = unsafe extern "C" fn(
    *mut bindings::mmu_interval_notifier,
    *mut bindings::mm_struct,
    usize,
    usize,
    *const bindings::mmu_interval_notifier_ops,
) -> c_int;

/// Registration of an interval notifier with an address space.
///
/// Dropping it removes the notifier, and waits for the end of the invalidations that its callbacks
/// have been called for. A registration that is leaked stays registered forever.
///
/// # Context
///
/// Dropping it may sleep. It must not be dropped in a callback, nor with a lock held that a
/// callback takes.
///
/// # Invariants
///
/// `subscription` is in the interval tree of the `mm` that it names, to which the core holds a
/// reference (`mmgrab()`).
#[must_use = "the notifier is removed when the registration is dropped"]
#[pin_data(PinnedDrop)]
pub(crate) struct IntervalRegistration<T: Send + Sync + 'static> {
    #[pin]
    subscription: Opaque<bindings::mmu_interval_notifier>,
    #[pin]
    data: T,
}

// SAFETY:
// - An interval notifier may be removed by another thread than the one that inserted it.
// - `data` is `Send`.
unsafe impl<T: Send + Sync + 'static> Send for IntervalRegistration<T> {}

// SAFETY:
// - Shared access reaches `data`, which is `Sync`, and calls functions of the core that may be
//   called by several threads at the same time.
unsafe impl<T: Send + Sync + 'static> Sync for IntervalRegistration<T> {}

impl<T: Send + Sync + 'static> IntervalRegistration<T> {
    /// Inserts a notifier by `insert`, with the callbacks in `ops`.
    ///
    /// # Safety
    ///
    /// - The caller must hold the locks that `insert` requires while the initializer runs.
    /// - The callbacks in `ops` must be sound for the `subscription` of a live
    ///   `IntervalRegistration<T>` whose `data` is initialized.
    unsafe fn with_ops<'a, E>(
        insert: Insert,
        mm: &'a MmWithUser,
        interval: core::ops::Range<usize>,
        ops: &'static bindings::mmu_interval_notifier_ops,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        Error: From<E>,
        E: 'a,
    {
        try_pin_init!(Self {
            // First, since callbacks may run as soon as the notifier is inserted.
            data <- data,
            // INVARIANT: On success the subscription is in the tree, and the core holds a reference
            // to the `mm` for it.
            subscription <- Opaque::try_ffi_init(
                move |ptr: *mut bindings::mmu_interval_notifier| {
                    let length = interval.end.checked_sub(interval.start).ok_or(EOVERFLOW)?;
                    // SAFETY:
                    // - `ptr` is valid for writes, and an all-zero `mmu_interval_notifier` is
                    //   valid.
                    unsafe { ptr.write(pin_init::zeroed()) };
                    // SAFETY:
                    // - `ptr` is pinned. It stays valid until `drop()` has removed it.
                    // - The caller promises that the callbacks suit it.
                    // - `mm` has users, by the invariants of `MmWithUser`.
                    // - The caller promises that the locks are held that `insert` requires.
                    to_result(unsafe { insert(ptr, mm.as_raw(), interval.start, length, ops) })
                }
            ),
        }? Error)
    }

    /// Returns the data of the notifier.
    #[inline]
    pub(crate) fn data(&self) -> &T {
        &self.data
    }

    /// Returns the address space with which the notifier is registered. It may have no users.
    #[inline]
    pub(crate) fn mm(&self) -> &Mm {
        // SAFETY:
        // - By the type invariants the core holds a reference to the `mm` as long as the notifier
        //   is in the tree, and does not change the field.
        unsafe { Mm::from_raw((*self.subscription.get()).mm) }
    }

    /// Begins to look at the interval, and returns a number for [`Self::read_retry`]:
    /// `mmu_interval_read_begin()`.
    ///
    /// # Context
    ///
    /// Sleeps uninterruptibly while an invalidation of the interval is in progress. Must not be
    /// called with a lock held that a callback takes.
    #[inline]
    pub(crate) fn read_begin(&self) -> usize {
        // SAFETY:
        // - By the type invariants the subscription is in the tree of an `mm` to which the core
        //   holds a reference.
        unsafe { bindings::mmu_interval_read_begin(self.subscription.get()) }
    }

    /// Returns whether the interval may have been invalidated since [`Self::read_begin`] returned
    /// `seq`, in which case what was found there must not be used: `mmu_interval_read_retry()`.
    ///
    /// # Context
    ///
    /// Must be called with the lock held with which the callback calls [`Seq::set`], and what was
    /// found must be put to use before that is released. Never sleeps.
    #[inline]
    #[must_use]
    pub(crate) fn read_retry(&self, seq: usize) -> bool {
        // SAFETY:
        // - By the type invariants the subscription is initialized.
        unsafe { super::helpers::mmu_interval_read_retry(self.subscription.get(), seq) }
    }

    /// Returns the data of a registration from the pointer that the core passes to a callback.
    ///
    /// # Safety
    ///
    /// `subscription` must be the `subscription` of an `IntervalRegistration<T>` that lives for
    /// `'a`, and whose `data` is initialized.
    #[inline]
    unsafe fn data_from_raw<'a>(subscription: *mut bindings::mmu_interval_notifier) -> &'a T {
        // SAFETY:
        // - The caller promises that `subscription` is that field of a registration with data.
        // - `Opaque<T>` has the layout of `T`.
        unsafe {
            let this = kernel::container_of!(Opaque::cast_from(subscription), Self, subscription);
            &(*this).data
        }
    }
}

impl<T: Send + Sync + 'static> IntervalRegistration<T> {
    /// Registers a notifier for the addresses from `interval.start` to before `interval.end`.
    /// Whether it has one pass or two follows from the type of its data.
    ///
    /// Callbacks may run before the initializer has returned. It returns `Err(EOVERFLOW)` if the
    /// interval is empty, `Err(ENOMEM)` if memory cannot be allocated, and `Err(EINTR)` if a signal
    /// ends the wait for locks.
    ///
    /// # Context
    ///
    /// The initializer takes `mmap_lock` for writing if the interval notifier is the first one of
    /// the address space. It may sleep.
    pub(crate) fn new<'a, Kind, E>(
        mm: &'a MmWithUser,
        interval: core::ops::Range<usize>,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: IntervalCallbacks<Kind>,
        Error: From<E>,
        E: 'a,
    {
        let insert = bindings::mmu_interval_notifier_insert;
        let ops = <T as IntervalCallbacks<Kind>>::OPS;
        // SAFETY:
        // - This function takes the lock itself.
        // - `IntervalCallbacks` promises of the callbacks what is required.
        unsafe { Self::with_ops(insert, mm, interval, ops, data) }
    }

    /// Registers a notifier, for callers that hold `mmap_lock` for writing.
    ///
    /// Otherwise as [`Self::new`].
    pub(crate) fn new_locked<'a, Kind, E>(
        guard: &'a MmapWriteGuard<'_>,
        interval: core::ops::Range<usize>,
        data: impl PinInit<T, E> + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: IntervalCallbacks<Kind>,
        Error: From<E>,
        E: 'a,
    {
        let insert = bindings::mmu_interval_notifier_insert_locked;
        let ops = <T as IntervalCallbacks<Kind>>::OPS;
        // SAFETY:
        // - By its type invariants the guard holds the lock. It is borrowed for `'a`.
        // - `IntervalCallbacks` promises of the callbacks what is required.
        unsafe { Self::with_ops(insert, guard.mm(), interval, ops, data) }
    }
}

impl<T: Send + Sync + 'static> Deref for IntervalRegistration<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.data()
    }
}

#[pinned_drop]
impl<T: Send + Sync + 'static> PinnedDrop for IntervalRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY:
        // - By the type invariants it is in the tree of an `mm` to which the core holds a reference
        //   until this call is done.
        unsafe { bindings::mmu_interval_notifier_remove(self.subscription.get()) };
    }
}

/// Kind of an [`IntervalNotifier`].
pub(crate) enum OnePass {}

/// Types with the callbacks of a kind of interval notifier.
///
/// # Safety
///
/// The callbacks in `OPS` must be sound for the `subscription` of a live
/// `IntervalRegistration<Self>` whose `data` is initialized.
pub(crate) unsafe trait IntervalCallbacks<Kind>: Send + Sync + 'static {
    /// The callbacks.
    const OPS: &'static bindings::mmu_interval_notifier_ops;
}

// SAFETY:
// - The callback of `OnePassVTable<T>` requires no more.
unsafe impl<T: IntervalNotifier> IntervalCallbacks<OnePass> for T {
    const OPS: &'static bindings::mmu_interval_notifier_ops = OnePassVTable::<T>::OPS;
}

/// Callback of an [`IntervalNotifier`].
struct OnePassVTable<T>(PhantomData<T>);

impl<T: IntervalNotifier> OnePassVTable<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate: Some(Self::invalidate),
            ..pin_init::zeroed()
        };

    /// # Safety
    ///
    /// - `subscription` must be that of a live `IntervalRegistration<T>` with data.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    unsafe extern "C" fn invalidate(
        subscription: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        cur_seq: c_ulong,
    ) -> bool {
        // SAFETY:
        // - Both pointers are as this function requires.
        // - This is the callback of `subscription`.
        let (data, range, seq) = unsafe {
            (
                IntervalRegistration::<T>::data_from_raw(subscription),
                Range::from_raw(range),
                Seq::new(subscription, cur_seq),
            )
        };
        data.invalidate(range, seq).is_ok()
    }
}
