// SPDX-License-Identifier: GPL-2.0

//! Notifiers that answer what the contract forbids. Not part of the abstractions.
//!
//! The kernel reports such an answer and continues as if the callback had succeeded, so memory is
//! not in danger: this needs no permission as [`breach`](super::breach) does.
//!
//! The kernel prints the name of a plain notifier's callback (`%pS`), and a test of that message
//! has to know it. The callbacks here are therefore symbols that are not mangled.

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
        Subscription,
        Unsound, //
    },
    mm::MmapWriteGuard,
    mmu_interval::{
        IntervalNotifier,
        IntervalRegistration,
        Seq,
        SeqSet, //
    },
    mmu_notifier::{
        Range,
        Registration,
        WouldBlock, //
    },
};
use crate::notifier::{
    Plain,
    PlainEnd, //
};
use core::{
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref, //
};
use kernel::{
    bindings,
    mm::MmWithUser,
    prelude::*, //
};

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
}

/// Memory for a registration, allocated before locks are taken.
pub(crate) struct Room<R>(KBox<MaybeUninit<R>>);

impl<R> Room<R> {
    /// Allocates it.
    pub(crate) fn new() -> Result<Self> {
        Ok(Room(KBox::new_uninit(GFP_KERNEL)?))
    }
}

/// Plain notifier that may fail with any error, in any context, with an end callback or without.
pub(crate) trait FaultyNotifier: Send + Sync + 'static {
    /// Called before the kernel changes the range.
    fn invalidate_range_start(&self, range: &Range, callback: &Callback<'_>) -> Result;

    /// Called after the kernel has changed the range, if the notifier has an end callback.
    fn invalidate_range_end(&self, _range: &Range) {}

    /// Last callback.
    fn release(&self);
}

/// [`FaultyNotifier`] whose callbacks have names.
///
/// # Safety
///
/// The callbacks in `OPS` must be sound for the `subscription` of a live registration with data of
/// type `Removable<Self>`.
pub(crate) unsafe trait Named: FaultyNotifier {
    /// The callbacks.
    const OPS: &'static bindings::mmu_notifier_ops;
}

/// Defines the `invalidate_range_start` of a type under a name, and its table of callbacks.
macro_rules! named {
    ($type:ty, $symbol:ident, $end:expr) => {
        /// `invalidate_range_start` under the name that the kernel prints.
        ///
        /// # Safety
        ///
        /// As for [`start`], with the type named in the use of this macro.
        #[no_mangle]
        unsafe extern "C" fn $symbol(
            subscription: *mut bindings::mmu_notifier,
            range: *const bindings::mmu_notifier_range,
        ) -> c_int {
            // Keeps the functions different. The compiler may merge functions with the same body,
            // and the kernel would print the name of the other one.
            core::hint::black_box(stringify!($symbol));
            // SAFETY:
            // - The caller promises what is required.
            unsafe { start::<$type>(subscription, range) }
        }

        // SAFETY:
        // - The callbacks require what is promised, and a range or an address space that the core
        //   passes to a callback.
        unsafe impl Named for $type {
            const OPS: &'static bindings::mmu_notifier_ops = &bindings::mmu_notifier_ops {
                invalidate_range_start: Some($symbol),
                invalidate_range_end: $end,
                release: Some(release::<$type>),
                ..pin_init::zeroed()
            };
        }
    };
}

named!(Plain, mmu_notifier_inject_invalidate_range_start, None);
named!(
    PlainEnd,
    mmu_notifier_inject_paired_invalidate_range_start,
    Some(end::<PlainEnd>)
);

/// Body of every `invalidate_range_start`.
///
/// # Safety
///
/// - `subscription` must be that of a live `Registration<Removable<T>>` with data.
/// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
#[inline(always)]
unsafe fn start<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
) -> c_int {
    // SAFETY:
    // - Both pointers are as this function requires.
    let (data, range) = unsafe {
        (
            Registration::<Removable<T>>::data_from_raw(subscription),
            Range::from_raw(range),
        )
    };
    // SAFETY:
    // - Both are those of a live registration, and this is its callback.
    let callback = unsafe { Callback::new(Subscription::Plain(subscription), &data.removal) };
    let result = data.notifier.invalidate_range_start(range, &callback);
    callback.finish();
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// `invalidate_range_end`.
///
/// # Safety
///
/// As for [`start`].
unsafe extern "C" fn end<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
) {
    // SAFETY:
    // - Both pointers are as this function requires.
    let (data, range) = unsafe {
        (
            Registration::<Removable<T>>::data_from_raw(subscription),
            Range::from_raw(range),
        )
    };
    data.notifier.invalidate_range_end(range);
}

