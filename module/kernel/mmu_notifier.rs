// SPDX-License-Identifier: GPL-2.0

//! MMU notifiers.
//!
//! A driver that mirrors the page tables of a process registers a notifier with the process's
//! `mm_struct`; the kernel then calls it before it changes them. There are two sorts:
//!
//! - A *notifier* hears of the whole address space: `invalidate_range_start` before a change, and
//!   `invalidate_range_end` after it.
//! - An *interval notifier* hears of one range of addresses: `invalidate`, or where the work is
//!   better done in two passes, `invalidate_start` for all of them and then `invalidate_finish`.
//!
//! A call may be *blockable* or not. Where it is not (the OOM reaper and `process_mrelease(2)`),
//! the callback must not sleep, and may refuse with `-EAGAIN`. Where it is, the callback may sleep
//! and must not refuse. A callback that can refuse must not be paired with an
//! `invalidate_range_end`, since the core cannot tell it which of its starts counted (the comment
//! above `invalidate_range_start` in `struct mmu_notifier_ops`).
//!
//! The types carry these rules:
//!
//! - A [`Refusal`](mmu_notifier::Refusal) comes from a non-blockable
//!   [`Range`](mmu_notifier::Range) only.
//! - A [`RefusingNotifier`](mmu_notifier::RefusingNotifier) has no end callback, and a
//!   [`PairedNotifier`](mmu_notifier::PairedNotifier), which has one, cannot refuse.
//! - Whoever breaks them has to say so: every way around has `in_breach_of_contract` in its name.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
//!
//! # Examples
//!
//! Three drivers that keep the contract. This file is compiled with the module's tests.
//!
//! ```ignore
#![doc = include_str!("../example.rs")]
//! ```

