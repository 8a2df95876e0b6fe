// SPDX-License-Identifier: GPL-2.0

//! Everything of this module that touches `bindings`, and all of its `unsafe`.
//!
//! Leaf modules are not to use `bindings` (Documentation/rust/general-information.rst), but no
//! abstraction of mmu notifiers exists upstream yet, and `kernel::debugfs` puts its file
//! operations, with their `release`, into the module that uses it without an owner: a file held
//! open over `rmmod` would call into freed memory when it is closed. So what is missing stands
//! here, shaped as it would stand in `rust/kernel/`:
//!
//! - [`mmu_notifier`], as `rust/kernel/mm/mmu_notifier.rs`,
//! - [`mm`], as additions to `rust/kernel/mm.rs`,
//! - [`debugfs`], as an addition of `struct debugfs_short_fops` to `rust/kernel/debugfs.rs`,
//! - [`chardev`], as an addition of data that every open file shares to
//!   `rust/kernel/miscdevice.rs`,
//! - [`stack`], as `rust/kernel/stacktrace.rs`,
//! - [`errno`], as additions to `rust/kernel/error.rs`,
//! - [`task`], as additions to `rust/kernel/task.rs`, `rust/kernel/time.rs` and the like.

use kernel::{
    iov::IovIterDest,
    prelude::*,
    uaccess::UserSliceWriter, //
};

/// Leave to do what is unsound, for fault injection only.
///
/// Whoever makes one accepts, for whoever has asked for it, that from then on the kernel may hang,
/// crash, or corrupt memory. The functions that take it are named after the contract that they
/// break, and are no `unsafe fn` because nobody could keep what they would ask for: to break it is
/// what they are for.
#[derive(Clone, Copy)]
pub(crate) struct Unsound(());

impl Unsound {
    /// Accepts it.
    pub(crate) const fn accepted() -> Self {
        Unsound(())
    }
}

/// Where what is read goes: `UserSliceWriter` and `IovIterDest` are the same to a file.
pub(crate) trait Output {
    /// How many bytes it still takes.
    fn room(&self) -> usize;

    /// Takes all of them. Fails with `EFAULT`.
    fn put(&mut self, bytes: &[u8]) -> Result;
}

impl Output for UserSliceWriter {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        self.write_slice(bytes)
    }
}

impl Output for IovIterDest<'_> {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        if self.copy_to_iter(bytes) == bytes.len() {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }
}

/// MMU notifiers.
///
/// A driver that mirrors the page tables of a process registers a notifier with the process's
/// `mm_struct`; the kernel then calls it before it changes them. There are two sorts:
///
/// - A *notifier* hears of the whole address space: `invalidate_range_start` before a change, and
///   `invalidate_range_end` after it.
/// - An *interval notifier* hears of one range of addresses: `invalidate`, or where the work is
///   better done in two passes, `invalidate_start` for all of them and then `invalidate_finish`.
///
/// A call may be *blockable* or not. Where it is not (the OOM reaper and `process_mrelease(2)`),
/// the callback must not sleep, and may refuse with `-EAGAIN`. Where it is, the callback may sleep
/// and must not refuse. A callback that can refuse must not be paired with an
/// `invalidate_range_end`, since the core cannot tell it which of its starts counted (the comment
/// above `invalidate_range_start` in `struct mmu_notifier_ops`).
///
/// The types carry these rules:
///
/// - A [`Refusal`](mmu_notifier::Refusal) comes from a non-blockable
///   [`Range`](mmu_notifier::Range) only.
/// - A [`RefusingNotifier`](mmu_notifier::RefusingNotifier) has no end callback, and a
///   [`PairedNotifier`](mmu_notifier::PairedNotifier), which has one, cannot refuse.
/// - Whoever breaks them has to say so: every way around has `in_breach_of_contract` in its name.
///
/// C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
///
/// # Examples
///
/// Three drivers that keep the contract. This file is compiled with the module's tests.
///
/// ```ignore
#[doc = include_str!("example.rs")]
/// ```
pub(crate) mod mmu_notifier {
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
            unsafe {
                bindings::mmu_notifier_unregister(self.subscription, (*self.subscription).mm)
            };
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
        pub(crate) fn new<'a>(
            mmap: impl Into<Mmap<'a>>,
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
        unsafe extern "C" fn invalidate_finish(
            finish: *mut bindings::mmu_interval_notifier_finish,
        ) {
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
}

/// Address spaces.
///
/// C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)
pub(crate) mod mm {
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
}

/// debugfs files whose operations need no reference to the module.
///
/// These are `struct debugfs_short_fops`: they have no `release` that the kernel could call after
/// the module is gone, and no owner that would keep the module from going. A file that is still
/// open then answers `EIO`.
///
/// C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)
pub(crate) mod debugfs {
    use super::Output;
    use core::marker::PhantomData;
    use kernel::{
        bindings,
        error::from_err_ptr,
        prelude::*,
        sync::Arc,
        uaccess::{
            UserPtr,
            UserSlice, //
        }, //
    };