/// `release`.
///
/// # Safety
///
/// `subscription` must be that of a live `Registration<Removable<T>>` with data.
unsafe extern "C" fn release<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
) {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Registration::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.release();
}

/// Registration of a [`FaultyNotifier`]. Dropping it unregisters the notifier unless one of its
/// callbacks has.
pub(crate) struct FaultyRegistration<T: FaultyNotifier>(
    ManuallyDrop<Pin<KBox<Registration<Removable<T>>>>>,
);

impl<T: Named> FaultyRegistration<T> {
    /// Registers a notifier. Returns the errors of [`Registration::new`].
    pub(crate) fn new(
        Room(room): Room<Registration<Removable<T>>>,
        mmap: Mmap<'_>,
        notifier: T,
        module: &'static ThisModule,
    ) -> Result<Self> {
        let data = Removable::new(notifier, module);
        let registration = match mmap {
            Mmap::Unlocked(mm) => {
                let register = bindings::mmu_notifier_register;
                // SAFETY:
                // - This function takes the lock itself.
                // - The callbacks suit the type, by the requirements of `Named`.
                room.write_pin_init(unsafe { Registration::with_ops(register, mm, T::OPS, data) })
            }
            Mmap::Locked(guard) => {
                let (register, mm) = (bindings::__mmu_notifier_register, guard.mm());
                // SAFETY:
                // - By its type invariants the guard holds the lock.
                // - The callbacks suit the type, by the requirements of `Named`.
                room.write_pin_init(unsafe { Registration::with_ops(register, mm, T::OPS, data) })
            }
        };
        Ok(FaultyRegistration(ManuallyDrop::new(registration?)))
    }

    /// Registers it a second time, as [`Unsound::register_again`] says.
    pub(crate) fn register_again(
        self,
        mm: &MmWithUser,
        module: &'static ThisModule,
        unsound: Unsound,
    ) -> Result {
        let mut this = ManuallyDrop::new(self);
        // SAFETY:
        // - `this` is not dropped, so nothing else takes it.
        let registration = unsafe { ManuallyDrop::take(&mut this.0) };
        unsound.register_again(registration, mm, module)
    }
}

impl<T: FaultyNotifier> Drop for FaultyRegistration<T> {
    fn drop(&mut self) {
        // SAFETY:
        // - Nothing uses the field after this.
        let registration = unsafe { ManuallyDrop::take(&mut self.0) };
        if registration.removal.begin() {
            return drop(registration);
        }
        registration.removal.wait();
        // SAFETY:
        // - This waits for the core, which calls callbacks under SRCU, to leave the subscription
        //   after the callback that has removed it.
        // - It is not registered any more, so nothing enters it again.
        unsafe {
            bindings::mmu_notifier_synchronize();
            Registration::free_unregistered(registration);
        }
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

impl<T: FaultyInterval> FaultyIntervalRegistration<T> {
    /// Registers a notifier. Returns the errors of [`IntervalRegistration::new`].
    pub(crate) fn new(
        Room(room): Room<IntervalRegistration<Removable<T>>>,
        mmap: Mmap<'_>,
        interval: core::ops::Range<usize>,
        notifier: T,
        module: &'static ThisModule,
    ) -> Result<Self> {
        let data = Removable::new(notifier, module);
        let registration = match mmap {
            Mmap::Unlocked(mm) => {
                room.write_pin_init(IntervalRegistration::new(mm, interval, data))
            }
            Mmap::Locked(guard) => {
                room.write_pin_init(IntervalRegistration::new_locked(guard, interval, data))
            }
        };
        Ok(FaultyIntervalRegistration(ManuallyDrop::new(registration?)))
    }
}

#[cfg(mmu_interval_two_pass)]
impl<T: FaultyTwoPass> FaultyIntervalRegistration<T> {
    /// Registers a notifier with a second pass. Otherwise as [`Self::new`].
    pub(crate) fn two_pass(
        Room(room): Room<IntervalRegistration<Removable<T>>>,
        mmap: Mmap<'_>,
        interval: core::ops::Range<usize>,
        notifier: impl PinInit<T, Error>,
        module: &'static ThisModule,
    ) -> Result<Self> {
        let data = Removable::new(notifier, module);
        let registration = match mmap {
            Mmap::Unlocked(mm) => {
                room.write_pin_init(IntervalRegistration::two_pass(mm, interval, data))
            }
            Mmap::Locked(guard) => {
                room.write_pin_init(IntervalRegistration::two_pass_locked(guard, interval, data))
            }
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