use super::{
    mm::MmapWriteGuard,
    Unsound, //
};
use core::{
    cell::Cell,
    convert::Infallible,
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::MmWithUser,
    prelude::*,
    sync::atomic::{
        atomic_load,
        atomic_store,
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// Defines [`Event`] from the kernel's constants, so that the list stands once.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident = $constant:ident, $name:literal;)*) => {
        /// Why the kernel invalidates a range: `enum mmu_notifier_event`.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Event {
            $($(#[doc = $doc])* $variant = bindings::$constant,)*
        }

        impl Event {
            /// All events in the kernel's order; an event's discriminant is its index.
            pub(crate) const ALL: &'static [Event] = &[$(Event::$variant),*];

            /// The kernel's name without `MMU_NOTIFY_`.
            pub(crate) const fn name(self) -> &'static CStr {
                match self {
                    $(Event::$variant => $name,)*
                }
            }

            /// The same as a string.
            pub(crate) fn name_str(self) -> &'static str {
                self.name().to_str().unwrap_or("?")
            }

            /// The event of that number, if this kernel's list has it.
            fn from_raw(raw: bindings::mmu_notifier_event) -> Option<Self> {
                match raw {
                    $(bindings::$constant => Some(Event::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

events! {
    /// The range goes away, or moves.
    Unmap = mmu_notifier_event_MMU_NOTIFY_UNMAP, c"UNMAP";
    /// The entries are cleared, for whatever reason.
    Clear = mmu_notifier_event_MMU_NOTIFY_CLEAR, c"CLEAR";
    /// The protection of the whole VMA changes.
    ProtectionVma = mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA, c"PROTECTION_VMA";
    /// The protection of single pages changes.
    ProtectionPage = mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE, c"PROTECTION_PAGE";
    /// Soft-dirty accounting.
    SoftDirty = mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY, c"SOFT_DIRTY";
    /// The notifier itself is being released.
    Release = mmu_notifier_event_MMU_NOTIFY_RELEASE, c"RELEASE";
    /// Pages migrate to or from a device.
    Migrate = mmu_notifier_event_MMU_NOTIFY_MIGRATE, c"MIGRATE";
    /// A device takes pages for itself.
    Exclusive = mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE, c"EXCLUSIVE";
}

/// The range that the kernel is about to change.
///
/// # Invariants
///
/// The value is a `struct mmu_notifier_range` that the core has filled in and does not change
/// during the callback.
#[repr(transparent)]
pub(crate) struct Range(bindings::mmu_notifier_range);

impl Range {
    /// Creates a reference from the pointer that the core passes to a callback.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialised range that nobody changes for the duration of `'a`.
    unsafe fn from_raw<'a>(ptr: *const bindings::mmu_notifier_range) -> &'a Self {
        // SAFETY:
        // - The caller promises that `ptr` is valid and unchanged during `'a`.
        // - The layout is the same because of `repr(transparent)`.
        // INVARIANT: The caller promises that the core has filled it in.
        unsafe { &*ptr.cast() }
    }

    /// First byte of the range.
    pub(crate) fn start(&self) -> u64 {
        self.0.start as u64
    }

    /// First byte after the range. Not page aligned where it is the end of the address space.
    pub(crate) fn end(&self) -> u64 {
        self.0.end as u64
    }

    /// Why the range is invalidated. [`None`] for an event that this list does not know.
    pub(crate) fn event(&self) -> Option<Event> {
        Event::from_raw(self.0.event)
    }

    /// Whether the callback may sleep, as `mmu_notifier_range_blockable()` has it.
    pub(crate) fn is_blockable(&self) -> bool {
        self.0.flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0
    }

    /// The one refusal that the contract allows: `-EAGAIN` to a call that must not block.
    ///
    /// [`None`] where the call may block, and so must not be refused.
    pub(crate) fn refuse(&self) -> Option<Refusal> {
        (!self.is_blockable()).then_some(Refusal(EAGAIN))
    }
}

/// Who removes a subscription: its registration when that is dropped, or, in breach of
/// contract, one of its own callbacks.
struct Removal(Atomic<u32>);

impl Removal {
    const NONE: u32 = 0;
    const BEGUN: u32 = 1;
    const DONE: u32 = 2;

    /// Nobody does.
    fn none() -> Self {
        Removal(Atomic::new(Self::NONE))
    }

    /// Begins to. False where somebody else has begun already.
    fn begin(&self) -> bool {
        self.0.cmpxchg(Self::NONE, Self::BEGUN, Acquire).is_ok()
    }

    /// A callback that has removed its subscription is done with it.
    fn finish(&self) {
        // ORDERING: Pairs with the load in `wait()`: what the callback has done comes before
        // the memory goes.
        self.0.store(Self::DONE, Release);
    }

    /// Waits for the callback that has begun. For ever, where the kernel does not let it
    /// return: the subscription is in use as long, so its memory must stay.
    fn wait(&self) {
        while self.0.load(Acquire) != Self::DONE {
            fsleep(Delta::from_millis(10));
        }
    }
}

/// A call of `invalidate_range_start`: the range, and whose notifier it is.
///
/// # Invariants
///
/// `subscription` and `removal` are those of a live registration, whose callback is running.
pub(crate) struct Call<'a> {
    range: &'a Range,
    subscription: *mut bindings::mmu_notifier,
    removal: &'a Removal,
    has_removed: Cell<bool>,
}

impl Deref for Call<'_> {
    type Target = Range;

    fn deref(&self) -> &Range {
        self.range
    }
}

impl Call<'_> {
    /// Unregisters the notifier from its own callback, once. No kernel that waits for running
    /// callbacks ever returns from that.
    ///
    /// Unsound on purpose: the caller accepts that, and that the kernel gives up its reference
    /// to the address space. Whoever has registered the notifier must hold one of his own.
    pub(crate) fn unregister_in_breach_of_contract(&self, _: Unsound) {
        if !self.removal.begin() {
            return;
        }
        self.has_removed.set(true);
        // SAFETY:
        // - By the type invariants the subscription is registered with the `mm` that it names;
        //   nobody else has removed it, since we are the first.
        // - It must not be called in a callback, and this is one: the caller accepts that.
        unsafe { bindings::mmu_notifier_unregister(self.subscription, (*self.subscription).mm) };
    }

    /// The last thing that a callback does.
    fn finish(self) {
        if self.has_removed.get() {
            self.removal.finish();
        }
    }
}

/// An address space to register with, and whether its `mmap_lock` is held.
pub(crate) enum Mmap<'a> {
    /// It is not held; registering takes it for writing.
    Unlocked(&'a MmWithUser),
    /// It is held for writing.
    Locked(&'a MmapWriteGuard<'a>),
}

impl<'a> From<&'a MmWithUser> for Mmap<'a> {
    fn from(mm: &'a MmWithUser) -> Self {
        Mmap::Unlocked(mm)
    }
}

impl<'a> From<&'a MmapWriteGuard<'a>> for Mmap<'a> {
    fn from(guard: &'a MmapWriteGuard<'a>) -> Self {
        Mmap::Locked(guard)
    }
}

/// A callback's "no", made by [`Range::refuse`].
pub(crate) struct Refusal(Error);

impl Refusal {
    /// A refusal that breaks the contract: for fault injection only.
    ///
    /// The caller of the notifier goes on as if it had agreed, so a driver that does this has
    /// a bug; the kernel is expected to complain.
    pub(crate) fn in_breach_of_contract(error: Error) -> Self {
        Refusal(error)
    }

    /// What the core is told.
    fn to_errno(&self) -> c_int {
        self.0.to_errno()
    }
}

/// A refusal by a notifier that has an end callback as well.
pub(crate) struct PairedRefusal(Refusal);

impl PairedRefusal {
    /// Refuses although the notifier has an end callback: for fault injection only.
    ///
    /// The core calls the end of every notifier that has one when any of them refused, and
    /// such a notifier cannot tell which of its starts that end belongs to.
    pub(crate) fn in_breach_of_contract(refusal: Refusal) -> Self {
        PairedRefusal(refusal)
    }
}

/// What the start of a [`PairedNotifier`] may answer besides yes: nothing ([`Infallible`]), or
/// a [`PairedRefusal`], of which every one breaks the contract.
pub(crate) trait RefusalOfPaired: sealed::Sealed {
    /// What the core is told.
    fn to_errno(&self) -> c_int;
}

impl RefusalOfPaired for Infallible {
    fn to_errno(&self) -> c_int {
        match *self {}
    }
}

impl RefusalOfPaired for PairedRefusal {
    fn to_errno(&self) -> c_int {
        self.0.to_errno()
    }
}

mod sealed {
    /// Nobody else is to invent an answer.
    pub(crate) trait Sealed {}
    impl Sealed for core::convert::Infallible {}
    impl Sealed for super::PairedRefusal {}
}

/// A notifier that may refuse, and that therefore has no end callback.
///
/// All callbacks are called with locks of the memory management held, in reclaim too: they
/// must not allocate with anything that may reclaim, must neither take nor rely on
/// `mmap_lock`, and `current` need not be the process whose memory it is. Several calls may be
/// under way at once.
///
/// Implement the table that the kernel calls with [`refusing_notifier!`].
pub(crate) trait RefusingNotifier: Send + Sync {
    /// The kernel is about to change the range. May sleep only where [`Range::is_blockable`].
    fn invalidate_range_start(&self, call: &Call<'_>) -> Result<(), Refusal>;

    /// The address space goes away, or this notifier does. Nothing is called after it. May
    /// sleep.
    fn release(&self) {}
}

/// A notifier that hears of the end of a change as well, and that therefore must not refuse.
///
/// What is said of callbacks at [`RefusingNotifier`] holds here, too. Implement the table that
/// the kernel calls with [`paired_notifier!`].
pub(crate) trait PairedNotifier: Send + Sync {
    /// [`Infallible`] for every driver that keeps the contract.
    type Refusal: RefusalOfPaired;

    /// The kernel is about to change the range. May sleep only where [`Range::is_blockable`].
    fn invalidate_range_start(&self, call: &Call<'_>) -> Result<(), Self::Refusal>;

    /// The kernel has changed `range`, or has not, because another notifier refused. May sleep
    /// only where [`Range::is_blockable`].
    fn invalidate_range_end(&self, range: &Range);

    /// As [`RefusingNotifier::release`].
    fn release(&self) {}
}

/// The table of callbacks of a notifier. Implemented by [`refusing_notifier!`] and
/// [`paired_notifier!`] only.
///
/// # Safety
///
/// Every callback in `OPS` must be sound for a subscription that is the `subscription` of a
/// live `Registration<Self>`.
pub(crate) unsafe trait Operations: Send + Sync + Sized {
    /// The callbacks.
    const OPS: &'static bindings::mmu_notifier_ops;
}

/// The registration, from what the core passes to a callback.
///
/// # Safety
///
/// `subscription` must be the `subscription` of a `Registration<T>` that lives for `'a`.
#[inline(always)]
unsafe fn registration_of<'a, T: Operations + 'a>(
    subscription: *mut bindings::mmu_notifier,
) -> &'a Registration<T> {
    // SAFETY:
    // - By this function's requirements, `subscription` is that field of a live registration.
    // - `Opaque<T>` has the layout of `T`.
    unsafe {
        &*kernel::container_of!(
            Opaque::cast_from(subscription),
            Registration<T>,
            subscription
        )
    }
}

/// What a callback `start` makes of a call, as the core is told.
///
/// # Safety
///
/// - `subscription` must be the `subscription` of a live `Registration<T>`.
/// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
#[inline(always)]
unsafe fn range_start<T: Operations>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
    start: impl FnOnce(&T, &Call<'_>) -> c_int,
) -> c_int {
    // SAFETY:
    // - `subscription` is that of a live registration, by this function's requirements.
    let registration: &Registration<T> = unsafe { registration_of(subscription) };
    // SAFETY:
    // - `range` is valid and does not change during the call, by this function's requirements.
    let range = unsafe { Range::from_raw(range) };

    // INVARIANT: Both are those of a live registration, and this is its callback.
    let call = Call {
        range,
        subscription,
        removal: &registration.removal,
        has_removed: Cell::new(false),
    };
    let returned = start(&registration.notifier, &call);
    call.finish();
    returned
}

/// The body of every `invalidate_range_start` of a [`RefusingNotifier`].
///
/// # Safety
///
/// - `subscription` must be the `subscription` of a live `Registration<T>`.
/// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
#[inline(always)]
pub(crate) unsafe fn refusing_range_start<T: RefusingNotifier + Operations>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
) -> c_int {
    let start = |notifier: &T, call: &Call<'_>| match notifier.invalidate_range_start(call) {
        Ok(()) => 0,
        Err(refusal) => refusal.to_errno(),
    };
    // SAFETY:
    // - Both pointers are as this function requires.
    unsafe { range_start(subscription, range, start) }
}

/// The body of every `invalidate_range_start` of a [`PairedNotifier`].
///
/// # Safety
///
/// As for [`refusing_range_start`].
#[inline(always)]
pub(crate) unsafe fn paired_range_start<T: PairedNotifier + Operations>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
) -> c_int {
    let start = |notifier: &T, call: &Call<'_>| match notifier.invalidate_range_start(call) {
        Ok(()) => 0,
        Err(refusal) => refusal.to_errno(),
    };
    // SAFETY:
    // - Both pointers are as this function requires.
    unsafe { range_start(subscription, range, start) }
}