    /// The most that one `write(2)` may bring, in bytes. More is refused with `E2BIG`.
    pub(crate) const MAX_WRITE: usize = 4096;

    /// A dentry that debugfs gave out.
    ///
    /// # Invariants
    ///
    /// A valid dentry in debugfs that has not been removed.
    struct Dentry(*mut bindings::dentry);

    // SAFETY:
    // - The functions of debugfs may be called on a dentry from any thread.
    unsafe impl Send for Dentry {}

    // SAFETY:
    // - The functions of debugfs may be called on a dentry from several threads.
    unsafe impl Sync for Dentry {}

    impl Drop for Dentry {
        fn drop(&mut self) {
            // SAFETY:
            // - By the type invariants this is a dentry that is still there.
            unsafe { bindings::debugfs_remove(self.0) };
        }
    }

    /// A folder in debugfs. It is removed when it and all that is in it have been dropped.
    pub(crate) struct Dir {
        // Dropped before the parent, by the order of the fields.
        dentry: Dentry,
        _parent: Option<Arc<Dir>>,
    }

    impl Dir {
        /// Creates a folder in `parent`, or in the root of debugfs.
        ///
        /// Fails with `EEXIST`, `ENOMEM`, or `ENODEV` where the kernel has no debugfs.
        pub(crate) fn new(name: &CStr, parent: Option<Arc<Dir>>) -> Result<Arc<Self>> {
            let parent_ptr = match &parent {
                Some(dir) => dir.dentry.0,
                None => core::ptr::null_mut(),
            };
            // SAFETY:
            // - `name` is a C string, of which debugfs makes a copy.
            // - `parent_ptr` is null or, by the type invariants, a dentry that is still there.
            let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent_ptr) };
            // INVARIANT: debugfs has just created it, and nobody else removes it.
            let dentry = Dentry(from_err_ptr(dentry)?);
            Ok(Arc::new(
                Dir {
                    dentry,
                    _parent: parent,
                },
                GFP_KERNEL,
            )?)
        }
    }

    /// What stands behind a file.
    pub(crate) trait FileOperations: Send + Sync + 'static {
        /// Who may do what; root owns the file.
        fn mode(&self) -> u16;

        /// Copies out what stands at `position`, moves `position` on, and returns the number of
        /// bytes. 0 is the end of the file.
        ///
        /// The default is for files that are only written.
        fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
            let _ = (position, out);
            Err(EPERM)
        }

        /// Takes what one `write(2)` brought, as a whole or not at all.
        ///
        /// The default is for files that are only read.
        fn write(&self, data: &[u8]) -> Result {
            let _ = data;
            Err(EPERM)
        }
    }

    /// A file in debugfs, with what stands behind it. Dropping it removes the file and waits
    /// until nobody is in its operations any more, so it may sleep.
    pub(crate) struct File<F: FileOperations> {
        // Dropped first, by the order of the fields: it waits for everybody who uses `_operations`.
        _dentry: Dentry,
        _operations: KBox<F>,
        _dir: Arc<Dir>,
    }

    impl<F: FileOperations> File<F> {
        /// Creates the file `name` in `dir`. Fails like [`Dir::new`].
        pub(crate) fn new(name: &CStr, dir: &Arc<Dir>, operations: F) -> Result<Self> {
            let mode = operations.mode();
            let operations = KBox::new(operations, GFP_KERNEL)?;
            // SAFETY:
            // - `name` is a C string, of which debugfs makes a copy.
            // - By its type invariants `dir` is a folder that is still there.
            // - The callbacks ask for a pointer to an `F` that lives as long as the file: the box
            //   does not move its content, and is freed after the file has been removed.
            let dentry = unsafe {
                bindings::debugfs_create_file_short(
                    name.as_char_ptr(),
                    mode,
                    dir.dentry.0,
                    core::ptr::from_ref::<F>(&operations).cast_mut().cast(),
                    core::ptr::null(),
                    Table::<F>::OPERATIONS,
                )
            };
            Ok(File {
                // INVARIANT: debugfs has just created it, and nobody else removes it.
                _dentry: Dentry(from_err_ptr(dentry)?),
                _operations: operations,
                _dir: dir.clone(),
            })
        }
    }

    /// The callbacks of a file with an `F` behind it.
    struct Table<F>(PhantomData<F>);

    impl<F: FileOperations> Table<F> {
        const OPERATIONS: &'static bindings::debugfs_short_fops = &bindings::debugfs_short_fops {
            read: Some(Self::read),
            write: Some(Self::write),
            llseek: Some(bindings::default_llseek),
        };

        /// # Safety
        ///
        /// Called by debugfs only, on an open file whose private data is a pointer to a live `F`,
        /// with `ppos` valid for reads and writes.
        unsafe extern "C" fn read(
            file: *mut bindings::file,
            buf: *mut c_char,
            count: usize,
            ppos: *mut bindings::loff_t,
        ) -> isize {
            // SAFETY:
            // - `file` is open and has a pointer to a live `F` there, by this function's
            //   requirements.
            let operations = unsafe { &*(*file).private_data.cast::<F>() };
            // SAFETY:
            // - `ppos` is valid for reads and writes, by this function's requirements.
            // - Nobody else uses it during the call.
            let ppos = unsafe { &mut *ppos };
            let mut out = UserSlice::new(UserPtr::from_ptr(buf.cast()), count).writer();

            // The virtual file system lets no negative position through.
            let mut position = *ppos as u64;
            match operations.read(&mut position, &mut out) {
                Ok(read) => {
                    *ppos = position as bindings::loff_t;
                    read as isize
                }
                Err(error) => error.to_errno() as isize,
            }
        }

        /// # Safety
        ///
        /// As for [`Self::read`].
        unsafe extern "C" fn write(
            file: *mut bindings::file,
            buf: *const c_char,
            count: usize,
            _ppos: *mut bindings::loff_t,
        ) -> isize {
            // SAFETY:
            // - `file` is open and has a pointer to a live `F` there, by this function's
            //   requirements.
            let operations = unsafe { &*(*file).private_data.cast::<F>() };
            if count > MAX_WRITE {
                return E2BIG.to_errno() as isize;
            }

            let mut data = KVec::new();
            let result = UserSlice::new(UserPtr::from_ptr(buf.cast_mut().cast()), count)
                .read_all(&mut data, GFP_KERNEL)
                .and_then(|()| operations.write(&data));
            match result {
                Ok(()) => count as isize,
                Err(error) => error.to_errno() as isize,
            }
        }
    }
}

