// SPDX-License-Identifier: GPL-2.0

//! Plain notifiers that answer what the contract forbids.
//!
//! The kernel prints the name of a plain notifier's callback (`%pS`), and a test of that message
//! has to know it. These callbacks are therefore symbols that are not mangled.

use super::{
    Mmap,
    Removable,
    Room, //
};
use crate::{
    abstractions::{
        breach::{
            Callback,
            Subscription,
            Unsound, //
        },
        mm::mmap_write_lock,
        mmu_notifier::{
            alloc_node,
            free_node,
            Node,
            Range,
            Registration,
            SharedOps,
            SharedRegistration,
            Young, //
        }, //
    },
    notifier::{
        Kind,
        Plain, //
    }, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref, //
};
use kernel::{
    bindings,
    mm::MmWithUser,
    prelude::*, //
};

/// Plain notifier that may fail with any error, in any context, and that may have any callbacks.
pub(crate) trait FaultyNotifier: Send + Sync + 'static {
    /// Creates a notifier of that kind to be shared, for an address space that has none.
    ///
    /// # Context
    ///
    /// Called with `mmap_lock` held for writing. May sleep.
    fn alloc(kind: Kind) -> Result<Self>
    where
        Self: Sized;

    /// Called before the kernel changes the range.
    fn invalidate_range_start(&self, range: &Range, callback: &Callback<'_>) -> Result;

    /// Called after the kernel has changed the range.
    fn invalidate_range_end(&self, range: &Range);

    /// Called with the page table lock held. Must not sleep.
    fn clear_flush_young(&self, range: core::ops::Range<usize>) -> bool;

    /// As [`Self::clear_flush_young`].
    fn clear_young(&self, range: core::ops::Range<usize>) -> bool;

    /// As [`Self::clear_flush_young`].
    fn test_young(&self, address: usize) -> bool;

    /// As [`Self::clear_flush_young`].
    fn arch_invalidate_secondary_tlbs(&self, range: core::ops::Range<usize>);

    /// Last callback.
    fn release(&self);
}

/// Set of callbacks of a plain notifier, for both ways to manage its memory.
///
/// # Invariants
///
/// The callbacks are sound for the `subscription` of a live `Node<Removable<T>>` with data.
pub(crate) struct Callbacks<T> {
    registered: bindings::mmu_notifier_ops,
    shared: SharedOps<Removable<T>>,
}

/// Defines an `invalidate_range_start` under a name.
macro_rules! named {
    ($symbol:ident) => {
        /// `invalidate_range_start` under the name that the kernel prints.
        ///
        /// # Safety
        ///
        /// As for [`start`].
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
            unsafe { start::<Plain>(subscription, range) }
        }
    };
}

named!(mmu_notifier_inject_invalidate_range_start);
named!(mmu_notifier_inject_paired_invalidate_range_start);

/// Defines the callbacks of a kind. All kinds have a `release`.
macro_rules! callbacks {
    ($(#[doc = $doc:literal])* $name:ident, $kind:expr, $($field:ident: $callback:expr),+) => {
        $(#[doc = $doc])*
        pub(crate) static $name: Callbacks<Plain> = {
            /// `alloc_notifier`.
            unsafe extern "C" fn alloc(
                _mm: *mut bindings::mm_struct,
            ) -> *mut bindings::mmu_notifier {
                alloc_node(pin_init::pin_init_scope(|| {
                    Ok(Removable::fixed(Plain::alloc($kind)?))
                }))
            }

            const OPS: bindings::mmu_notifier_ops = bindings::mmu_notifier_ops {
                $($field: Some($callback),)+
                release: Some(release::<Plain>),
                ..pin_init::zeroed()
            };

            // INVARIANT: The callbacks require what is promised, and a range or an address space
            // that the core passes to a callback.
            Callbacks {
                registered: OPS,
                // SAFETY:
                // - As above. `alloc()` allocates nodes by `alloc_node()`, of the same type.
                shared: unsafe {
                    SharedOps::from_raw(bindings::mmu_notifier_ops {
                        alloc_notifier: Some(alloc),
                        free_notifier: Some(free_node::<Removable<Plain>>),
                        ..OPS
                    })
                },
            }
        };
    };
}

callbacks!(
    /// A start.
    START,
    Kind::Plain,
    invalidate_range_start: mmu_notifier_inject_invalidate_range_start
);
callbacks!(
    /// A start and an end.
    START_END,
    Kind::PlainEnd,
    invalidate_range_start: mmu_notifier_inject_paired_invalidate_range_start,
    invalidate_range_end: end::<Plain>
);
callbacks!(
    /// A start, and those for page aging.
    START_YOUNG,
    Kind::PlainYoung,
    invalidate_range_start: mmu_notifier_inject_invalidate_range_start,
    clear_flush_young: clear_flush_young::<Plain>,
    clear_young: clear_young::<Plain>,
    test_young: test_young::<Plain>
);
callbacks!(
    /// That of a device that walks the page tables. The core allows no start besides it.
    SECONDARY_TLBS,
    Kind::SecondaryTlbs,
    arch_invalidate_secondary_tlbs: arch_invalidate_secondary_tlbs::<Plain>
);

/// Body of every `invalidate_range_start`.
///
/// # Safety
///
/// - `subscription` must be that of a live `Node<Removable<T>>` with data.
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
            Node::<Removable<T>>::data_from_raw(subscription),
            Range::from_raw(range),
        )
    };
    // SAFETY:
    // - Both are those of a notifier that is registered, and this is its callback.
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
            Node::<Removable<T>>::data_from_raw(subscription),
            Range::from_raw(range),
        )
    };
    data.notifier.invalidate_range_end(range);
}