/// `invalidate_range_end` of a [`PairedNotifier`].
///
/// # Safety
///
/// As for [`refusing_range_start`].
pub(crate) unsafe extern "C" fn paired_range_end<T: PairedNotifier + Operations>(
    subscription: *mut bindings::mmu_notifier,
    range: *const bindings::mmu_notifier_range,
) {
    // SAFETY:
    // - `subscription` is that of a live registration, by this function's requirements.
    let registration: &Registration<T> = unsafe { registration_of(subscription) };
    // SAFETY:
    // - `range` is valid and does not change during the call, by this function's requirements.
    let range = unsafe { Range::from_raw(range) };
    registration.notifier.invalidate_range_end(range);
}

/// `release` of a [`RefusingNotifier`].
///
/// # Safety
///
/// `subscription` must be the `subscription` of a live `Registration<T>`.
pub(crate) unsafe extern "C" fn refusing_release<T: RefusingNotifier + Operations>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
) {
    // SAFETY:
    // - `subscription` is that of a live registration, by this function's requirements.
    let registration: &Registration<T> = unsafe { registration_of(subscription) };
    registration.notifier.release();
}

/// `release` of a [`PairedNotifier`].
///
/// # Safety
///
/// As for [`refusing_release`].
pub(crate) unsafe extern "C" fn paired_release<T: PairedNotifier + Operations>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
) {
    // SAFETY:
    // - `subscription` is that of a live registration, by this function's requirements.
    let registration: &Registration<T> = unsafe { registration_of(subscription) };
    registration.notifier.release();
}