/// A character device whose open files share some data.
///
/// Each open file has a state of its own, which lives until the last reference to the file is
/// gone: also where the process that opened it was killed. While one is open the module cannot be
/// unloaded.
///
/// C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)
pub(crate) mod chardev {
    use super::Output;
    use core::marker::PhantomData;
    use kernel::{
        bindings,
        error::to_result,
        fs::{
            File,
            Kiocb, //
        },
        iov::{
            IovIterDest,
            IovIterSource, //
        },
        miscdevice::{
            MiscDevice,
            MiscDeviceOptions,
            MiscDeviceRegistration, //
        },
        prelude::*,
        types::Opaque,
    };

    /// What stands behind an open file.
    pub(crate) trait OpenFile: Send + Sync + Sized + 'static {
        /// What all open files share.
        type Shared: Send + Sync + 'static;

        /// A file is opened.
        fn open(shared: &Self::Shared) -> Result<Self>;

        /// Copies out what stands at `position`, moves `position` on, and returns the number of
        /// bytes. 0 is the end of the file.
        fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize>;

        /// Takes what one `write(2)` brought, as a whole or not at all.
        fn write(&self, data: &[u8]) -> Result;
    }

    /// A registered device.
    #[pin_data]
    pub(crate) struct Device<T: OpenFile> {
        // Dropped first, by the order of the fields: nobody opens it any more when `shared` goes.
        #[pin]
        registration: Registration<T>,
        shared: T::Shared,
    }

    impl<T: OpenFile> Device<T> {
        /// Registers a device of that name, which root only may open.
        ///
        /// It may be opened before this returns, so it should be the last step of a module's
        /// start: a module that fails to start must not have open files.
        pub(crate) fn new(
            name: &'static CStr,
            module: &'static ThisModule,
            shared: T::Shared,
        ) -> impl PinInit<Self, Error> {
            try_pin_init!(Self {
                // This comes first: the device may be opened as soon as it is registered.
                shared,
                registration <- Registration::new(name, module),
            }? Error)
        }
    }

    /// A `struct miscdevice` that is registered, with file operations that the module owns.
    ///
    /// [`MiscDeviceRegistration::register`] is not enough on every kernel: that of Linux 7.2 sets
    /// no owner, so a module could go while one of its files is open.
    ///
    /// # Invariants
    ///
    /// `misc` was registered with `misc_register()`, and its operations are `operations`.
    #[pin_data(PinnedDrop)]
    struct Registration<T: OpenFile> {
        #[pin]
        operations: Opaque<bindings::file_operations>,
        #[pin]
        misc: Opaque<bindings::miscdevice>,
        _open_file: PhantomData<T>,
    }

    // SAFETY:
    // - It is allowed to call `misc_deregister()` on another thread than `misc_register()`.
    unsafe impl<T: OpenFile> Send for Registration<T> {}
    // SAFETY:
    // - Nothing can be done with a shared reference to it.
    unsafe impl<T: OpenFile> Sync for Registration<T> {}

    impl<T: OpenFile> Registration<T> {
        fn new(name: &'static CStr, module: &'static ThisModule) -> impl PinInit<Self, Error> {
            let raw = MiscDeviceOptions { name }.into_raw::<Handle<T>>();
            // SAFETY:
            // - `into_raw()` makes it point to a table that is never changed and never freed.
            let inherited = unsafe { *raw.fops };
            let operations = bindings::file_operations {
                owner: module.as_ptr(),
                ..inherited
            };
            // INVARIANT: Where this returns `Ok`, `misc` was registered with `operations`.
            try_pin_init!(&this in Self {
                operations: Opaque::new(operations),
                misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                    // SAFETY:
                    // - `this` points to the memory that is being initialised, which is pinned.
                    // - `Opaque` has the layout of what it wraps.
                    let fops = unsafe { &raw const (*this.as_ptr()).operations }.cast();
                    // SAFETY:
                    // - An initialiser may write to its slot.
                    unsafe { slot.write(bindings::miscdevice { fops, ..raw }) };
                    // SAFETY:
                    // - The device was just written. It stays where it is, and so do its
                    //   operations, until it is deregistered by `drop()`; and since they have an
                    //   owner, until all files that were opened through it are closed.
                    to_result(unsafe { bindings::misc_register(slot) })
                }),
                _open_file: PhantomData,
            }? Error)
        }
    }

    #[pinned_drop]
    impl<T: OpenFile> PinnedDrop for Registration<T> {
        fn drop(self: Pin<&mut Self>) {
            // SAFETY:
            // - By the type's invariant it is registered, and this is the only place that changes
            //   that.
            unsafe { bindings::misc_deregister(self.misc.get()) };
        }
    }

    /// An open file of a [`Device`]. Only that registers it.
    struct Handle<T>(T, PhantomData<T>);

    #[vtable]
    impl<T: OpenFile> MiscDevice for Handle<T> {
        type Ptr = KBox<Self>;

        fn open(_file: &File, misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
            let misc: *const Opaque<bindings::miscdevice> = core::ptr::from_ref(misc).cast();
            // SAFETY:
            // - `misc` is at the address of the `struct miscdevice` that the file belongs to. Only
            //   `Device::new` registers one with the operations of a `Handle<T>`, so it is that
            //   field of a registration, which is that field of a device.
            // - The device lives while one of its files is being opened (`misc_open()` holds the
            //   lock that `misc_deregister()` needs), and `shared` was initialised first.
            let shared = unsafe {
                let registration = kernel::container_of!(misc, Registration<T>, misc);
                &(*kernel::container_of!(registration, Device<T>, registration)).shared
            };
            Ok(KBox::new(
                Handle(T::open(shared)?, PhantomData),
                GFP_KERNEL,
            )?)
        }

        fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
            // The virtual file system lets no negative position through.
            let mut position = kiocb.ki_pos() as u64;
            let copied = kiocb.file().0.read(&mut position, iov)?;
            *kiocb.ki_pos_mut() = position as i64;
            Ok(copied)
        }

        fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
            let length = iov.len();
            if length > super::debugfs::MAX_WRITE {
                return Err(E2BIG);
            }
            let mut data = KVec::new();
            if iov.copy_from_iter_vec(&mut data, GFP_KERNEL)? != length {
                return Err(EFAULT);
            }
            kiocb.file().0.write(&data)?;
            Ok(length)
        }
    }
}

