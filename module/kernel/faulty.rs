// SPDX-License-Identifier: GPL-2.0

//! Notifiers that answer what the contract forbids. Not part of the abstractions.
//!
//! The kernel reports such an answer and continues as if the callback had succeeded, so memory is
//! not in danger: this needs no permission as [`breach`](super::breach) does.

#[cfg(mmu_interval_two_pass)]
use super::mmu_interval::{
    Finish,
    TwoPassNotifier, //
};
use super::{
    breach::{
        self,
        Callback,
        Removal,
        Subscription, //
    },
    mm::MmapWriteGuard,
    mmu_interval::{
        IntervalCallbacks,
        IntervalNotifier,
        IntervalRegistration,
        Seq,
        SeqSet, //
    },
    mmu_notifier::{
        Range,
        WouldBlock, //
    },
};
use core::{
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref, //
};
use kernel::{
    mm::MmWithUser,
    prelude::*, //
};

pub(crate) use plain::{
    Callbacks,
    FaultyNotifier,
    FaultyRegistration,
    FaultyShared,
    SECONDARY_TLBS,
    START,
    START_END,
    START_YOUNG, //
};

mod plain;

/// Address space to register with, and whether its mmap write lock is held.
pub(crate) enum Mmap<'a> {
    /// Registering takes the lock.
    Unlocked(&'a MmWithUser),
    /// The lock is held.
    Locked(&'a MmapWriteGuard<'a>),
}

/// Returns the failure of a callback, whether the range allows it or not.
pub(crate) fn would_block(range: &Range) -> WouldBlock<'_> {
    // SAFETY:
    // - That the range is not blockable cannot be upheld; for fault injection. The core complains
    //   and continues.
    unsafe { WouldBlock::new_unchecked(range) }
}

/// Data of a notifier that one of its callbacks may remove.
#[pin_data]
pub(crate) struct Removable<T> {
    #[pin]
    notifier: T,
    #[pin]
    removal: Removal,
}

impl<T> Removable<T> {
    fn new<E>(
        notifier: impl PinInit<T, E>,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        try_pin_init!(Removable {
            notifier <- notifier,
            removal <- Removal::new(module),
        }? Error)
    }

    /// Creates the data of a notifier that no callback may remove.
    fn fixed<E>(notifier: impl PinInit<T, E>) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        try_pin_init!(Removable {
            notifier <- notifier,
            removal <- Removal::forbidden(),
        }? Error)
    }
}

/// Memory for a registration, allocated before locks are taken.
pub(crate) struct Room<R>(KBox<MaybeUninit<R>>);

impl<R> Room<R> {
    /// Allocates it.
    pub(crate) fn new() -> Result<Self> {
        Ok(Room(KBox::new_uninit(GFP_KERNEL)?))
    }
}

/// Interval notifier that may fail in any context.
pub(crate) trait FaultyInterval: Send + Sync + 'static {
    /// Called before the kernel changes the range.
    fn invalidate<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
        callback: &Callback<'_>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>>;
}

impl<T: FaultyInterval> IntervalNotifier for Removable<T> {
    fn invalidate<'a>(&self, range: &'a Range, seq: Seq<'a>) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        // SAFETY:
        // - Both are those of a live registration, and this is its callback.
        let callback =
            unsafe { Callback::new(Subscription::Interval(seq.as_raw()), &self.removal) };
        let result = self.notifier.invalidate(range, seq, &callback);
        callback.finish();
        result
    }
}

/// Interval notifier with a second pass, that may fail in any context.
#[cfg(mmu_interval_two_pass)]
pub(crate) trait FaultyTwoPass: Send + Sync + 'static {
    /// Data that the first pass leaves to the second one.
    type Pending: Send + 'static;

    /// First pass. It must return no [`Finish`] if it has removed the notifier.
    fn invalidate_start<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
        callback: &Callback<'_>,
    ) -> Result<(SeqSet<'a>, Option<KBox<Finish<Self::Pending>>>), WouldBlock<'a>>;

    /// Second pass.
    fn invalidate_finish(&self, finish: KBox<Finish<Self::Pending>>);
}

#[cfg(mmu_interval_two_pass)]
impl<T: FaultyTwoPass> TwoPassNotifier for Removable<T> {
    type Pending = T::Pending;

    fn invalidate_start<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
    ) -> Result<(SeqSet<'a>, Option<KBox<Finish<T::Pending>>>), WouldBlock<'a>> {
        // SAFETY:
        // - Both are those of a live registration, and this is its callback.
        let callback =
            unsafe { Callback::new(Subscription::Interval(seq.as_raw()), &self.removal) };
        let result = self.notifier.invalidate_start(range, seq, &callback);
        callback.finish();
        result
    }

    fn invalidate_finish(&self, finish: KBox<Finish<T::Pending>>) {
        self.notifier.invalidate_finish(finish);
    }
}

/// Registration of an interval notifier. Dropping it removes the notifier unless one of its
/// callbacks has.
pub(crate) struct FaultyIntervalRegistration<T: Send + Sync + 'static>(
    ManuallyDrop<Pin<KBox<IntervalRegistration<Removable<T>>>>>,
);

impl<T: Send + Sync + 'static> FaultyIntervalRegistration<T> {
    /// Registers a notifier of either kind. Returns the errors of [`IntervalRegistration::new`].
    pub(crate) fn new<Kind, E>(
        Room(room): Room<IntervalRegistration<Removable<T>>>,
        mmap: Mmap<'_>,
        interval: core::ops::Range<usize>,
        notifier: impl PinInit<T, E>,
        module: &'static ThisModule,
    ) -> Result<Self>
    where
        Removable<T>: IntervalCallbacks<Kind>,
        Error: From<E>,
    {
        let data = Removable::new(notifier, module);
        let registration = match mmap {
            Mmap::Unlocked(mm) => {
                room.write_pin_init(IntervalRegistration::new::<Kind, Error>(mm, interval, data))
            }
            Mmap::Locked(guard) => room
                .write_pin_init(IntervalRegistration::new_locked::<Kind, Error>(
                    guard, interval, data,
                )),
        };
        Ok(FaultyIntervalRegistration(ManuallyDrop::new(registration?)))
    }
}

impl<T: Send + Sync + 'static> Deref for FaultyIntervalRegistration<T> {
    type Target = IntervalRegistration<Removable<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Drop for FaultyIntervalRegistration<T> {
    fn drop(&mut self) {
        // SAFETY:
        // - Nothing uses the field after this.
        let registration = unsafe { ManuallyDrop::take(&mut self.0) };
        if registration.removal.begin() {
            return drop(registration);
        }
        registration.removal.wait();
        // The core may still use the subscription to find the next one, and nothing tells when it
        // has done so. The module stays, too: `Callback::remove` has seen to that.
        breach::leak(registration);
    }
}