/// The function that the kernel calls as `invalidate_range_start`, with its table.
///
/// The kernel prints the function's name (`%pS`) when it fails, so it is an unmangled symbol
/// that the user of the macro chooses.
#[doc(hidden)]
macro_rules! notifier_operations {
    ($type:ty, $symbol:ident, $start:ident, { $($field:ident: $callback:ident),* }) => {
        /// `invalidate_range_start`, under the name that the kernel prints.
        ///
        /// # Safety
        ///
        /// Called by the mmu notifier core only, with the subscription of a live registration
        /// of the type named in this macro's use.
        #[no_mangle]
        unsafe extern "C" fn $symbol(
            subscription: *mut ::kernel::bindings::mmu_notifier,
            range: *const ::kernel::bindings::mmu_notifier_range,
        ) -> ::kernel::ffi::c_int {
            // Two callbacks of the same body would be made one function, and the kernel would
            // print the other one's name.
            ::core::hint::black_box(::core::stringify!($symbol));
            // SAFETY:
            // - The core passes the subscription that was registered with these operations,
            //   which is part of a live registration: it is only freed after
            //   `mmu_notifier_unregister()` has waited for all callbacks.
            // - The core passes a range that it has filled in and keeps for the call.
            unsafe { $crate::abstractions::mmu_notifier::$start::<$type>(subscription, range) }
        }

        // SAFETY:
        // - The callbacks are the one above and those of the abstraction, which ask for no more
        //   than a subscription of a live registration of this type, and a range that the core
        //   has filled in.
        unsafe impl $crate::abstractions::mmu_notifier::Operations for $type {
            const OPS: &'static ::kernel::bindings::mmu_notifier_ops =
                &::kernel::bindings::mmu_notifier_ops {
                    invalidate_range_start: Some($symbol),
                    $($field: Some($crate::abstractions::mmu_notifier::$callback::<$type>),)*
                    ..::pin_init::zeroed()
                };
        }
    };
}
pub(crate) use notifier_operations;

/// Makes a [`RefusingNotifier`] one that can be registered, with the name of its callback.
macro_rules! refusing_notifier {
    ($type:ty, $symbol:ident) => {
        $crate::abstractions::mmu_notifier::notifier_operations!(
            $type,
            $symbol,
            refusing_range_start,
            { release: refusing_release }
        );
    };
}
pub(crate) use refusing_notifier;

/// Makes a [`PairedNotifier`] one that can be registered, with the name of its callback.
macro_rules! paired_notifier {
    ($type:ty, $symbol:ident) => {
        $crate::abstractions::mmu_notifier::notifier_operations!(
            $type,
            $symbol,
            paired_range_start,
            { invalidate_range_end: paired_range_end, release: paired_release }
        );
    };
}
pub(crate) use paired_notifier;

/// A notifier that is registered with an address space.
///
/// Dropping it unregisters the notifier and waits until no callback runs any more, so it may
/// sleep, and must not happen in a callback. It works whether the process still lives or not.
///
/// # Invariants
///
/// `subscription` is registered with the `mm` that it names, to which the core holds a
/// reference (`mmgrab`), until whoever is the first in `removal` unregisters it.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Operations> {
    #[pin]
    subscription: Opaque<bindings::mmu_notifier>,
    removal: Removal,
    notifier: T,
}

// SAFETY:
// - A subscription may be unregistered from any thread, and `T` is `Send`.
unsafe impl<T: Operations> Send for Registration<T> {}

// SAFETY:
// - Shared access reaches `notifier`, which is `Sync`, and reads what the core never changes
//   after the registration.
unsafe impl<T: Operations> Sync for Registration<T> {}