/// Who called.
///
/// C header: [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h)
pub(crate) mod stack {
    use kernel::{
        bindings,
        prelude::*, //
    };

    /// How many frames are kept. The module's own come first, and are passed over when printed.
    const FRAMES: usize = 12;

    /// The first frames of a stack.
    #[derive(Clone, Copy)]
    pub(crate) struct Trace {
        frames: [c_ulong; FRAMES],
        len: usize,
    }

    impl Trace {
        /// No frames.
        pub(crate) const EMPTY: Trace = Trace {
            frames: [0; FRAMES],
            len: 0,
        };

        /// The stack of the caller. Neither sleeps nor allocates. Empty on a kernel without
        /// `CONFIG_STACKTRACE`.
        pub(crate) fn save() -> Self {
            let mut trace = Self::EMPTY;
            #[cfg(CONFIG_STACKTRACE)]
            {
                // SAFETY:
                // - The pointer is valid for writes of as many entries as are announced.
                let len = unsafe {
                    bindings::stack_trace_save(trace.frames.as_mut_ptr(), FRAMES as c_uint, 0)
                };
                trace.len = len as usize;
            }
            trace
        }

        /// The frames, from the innermost.
        pub(crate) fn frames(&self) -> impl Iterator<Item = Address> + '_ {
            self.frames
                .iter()
                .take(self.len)
                .map(|&frame| Address(frame))
        }
    }

    /// A place in the kernel's code.
    #[derive(Clone, Copy)]
    pub(crate) struct Address(c_ulong);

    /// `KSYM_SYMBOL_LEN` (include/linux/kallsyms.h) rounded up: the name, and what is around it.
    const SYMBOL_LEN: usize = bindings::KSYM_NAME_LEN as usize + 256;

    /// The text that the kernel has for an address: `function+0xoffset/0xsize [module]`.
    pub(crate) struct Symbol {
        text: [u8; SYMBOL_LEN],
        len: usize,
    }

    impl Address {
        /// Looks it up. Where the kernel has no names, the address is all there is.
        #[cfg(CONFIG_KALLSYMS)]
        pub(crate) fn symbol(self) -> Symbol {
            let mut text = [0u8; SYMBOL_LEN];
            // SAFETY:
            // - The kernel writes `KSYM_SYMBOL_LEN` bytes at most, the NUL included, and there is
            //   room for more.
            let len = unsafe { bindings::sprint_symbol(text.as_mut_ptr().cast(), self.0) };
            Symbol {
                text,
                len: usize::try_from(len).unwrap_or(0),
            }
        }
    }

    impl Symbol {
        fn text(&self) -> &str {
            let text = self.text.get(..self.len).unwrap_or(&[]);
            core::str::from_utf8(text).unwrap_or("?")
        }

        /// The function, or an address where it has no name.
        pub(crate) fn function(&self) -> &str {
            let text = self.text();
            text.split(['+', ' ']).next().unwrap_or(text)
        }

        /// Whether it is in the module of that name.
        pub(crate) fn is_in(&self, module: &str) -> bool {
            self.text()
                .rsplit_once(" [")
                .and_then(|(_, rest)| rest.split([' ', ']']).next())
                .is_some_and(|name| name == module)
        }
    }
}