/// `clear_flush_young`.
///
/// # Safety
///
/// `subscription` must be that of a live `Node<Removable<T>>` with data.
unsafe extern "C" fn clear_flush_young<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
    start: c_ulong,
    end: c_ulong,
) -> Young {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Node::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.clear_flush_young(start..end).into()
}

/// `clear_young`.
///
/// # Safety
///
/// As for [`clear_flush_young`].
unsafe extern "C" fn clear_young<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
    start: c_ulong,
    end: c_ulong,
) -> Young {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Node::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.clear_young(start..end).into()
}

/// `test_young`.
///
/// # Safety
///
/// As for [`clear_flush_young`].
unsafe extern "C" fn test_young<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
    address: c_ulong,
) -> Young {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Node::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.test_young(address).into()
}

/// `arch_invalidate_secondary_tlbs`.
///
/// # Safety
///
/// As for [`clear_flush_young`].
unsafe extern "C" fn arch_invalidate_secondary_tlbs<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
    start: c_ulong,
    end: c_ulong,
) {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Node::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.arch_invalidate_secondary_tlbs(start..end);
}

/// `release`.
///
/// # Safety
///
/// As for [`clear_flush_young`].
unsafe extern "C" fn release<T: FaultyNotifier>(
    subscription: *mut bindings::mmu_notifier,
    _mm: *mut bindings::mm_struct,
) {
    // SAFETY:
    // - `subscription` is as this function requires.
    let data = unsafe { Node::<Removable<T>>::data_from_raw(subscription) };
    data.notifier.release();
}

/// Registration of a [`FaultyNotifier`]. Dropping it unregisters the notifier unless one of its
/// callbacks has.
pub(crate) struct FaultyRegistration<T: FaultyNotifier>(
    ManuallyDrop<Pin<KBox<Registration<Removable<T>>>>>,
);

impl<T: FaultyNotifier> FaultyRegistration<T> {
    /// Registers a notifier with these callbacks. Returns the errors of [`Registration::new`].
    pub(crate) fn new(
        Room(room): Room<Registration<Removable<T>>>,
        mmap: Mmap<'_>,
        callbacks: &'static Callbacks<T>,
        notifier: T,
        module: &'static ThisModule,
    ) -> Result<Self> {
        let data = Removable::new(notifier, module);
        let ops = &callbacks.registered;
        let registration = match mmap {
            Mmap::Unlocked(mm) => {
                let register = bindings::mmu_notifier_register;
                // SAFETY:
                // - This function takes the lock itself.
                // - The callbacks suit the type, by the type invariants of `Callbacks`.
                room.write_pin_init(unsafe { Registration::with_ops(register, mm, ops, data) })
            }
            Mmap::Locked(guard) => {
                let (register, mm) = (bindings::__mmu_notifier_register, guard.mm());
                // SAFETY:
                // - By its type invariants the guard holds the lock.
                // - The callbacks suit the type, by the type invariants of `Callbacks`.
                room.write_pin_init(unsafe { Registration::with_ops(register, mm, ops, data) })
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

/// User of a [`FaultyNotifier`] that is shared: `mmu_notifier_get()`. Dropping it puts the
/// notifier, and waits for nothing.
pub(crate) struct FaultyShared<T: FaultyNotifier>(SharedRegistration<Removable<T>>);

impl<T: FaultyNotifier> FaultyShared<T> {
    /// Gets the notifier of `mm` with these callbacks, or creates it.
    ///
    /// Returns the errors of [`SharedRegistration::get`].
    pub(crate) fn get(mm: &MmWithUser, callbacks: &'static Callbacks<T>) -> Result<Self> {
        let guard = mmap_write_lock(mm);
        Ok(FaultyShared(SharedRegistration::with_ops(
            &guard,
            &callbacks.shared,
        )?))
    }

    /// Returns the number of users.
    pub(crate) fn users(&self) -> u32 {
        self.0.users()
    }
}

impl<T: FaultyNotifier> Deref for FaultyShared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.notifier
    }
}