impl<T: Operations> Registration<T> {
    /// Registers `notifier` with an address space.
    ///
    /// Takes its `mmap_lock` for writing unless the caller holds it, so it may sleep.
    /// Callbacks may come in before this returns. Fails with `ENOMEM`, or `EINTR` where a
    /// signal ended the wait for all locks.
    pub(crate) fn new<'a>(mmap: impl Into<Mmap<'a>>, notifier: T) -> impl PinInit<Self, Error> + 'a
    where
        T: 'a,
    {
        let mmap = mmap.into();
        try_pin_init!(Self {
            // These come first: callbacks may run as soon as it is registered.
            notifier,
            removal: Removal::none(),
            // INVARIANT: On success the subscription is registered, and the core holds a
            // reference to the `mm` for it.
            subscription <- Opaque::try_ffi_init(move |ptr: *mut bindings::mmu_notifier| {
                // SAFETY:
                // - `ptr` is valid for writes, and an all-zero `mmu_notifier` is valid.
                unsafe {
                    ptr.write(pin_init::zeroed());
                    (*ptr).ops = T::OPS;
                }
                // SAFETY:
                // - `ptr` is a pinned notifier with operations that suit it: `T::OPS` asks
                //   for a subscription inside a `Registration<T>`, which this is.
                // - The `mm` has users, by the invariants of `MmWithUser`.
                // - Its lock is held where it has to be, by those of `MmapWriteGuard`.
                to_result(unsafe {
                    match mmap {
                        Mmap::Unlocked(mm) => {
                            bindings::mmu_notifier_register(ptr, mm.as_raw())
                        }
                        Mmap::Locked(guard) => {
                            bindings::__mmu_notifier_register(ptr, guard.mm().as_raw())
                        }
                    }
                })
            }),
        }? Error)
    }

    /// Registers it a second time. The core, which does not look, makes a circle of its list,
    /// which nobody who walks it ever leaves.
    ///
    /// It can never be unregistered again: it stays for ever, and so does the module whose
    /// code its callbacks are, unless this fails as [`Self::new`], or with `ENODEV` while
    /// the module is being unloaded.
    ///
    /// Unsound on purpose: the caller accepts that the list is corrupted.
    pub(crate) fn register_again_in_breach_of_contract(
        this: Pin<KBox<Self>>,
        mm: &MmWithUser,
        module: &'static ThisModule,
        _: Unsound,
    ) -> Result {
        // SAFETY:
        // - `module` is the module that it stands for.
        if !unsafe { bindings::try_module_get(module.as_ptr()) } {
            return Err(ENODEV);
        }
        // SAFETY:
        // - The subscription is pinned, and has operations that suit it.
        // - `mm` has users, by the invariants of `MmWithUser`.
        // - It must not be registered already, and is: the caller accepts that.
        let result = to_result(unsafe {
            bindings::mmu_notifier_register(this.subscription.get(), mm.as_raw())
        });
        if result.is_err() {
            // SAFETY:
            // - This gives up the reference from above.
            unsafe { bindings::module_put(module.as_ptr()) };
            return result;
        }
        // SAFETY:
        // - What is leaked is never moved.
        KBox::leak(unsafe { Pin::into_inner_unchecked(this) });
        Ok(())
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        let subscription = self.subscription.get();
        if !self.removal.begin() {
            return self.removal.wait();
        }
        // SAFETY:
        // - By the type invariants the subscription is registered with the `mm` it names.
        // - The core holds a reference to that `mm` until this call is done.
        unsafe { bindings::mmu_notifier_unregister(subscription, (*subscription).mm) };
    }
}

/// A call of an interval notifier: the range, the number of this invalidation, and whose
/// notifier it is.
///
/// # Invariants
///
/// `subscription` and `removal` are those of a live registration, whose callback is running.
pub(crate) struct Invalidation<'a> {
    range: &'a Range,
    cur_seq: c_ulong,
    subscription: *mut bindings::mmu_interval_notifier,
    removal: &'a Removal,
    has_removed: Cell<bool>,
}

impl Invalidation<'_> {
    /// The range that the kernel is about to change.
    pub(crate) fn range(&self) -> &Range {
        self.range
    }

    /// The number of this invalidation: odd, and the same for all that hear of it.
    pub(crate) fn seq(&self) -> u64 {
        self.cur_seq as u64
    }

    /// Lets whoever began to look at the range before this see that it has changed
    /// (`mmu_interval_set_seq()`).
    ///
    /// Must be called under the lock under which the driver calls
    /// [`IntervalRegistration::read_retry`]. Never sleeps.
    pub(crate) fn set_seq(&self) -> SequenceSet<'_> {
        // SAFETY:
        // - By the type invariants the subscription is that of a live registration, so the
        //   field is valid, and it is aligned.
        // - Others access it atomically only: `mmu_interval_read_begin()`, and `read_retry()`.
        unsafe {
            atomic_store(
                &raw mut (*self.subscription).invalidate_seq,
                self.cur_seq,
                Relaxed,
            )
        };
        SequenceSet(PhantomData)
    }

    /// As [`Call::unregister_in_breach_of_contract`], with `mmu_interval_notifier_remove()`.
    pub(crate) fn remove_in_breach_of_contract(&self, _: Unsound) {
        if !self.removal.begin() {
            return;
        }
        self.has_removed.set(true);
        // SAFETY:
        // - By the type invariants the subscription is in the tree of the `mm` that it names;
        //   nobody else has removed it, since we are the first.
        // - It must not be called in a callback, and this is one: the caller accepts that.
        unsafe { bindings::mmu_interval_notifier_remove(self.subscription) };
    }

    /// The last thing that a callback does.
    fn finish(self) {
        if self.has_removed.get() {
            self.removal.finish();
        }
    }
}