/// Errors for which not every kernel that this module is for has a constant.
pub(crate) mod errno {
    use kernel::{
        bindings,
        prelude::*, //
    };

    /// `ENAMETOOLONG`.
    pub(crate) fn name_too_long() -> Error {
        Error::from_errno(-(bindings::ENAMETOOLONG as c_int))
    }

    /// `EOPNOTSUPP`.
    pub(crate) fn not_supported() -> Error {
        Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
    }

    /// `ESTALE`.
    pub(crate) fn stale() -> Error {
        Error::from_errno(-(bindings::ESTALE as c_int))
    }
}

/// What the module says of itself, besides what `module!` has keys for.
mod modinfo {
    /// `test=Y`: a module for tests, which taints the kernel as such when it is loaded
    /// (Documentation/admin-guide/tainted-kernels.rst).
    #[link_section = ".modinfo"]
    #[used]
    static TEST: [u8; 7] = *b"test=Y\0";
}

/// Tasks, time and chance.
pub(crate) mod task {
    use core::ptr::NonNull;
    use kernel::{
        bindings,
        current,
        mm::{
            Mm,
            MmWithUser, //
        },
        prelude::*,
        sync::aref::ARef,
        task::Task, //
    };

    /// Length of a task's name, with the NUL.
    pub(crate) const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

