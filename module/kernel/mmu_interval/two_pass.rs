// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers with a second pass. Not every kernel has them.

use super::{
    IntervalCallbacks,
    IntervalRegistration,
    Seq,
    SeqSet, //
};
use crate::abstractions::mmu_notifier::{
    Range,
    WouldBlock, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// Interval notifier with a second pass.
///
/// # Context
///
/// As for [`Notifier`](crate::abstractions::mmu_notifier::Notifier).
pub(crate) trait TwoPassNotifier: Send + Sync + 'static {
    /// Data that the first pass leaves to the second one.
    type Pending: Send + 'static;

    /// As [`invalidate`](super::IntervalNotifier::invalidate). If it returns a [`Finish`], then
    /// [`Self::invalidate_finish`] is called with that before the kernel changes the range. If it
    /// returns [`None`], it must have done everything.
    ///
    /// # Context
    ///
    /// May sleep only if [`Range::is_blockable`]. An allocation must not enter reclaim; a driver
    /// may have a pool of [`Finish`] instead.
    fn invalidate_start<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
    ) -> Result<(SeqSet<'a>, Option<KBox<Finish<Self::Pending>>>), WouldBlock<'a>>;

    /// Second pass of an invalidation.
    ///
    /// # Context
    ///
    /// Must not sleep, because the range may not be blockable.
    fn invalidate_finish(&self, finish: KBox<Finish<Self::Pending>>);
}

/// Second pass that is due: `struct mmu_interval_notifier_finish`, with data of the driver.
#[repr(C)]
pub(crate) struct Finish<P> {
    // First, so that a pointer to it is one to the whole.
    link: Opaque<bindings::mmu_interval_notifier_finish>,
    /// Data that the first pass leaves to the second one.
    pub(crate) pending: P,
}

// SAFETY:
// - `link` is only used between the two passes, when the core owns the whole.
// - `P` is `Send`.
unsafe impl<P: Send> Send for Finish<P> {}

impl<P> Finish<P> {
    /// Creates one that no invalidation uses yet.
    #[inline]
    pub(crate) fn new(pending: P) -> Self {
        Finish {
            link: Opaque::zeroed(),
            pending,
        }
    }
}

/// Kind of a [`TwoPassNotifier`].
pub(crate) enum TwoPass {}

// SAFETY:
// - The callbacks of `TwoPassVTable<T>` require no more, and a link that the first pass has
//   returned, which is what the core passes to the second one.
unsafe impl<T: TwoPassNotifier> IntervalCallbacks<TwoPass> for T {
    const OPS: &'static bindings::mmu_interval_notifier_ops = TwoPassVTable::<T>::OPS;
}

/// Callbacks of a [`TwoPassNotifier`].
struct TwoPassVTable<T>(PhantomData<T>);

impl<T: TwoPassNotifier> TwoPassVTable<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate_start: Some(Self::invalidate_start),
            invalidate_finish: Some(Self::invalidate_finish),
            ..pin_init::zeroed()
        };

    /// # Safety
    ///
    /// - `subscription` must be that of a live `IntervalRegistration<T>` with data.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    /// - `finish` must be valid for writes.
    unsafe extern "C" fn invalidate_start(
        subscription: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        cur_seq: c_ulong,
        finish: *mut *mut bindings::mmu_interval_notifier_finish,
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
        match data.invalidate_start(range, seq) {
            Ok((_, None)) => true,
            Ok((_, Some(due))) => {
                // SAFETY:
                // - `finish` is valid for writes, by this function's requirements.
                // - `link` is the first field of the whole, whose ownership goes to the core.
                unsafe { finish.write(KBox::into_raw(due).cast()) };
                true
            }
            Err(_) => false,
        }
    }

    /// # Safety
    ///
    /// `finish` must be what [`Self::invalidate_start`] has returned, with its `notifier` set by
    /// the core to the `subscription` of a live `IntervalRegistration<T>`. The core must not use it
    /// any more.
    unsafe extern "C" fn invalidate_finish(finish: *mut bindings::mmu_interval_notifier_finish) {
        // SAFETY:
        // - The core has set `notifier`, by this function's requirements.
        let data = unsafe { IntervalRegistration::<T>::data_from_raw((*finish).notifier) };
        // SAFETY:
        // - It comes from `KBox::into_raw()`, and the core gives back its ownership.
        let finish = unsafe { KBox::from_raw(finish.cast::<Finish<T::Pending>>()) };
        data.invalidate_finish(finish);
    }
}