/// Shows that a callback has called [`Invalidation::set_seq`], without which it cannot agree.
#[must_use = "a callback returns it when it agrees"]
pub(crate) struct SequenceSet<'a>(PhantomData<&'a ()>);

/// A notifier that hears of one range of addresses.
///
/// What is said of callbacks at [`RefusingNotifier`] holds here, too.
pub(crate) trait IntervalNotifier: Send + Sync {
    /// The kernel is about to change the range, part of which is in the interval. May sleep
    /// only where [`Range::is_blockable`].
    ///
    /// The core asks for [`Invalidation::set_seq`] in every call. One that refuses because it
    /// cannot have its lock without sleeping cannot do that either; nothing is changed then.
    ///
    /// The core takes every refusal for `-EAGAIN`: `invalidate` returns a `bool`.
    fn invalidate<'a>(
        &self,
        invalidation: &'a Invalidation<'_>,
    ) -> Result<SequenceSet<'a>, Refusal>;
}

/// An interval notifier whose work is done in two passes: all of them start, then all finish.
#[cfg(mmu_interval_two_pass)]
pub(crate) trait TwoPassNotifier: Send + Sync {
    /// What the finish has to know of its start.
    type Pending: Send;

    /// As [`IntervalNotifier::invalidate`]. With [`Some`], the finish is called later on,
    /// before the kernel changes the range.
    fn invalidate_start<'a>(
        &self,
        invalidation: &'a Invalidation<'_>,
    ) -> Result<(SequenceSet<'a>, Option<Self::Pending>), Refusal>;

    /// The second pass. Must not sleep, since the range may not have been blockable.
    fn invalidate_finish(&self, pending: Self::Pending);
}

/// The table of callbacks of an interval notifier, with what they need in the registration.
///
/// # Safety
///
/// Every callback in `OPS` must be sound for an interval notifier that is the `subscription`
/// of a live `IntervalRegistration<Self>`.
pub(crate) unsafe trait IntervalOperations: Send + Sync {
    /// The callbacks.
    const OPS: &'static bindings::mmu_interval_notifier_ops;
}

/// An [`IntervalNotifier`] that can be registered.
pub(crate) struct OnePass<T>(pub(crate) T);

// SAFETY:
// - The only callback asks for what the trait demands.
unsafe impl<T: IntervalNotifier> IntervalOperations for OnePass<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate: Some(Self::invalidate),
            ..pin_init::zeroed()
        };
}

impl<T: IntervalNotifier> OnePass<T> {
    /// # Safety
    ///
    /// - `subscription` must be the `subscription` of a live `IntervalRegistration<Self>`.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    unsafe extern "C" fn invalidate(
        subscription: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        cur_seq: c_ulong,
    ) -> bool {
        // SAFETY:
        // - `subscription` is that of a live registration, by this function's requirements.
        let registration = unsafe { &*interval_registration_of::<Self>(subscription) };
        // SAFETY:
        // - `range` is valid and does not change during the call, by this function's
        //   requirements.
        let range = unsafe { Range::from_raw(range) };

        // INVARIANT: Both are those of a live registration, and this is its callback.
        let invalidation = Invalidation {
            range,
            cur_seq,
            subscription,
            removal: &registration.removal,
            has_removed: Cell::new(false),
        };
        let OnePass(notifier) = &registration.notifier;
        let agrees = notifier.invalidate(&invalidation).is_ok();
        invalidation.finish();
        agrees
    }
}

/// A [`TwoPassNotifier`] that can be registered.
#[cfg(mmu_interval_two_pass)]
pub(crate) struct TwoPass<T: TwoPassNotifier> {
    notifier: T,
    pool: [FinishSlot<T::Pending>; FINISH_SLOTS],
}

/// How many starts of one notifier may wait for their finish at once. One that finds no slot
/// does all in its first pass, as the core has it for one that cannot allocate.
#[cfg(mmu_interval_two_pass)]
const FINISH_SLOTS: usize = 4;

/// The core's link to a start that waits for its finish, and what the finish is told.
///
/// # Invariants
///
/// Whoever has changed `taken` from false to true owns `link` and `pending` until he changes
/// it back; from then on until the finish, `pending` has a value.
#[cfg(mmu_interval_two_pass)]
#[repr(C)]
struct FinishSlot<P> {
    // First, so that the core's pointer to it is one to the slot.
    link: Opaque<bindings::mmu_interval_notifier_finish>,
    pending: core::cell::UnsafeCell<core::mem::MaybeUninit<P>>,
    taken: kernel::sync::atomic::Atomic<bool>,
}

// SAFETY:
// - What is in a slot is a `P`, which is `Send`, and belongs to one thread at a time.
#[cfg(mmu_interval_two_pass)]
unsafe impl<P: Send> Send for FinishSlot<P> {}