    /// The address space of the process or thread `pid`, as the caller's pid namespace counts.
    ///
    /// Fails with `ESRCH` where there is none such, or where it has no address space (any more):
    /// kernel threads, and processes past `exit_mm()`.
    pub(crate) fn mm_of_pid(pid: i32) -> Result<ARef<MmWithUser>> {
        // SAFETY:
        // - Any number may be looked up.
        // - The result is null or holds a reference.
        let pid_ref = unsafe { bindings::find_get_pid(pid) };
        // SAFETY:
        // - `pid_ref` is null, which is allowed, or valid; the result is null or holds a reference.
        let task = unsafe { bindings::get_pid_task(pid_ref, bindings::pid_type_PIDTYPE_PID) };
        // SAFETY:
        // - This gives up the reference from above; null is allowed.
        unsafe { bindings::put_pid(pid_ref) };

        let task = NonNull::new(task).ok_or(ESRCH)?;
        // SAFETY:
        // - `get_pid_task()` has taken the reference that `ARef` takes over.
        let task: ARef<Task> = unsafe { ARef::from_raw(task.cast()) };

        // SAFETY:
        // - `task` is a valid task.
        // - The result is null or holds a reference (`mmget`).
        let mm = unsafe { bindings::get_task_mm(task.as_ptr()) };
        let mm = NonNull::new(mm).ok_or(ESRCH)?;
        // SAFETY:
        // - `get_task_mm()` has taken the reference that `ARef` takes over.
        Ok(unsafe { ARef::from_raw(mm.cast()) })
    }