// SAFETY:
// - By the type invariants, one thread at a time has access to what is in a slot.
#[cfg(mmu_interval_two_pass)]
unsafe impl<P: Send> Sync for FinishSlot<P> {}

#[cfg(mmu_interval_two_pass)]
impl<P> FinishSlot<P> {
    fn new() -> Self {
        FinishSlot {
            link: Opaque::zeroed(),
            pending: core::cell::UnsafeCell::new(core::mem::MaybeUninit::uninit()),
            taken: kernel::sync::atomic::Atomic::new(false),
        }
    }
}

// SAFETY:
// - The callbacks ask for what the trait demands, and the finish for a link that the start has
//   given out, as the core has it.
#[cfg(mmu_interval_two_pass)]
unsafe impl<T: TwoPassNotifier> IntervalOperations for TwoPass<T> {
    const OPS: &'static bindings::mmu_interval_notifier_ops =
        &bindings::mmu_interval_notifier_ops {
            invalidate_start: Some(Self::invalidate_start),
            invalidate_finish: Some(Self::invalidate_finish),
            ..pin_init::zeroed()
        };
}

#[cfg(mmu_interval_two_pass)]
impl<T: TwoPassNotifier> TwoPass<T> {
    /// Makes `notifier` one that can be registered.
    pub(crate) fn new(notifier: T) -> Self {
        TwoPass {
            notifier,
            pool: core::array::from_fn(|_| FinishSlot::new()),
        }
    }

    /// # Safety
    ///
    /// - `subscription` must be the `subscription` of a live `IntervalRegistration<Self>`.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    /// - `finish` must be valid for writes.
    unsafe extern "C" fn invalidate_start(
        subscription: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        cur_seq: c_ulong,
        finish: *mut *mut bindings::mmu_interval_notifier_finish,
    ) -> bool {
        // SAFETY:
        // - `subscription` is that of a live registration, by this function's requirements.
        let registration = unsafe { &*interval_registration_of::<Self>(subscription) };
        // SAFETY:
        // - `range` is valid and does not change during the call, by this function's
        //   requirements.
        let range = unsafe { Range::from_raw(range) };

        // INVARIANT: Both are those of a live registration, and this is its callback.
        let invalidation = Invalidation {
            range,
            cur_seq,
            subscription,
            removal: &registration.removal,
            has_removed: Cell::new(false),
        };
        let this = &registration.notifier;
        let (agrees, pending) = match this.notifier.invalidate_start(&invalidation) {
            Ok((_, pending)) => (true, pending),
            Err(_) => (false, None),
        };
        if let Some(pending) = pending {
            // Nobody may finish later what is removed already.
            let link = match invalidation.has_removed.get() {
                true => Err(pending),
                false => this.keep(pending),
            };
            match link {
                // SAFETY:
                // - `finish` is valid for writes, by this function's requirements.
                Ok(link) => unsafe { finish.write(link) },
                Err(pending) => this.notifier.invalidate_finish(pending),
            }
        }
        invalidation.finish();
        agrees
    }

    /// Keeps `pending` for the finish to which the link will be given. Gives it back where
    /// there is no room.
    fn keep(
        &self,
        pending: T::Pending,
    ) -> Result<*mut bindings::mmu_interval_notifier_finish, T::Pending> {
        let free = self.pool.iter().find(|slot| {
            slot.taken
                .cmpxchg(false, true, kernel::sync::atomic::Acquire)
                .is_ok()
        });
        let Some(slot) = free else {
            return Err(pending);
        };
        // SAFETY:
        // - By its type invariants the slot is ours, since we have taken it.
        unsafe { (*slot.pending.get()).write(pending) };
        Ok(slot.link.get())
    }

    /// # Safety
    ///
    /// `finish` must be what [`Self::invalidate_start`] gave out, with its `notifier` set by
    /// the core to the `subscription` of a live `IntervalRegistration<Self>`. The core must
    /// not use it any more.
    unsafe extern "C" fn invalidate_finish(finish: *mut bindings::mmu_interval_notifier_finish) {
        // SAFETY:
        // - The core has set `notifier`, and it is that of a live registration, by this
        //   function's requirements.
        let registration = unsafe { &*interval_registration_of::<Self>((*finish).notifier) };
        // SAFETY:
        // - `finish` is the first field of a slot of the same registration.
        let slot = unsafe { &*finish.cast::<FinishSlot<T::Pending>>() };
        // SAFETY:
        // - By its type invariants the slot is that start's, and has a value.
        let pending = unsafe { (*slot.pending.get()).assume_init_read() };
        slot.taken.store(false, kernel::sync::atomic::Release);
        registration.notifier.notifier.invalidate_finish(pending);
    }
}

/// The registration, from what the core passes to a callback.
///
/// # Safety
///
/// `subscription` must be the `subscription` of a live `IntervalRegistration<T>`, and what is
/// returned is valid as long as that is.
#[inline(always)]
unsafe fn interval_registration_of<T: IntervalOperations>(
    subscription: *mut bindings::mmu_interval_notifier,
) -> *const IntervalRegistration<T> {
    // SAFETY:
    // - By this function's requirements, `subscription` is that field of a live registration.
    // - `Opaque<T>` has the layout of `T`.
    unsafe {
        kernel::container_of!(
            Opaque::cast_from(subscription),
            IntervalRegistration<T>,
            subscription
        )
    }
}