    /// Whether the current task may look into that address space and change it: its own, or any
    /// with `CAP_SYS_PTRACE` in the initial user namespace.
    ///
    /// Stricter than `ptrace_may_access()`, which modules cannot call and which wants a task: to be
    /// the same user is not enough.
    pub(crate) fn may_ptrace(mm: &Mm) -> bool {
        // SAFETY:
        // - `mm` of the current task does not change while that runs in the kernel, and is only
        //   compared.
        if unsafe { (*current!().as_ptr()).mm } == mm.as_raw() {
            return true;
        }
        // SAFETY:
        // - This may be called in the context of any task.
        unsafe { bindings::capable(bindings::CAP_SYS_PTRACE as c_int) }
    }

    /// Whether a signal waits for the current task that ends it at once. As
    /// `fatal_signal_pending()`, which is inline.
    pub(crate) fn is_being_killed() -> bool {
        let task = current!();
        let pending = {
            let task = task.as_ptr();
            // SAFETY:
            // - The task is the current one, so this is readable; another task may set a bit in it
            //   at any time, as for the inline function.
            unsafe { (&raw const (*task).pending.signal.sig[0]).read_volatile() }
        };
        task.signal_pending() && pending & (1 << (bindings::SIGKILL - 1)) != 0
    }

    /// Sleeps so many nanoseconds, rounded up to jiffies, or until the current task is killed.
    pub(crate) fn sleep_killable(nanos: u64) {
        // SAFETY:
        // - Any number is fine.
        let jiffies = unsafe { bindings::nsecs_to_jiffies(nanos) }.saturating_add(1);
        // SAFETY:
        // - This may be called where the caller may sleep, and otherwise the kernel complains: it
        //   is no matter of memory safety.
        unsafe { bindings::schedule_timeout_killable(c_long::try_from(jiffies).unwrap_or(1)) };
    }

    /// Marks the kernel as one in which the user has asked for what no kernel promises to survive
    /// (`TAINT_USER`). Never sleeps.
    pub(crate) fn taint() {
        // SAFETY:
        // - This may be called in any context.
        unsafe { bindings::add_taint(bindings::TAINT_USER, bindings::lockdep_ok_LOCKDEP_STILL_OK) };
    }

    /// The name of the current task, NUL-padded.
    pub(crate) fn current_comm() -> [u8; COMM_LEN] {
        let task = current!().as_ptr();
        // SAFETY:
        // - `comm` of the current task is always readable and always ends in a NUL; a concurrent
        //   change of it can at worst give a mixture of two names.
        let comm = unsafe { (&raw const (*task).comm).read_volatile() };
        comm.map(|byte| byte as u8)
    }

    /// Nanoseconds on the monotonic clock, which never goes back. Never sleeps.
    // Not `ktime_get_mono_fast_ns()`: that one may go back a little when the clock is adjusted.
    pub(crate) fn monotonic_ns() -> u64 {
        // SAFETY:
        // - This may be called in any context but NMI, and no notifier is called in that.
        let now = unsafe { bindings::ktime_get() };
        now as u64
    }

    /// A random number below `ceiling`, which must not be 0. Never sleeps.
    pub(crate) fn random_below(ceiling: u32) -> u32 {
        // SAFETY:
        // - Any number is fine; 0 gives one that is not below it.
        unsafe { bindings::__get_random_u32_below(ceiling) }
    }

    /// Prints the caller's stack to the kernel's log.
    pub(crate) fn dump_stack() {
        // SAFETY:
        // - This may be called in any context.
        unsafe { bindings::dump_stack() };
    }
}