/// An interval notifier that is registered with an address space.
///
/// Dropping it removes the notifier and waits until no invalidation of the address space is
/// under way, so it may sleep, and must not happen in a callback.
///
/// # Invariants
///
/// `subscription` is in the interval tree of the `mm` that it names, to which the core holds a
/// reference (`mmgrab`), until whoever is the first in `removal` removes it.
#[pin_data(PinnedDrop)]
pub(crate) struct IntervalRegistration<T: IntervalOperations> {
    #[pin]
    subscription: Opaque<bindings::mmu_interval_notifier>,
    removal: Removal,
    notifier: T,
}

// SAFETY:
// - An interval notifier may be removed from any thread, and `T` is `Send`.
unsafe impl<T: IntervalOperations> Send for IntervalRegistration<T> {}

// SAFETY:
// - Shared access reaches `notifier`, which is `Sync`, and reads what the core never changes
//   after the registration.
unsafe impl<T: IntervalOperations> Sync for IntervalRegistration<T> {}

impl<T: IntervalOperations> IntervalRegistration<T> {
    /// Registers `notifier` for the addresses from `start` to before `end`.
    ///
    /// The first one of an address space takes its `mmap_lock` for writing unless the caller
    /// holds it; all may sleep. Callbacks may come in before this returns. Fails with
    /// `EOVERFLOW` unless `start` is below `end`, with `ENOMEM`, or with `EINTR` as
    /// [`Registration::new`].
    pub(crate) fn new<'a>(
        mmap: impl Into<Mmap<'a>>,
        start: u64,
        end: u64,
        notifier: T,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: 'a,
    {
        let mmap = mmap.into();
        try_pin_init!(Self {
            // These come first: callbacks may run as soon as it is registered.
            notifier,
            removal: Removal::none(),
            // INVARIANT: On success the subscription is in the tree, and the core holds a
            // reference to the `mm` for it.
            subscription <- Opaque::try_ffi_init(
                move |ptr: *mut bindings::mmu_interval_notifier| {
                    let length = end.checked_sub(start).ok_or(EOVERFLOW)?;
                    let (start, length) = (start as c_ulong, length as c_ulong);
                    // SAFETY:
                    // - `ptr` is valid for writes, and an all-zero `mmu_interval_notifier` is
                    //   valid.
                    unsafe { ptr.write(pin_init::zeroed()) };
                    // SAFETY:
                    // - `ptr` is a pinned notifier, and `T::OPS` asks for one inside an
                    //   `IntervalRegistration<T>`, which this is.
                    // - The `mm` has users, by the invariants of `MmWithUser`.
                    // - Its lock is held where it has to be, by those of `MmapWriteGuard`.
                    to_result(unsafe {
                        match mmap {
                            Mmap::Unlocked(mm) => bindings::mmu_interval_notifier_insert(
                                ptr,
                                mm.as_raw(),
                                start,
                                length,
                                T::OPS,
                            ),
                            Mmap::Locked(guard) => {
                                bindings::mmu_interval_notifier_insert_locked(
                                    ptr,
                                    guard.mm().as_raw(),
                                    start,
                                    length,
                                    T::OPS,
                                )
                            }
                        }
                    })
                }
            ),
        }? Error)
    }

    /// Begins to look at the range (`mmu_interval_read_begin()`), and returns the number of the
    /// last invalidation of it.
    ///
    /// What is found in the page tables from now on may be used if [`Self::read_retry`] then
    /// says false. Where an invalidation of the range is under way, this waits for its end,
    /// and no signal ends the wait: it must not be called with a lock that a callback takes.
    pub(crate) fn read_begin(&self) -> u64 {
        // SAFETY:
        // - By the type invariants the subscription is in the tree of an `mm` to which the
        //   core holds a reference; or whoever has let it be removed holds one.
        let seq = unsafe { bindings::mmu_interval_read_begin(self.subscription.get()) };
        seq as u64
    }

    /// Whether the range was invalidated since [`Self::read_begin`] returned `seq`, so that
    /// what was found must not be used (`mmu_interval_read_retry()`).
    ///
    /// Must be called under the lock under which the callback calls
    /// [`Invalidation::set_seq`], and what was found must be taken over under the same.
    pub(crate) fn read_retry(&self, seq: u64) -> bool {
        let subscription = self.subscription.get();
        // SAFETY:
        // - The field is valid and aligned.
        // - After the registration only `Invalidation::set_seq()` writes it, atomically.
        let now = unsafe { atomic_load(&raw mut (*subscription).invalidate_seq, Relaxed) };
        now as u64 != seq
    }
}

#[pinned_drop]
impl<T: IntervalOperations> PinnedDrop for IntervalRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        if !self.removal.begin() {
            return self.removal.wait();
        }
        // SAFETY:
        // - By the type invariants it is in the tree of an `mm` to which the core holds a
        //   reference until this call is done.
        unsafe { bindings::mmu_interval_notifier_remove(self.subscription.get()) };
    }
}
