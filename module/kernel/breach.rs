// SPDX-License-Identifier: GPL-2.0

//! Violations of kernel contracts, for fault injection. Not part of the abstractions.
//!
//! The requirements of the `unsafe` functions here cannot be met: to violate a contract is what
//! they are for. They are private to this file. The way to them is [`Unsound`], of which there is
//! none unless the module was loaded with `breach=1`.

use super::{
    mm::MmapWriteGuard,
    mmu_notifier::Registration, //
};
use crate::module_parameters;
use core::{
    borrow::Borrow,
    cell::Cell,
    mem::ManuallyDrop, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Completion, //
    },
};

/// Permission to violate kernel contracts.
///
/// After a method of it has been called, the kernel may hang, crash or corrupt memory.
pub(crate) struct Unsound(());

/// Returns the value of a module parameter. Some kernels return a reference to it, and some the
/// value itself.
pub(crate) fn parameter<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// Returns whether the module was loaded with `breach=1`.
pub(crate) fn is_permitted() -> bool {
    parameter::<u8>(module_parameters::breach.value()) != 0
}

/// Returns the permission, or `Err(EPERM)` unless the module was loaded with `breach=1`. The kernel
/// is tainted from then on (`TAINT_USER`), so that a later oops is not taken for a real one.
pub(crate) fn permit() -> Result<Unsound> {
    if !is_permitted() {
        return Err(EPERM);
    }
    // SAFETY:
    // - This may be called in any context.
    unsafe { bindings::add_taint(bindings::TAINT_USER, bindings::lockdep_ok_LOCKDEP_STILL_OK) };
    Ok(Unsound(()))
}

/// Takes an address space for one that has users.
///
/// # Safety
///
/// Cannot be upheld; for fault injection. If `mm` has no users, it is being torn down or was, and
/// [`MmWithUser`] must not exist.
unsafe fn pretend_users(mm: &Mm) -> &MmWithUser {
    // SAFETY:
    // - `mm` is valid as long as the reference.
    // - That it has users cannot be upheld; for fault injection.
    unsafe { MmWithUser::from_raw(mm.as_raw()) }
}

/// Creates a guard of a lock that is not held.
///
/// # Safety
///
/// Cannot be upheld; for fault injection. Code that requires the guard relies on the
/// address space not changing.
unsafe fn pretend_locked(mm: &MmWithUser) -> ManuallyDrop<MmapWriteGuard<'_>> {
    // SAFETY:
    // - That the lock is held cannot be upheld; for fault injection. It is not released, either.
    ManuallyDrop::new(unsafe { MmapWriteGuard::new(mm) })
}

/// Registers a notifier a second time with the same address space.
///
/// # Safety
///
/// Cannot be upheld; for fault injection. The core requires a subscription that is not registered.
/// It does not check that, and makes a circle of its list. On success the subscription must stay
/// valid forever.
unsafe fn register_again<T: Send + Sync + 'static>(
    registration: &Registration<T>,
    mm: &MmWithUser,
) -> Result {
    // SAFETY:
    // - The subscription is pinned, and its callbacks suit it.
    // - `mm` has users, by the invariants of `MmWithUser`.
    // - That it is not registered cannot be upheld; for fault injection.
    to_result(unsafe { bindings::mmu_notifier_register(registration.subscription(), mm.as_raw()) })
}

/// Unregisters a notifier in one of its callbacks.
///
/// # Safety
///
/// - `subscription` must be registered, and nothing else may unregister it.
/// - Cannot be upheld; for fault injection. It must not be called in a callback, for whose end it
///   waits.
unsafe fn unregister_in_callback(subscription: *mut bindings::mmu_notifier) {
    // SAFETY:
    // - The caller promises that it is registered with the `mm` that it names.
    // - That this is no callback cannot be upheld; for fault injection.
    unsafe { bindings::mmu_notifier_unregister(subscription, (*subscription).mm) };
}

/// Removes an interval notifier in one of its callbacks.
///
/// # Safety
///
/// - `subscription` must be in the interval tree, and nothing else may remove it.
/// - Cannot be upheld; for fault injection. It must not be called in a callback, for whose end it
///   waits.
unsafe fn remove_in_callback(subscription: *mut bindings::mmu_interval_notifier) {
    // SAFETY:
    // - The caller promises that it is in the tree.
    // - That this is no callback cannot be upheld; for fault injection.
    unsafe { bindings::mmu_interval_notifier_remove(subscription) };
}

impl Unsound {
    /// Takes an address space without users for one that has some.
    pub(crate) fn pretend_users(self, mm: &Mm) -> &MmWithUser {
        // SAFETY:
        // - Cannot be upheld. The module was loaded with `breach=1`.
        unsafe { pretend_users(mm) }
    }

    /// Pretends to hold the mmap write lock.
    pub(crate) fn pretend_locked(self, mm: &MmWithUser) -> ManuallyDrop<MmapWriteGuard<'_>> {
        // SAFETY:
        // - Cannot be upheld. The module was loaded with `breach=1`.
        unsafe { pretend_locked(mm) }
    }

    /// Registers a notifier a second time.
    ///
    /// On success the next walk of the list of notifiers never ends, and the notifier and the
    /// module stay forever. Returns `Err(EINVAL)` if `mm` is not the address space with which it is
    /// registered, `Err(ENODEV)` if the module is being unloaded, and the errors of
    /// [`Registration::new`].
    pub(super) fn register_again<T: Send + Sync + 'static>(
        self,
        registration: Pin<KBox<Registration<T>>>,
        mm: &MmWithUser,
        module: &'static ThisModule,
    ) -> Result {
        if registration.mm().as_raw() != mm.as_raw() {
            return Err(EINVAL);
        }
        pin_module(module)?;
        // SAFETY:
        // - Cannot be upheld. The module was loaded with `breach=1`.
        // - On success the registration is leaked below.
        let result = unsafe { register_again(&registration, mm) };
        if result.is_err() {
            unpin_module(module);
            return result;
        }
        leak(registration);
        Ok(())
    }
}

/// Keeps the module from being unloaded. Returns `Err(ENODEV)` if it is being unloaded already.
fn pin_module(module: &'static ThisModule) -> Result {
    // SAFETY:
    // - `module` is the module that it stands for.
    if unsafe { bindings::try_module_get(module.as_ptr()) } {
        Ok(())
    } else {
        Err(ENODEV)
    }
}

/// Gives up the reference that [`pin_module`] has taken.
fn unpin_module(module: &'static ThisModule) {
    // SAFETY:
    // - The callers have a reference, which this gives up.
    unsafe { bindings::module_put(module.as_ptr()) };
}

/// Leaks a pinned box.
pub(super) fn leak<T>(pinned: Pin<KBox<T>>) {
    // SAFETY:
    // - A value that is leaked is never moved.
    KBox::leak(unsafe { Pin::into_inner_unchecked(pinned) });
}

/// State of the removal of a notifier: by the drop of its registration or, in breach of contract,
/// by one of its own callbacks.
#[pin_data]
pub(super) struct Removal {
    /// [`None`] if no callback may remove the notifier.
    module: Option<&'static ThisModule>,
    has_begun: Atomic<bool>,
    /// Completed by a callback that has removed its own notifier, as the last thing it does.
    #[pin]
    is_done: Completion,
}

impl Removal {
    /// Creates the state of a notifier that is not being removed.
    pub(super) fn new(module: &'static ThisModule) -> impl PinInit<Self> {
        pin_init!(Removal {
            module: Some(module),
            has_begun: Atomic::new(false),
            is_done <- Completion::new(),
        })
    }

    /// Creates the state of a notifier that no callback may remove.
    pub(super) fn forbidden() -> impl PinInit<Self> {
        pin_init!(Removal {
            module: None,
            has_begun: Atomic::new(false),
            is_done <- Completion::new(),
        })
    }

    /// Begins the removal. Returns false if it has begun already.
    pub(super) fn begin(&self) -> bool {
        // There is nothing to be ordered: `is_done` does that.
        self.has_begun.cmpxchg(false, true, Relaxed).is_ok()
    }

    /// Waits until the callback that began the removal has finished. If the kernel never lets it
    /// return, this never returns either, because the subscription is still in use.
    pub(super) fn wait(&self) {
        self.is_done.wait_for_completion();
    }
}

/// Subscription of either kind.
#[derive(Clone, Copy)]
pub(super) enum Subscription {
    Plain(*mut bindings::mmu_notifier),
    Interval(*mut bindings::mmu_interval_notifier),
}

/// Callback that runs, and that may remove its own notifier.
///
/// # Invariants
///
/// `subscription` and `removal` are those of a live registration, one of whose callbacks runs for
/// `'a`.
pub(crate) struct Callback<'a> {
    subscription: Subscription,
    removal: &'a Removal,
    has_removed: Cell<bool>,
}

impl<'a> Callback<'a> {
    /// # Safety
    ///
    /// `subscription` and `removal` must be those of a live registration, one of whose callbacks
    /// runs for `'a`.
    pub(super) unsafe fn new(subscription: Subscription, removal: &'a Removal) -> Self {
        // INVARIANT: The caller promises it.
        Callback {
            subscription,
            removal,
            has_removed: Cell::new(false),
        }
    }

    /// Removes the notifier, once. A kernel that waits for running callbacks never returns from
    /// that.
    ///
    /// The kernel gives up its reference to the address space, so the owner of the registration
    /// must have one of its own. Does nothing for an interval notifier while the module is being
    /// unloaded: the kernel has no way to wait for the end of its callback, so the module must
    /// stay. Does nothing for a notifier that is shared, which is not unregistered.
    pub(crate) fn remove(&self, _: Unsound) {
        let Some(module) = self.removal.module else {
            return;
        };
        let is_interval = matches!(self.subscription, Subscription::Interval(_));
        if is_interval && pin_module(module).is_err() {
            return;
        }
        if !self.removal.begin() {
            if is_interval {
                unpin_module(module);
            }
            return;
        }
        self.has_removed.set(true);
        match self.subscription {
            Subscription::Plain(subscription) => {
                // SAFETY:
                // - By the type invariants it is registered. Nothing else unregisters it, since
                //   this began first.
                // - The rest cannot be upheld. The module was loaded with `breach=1`.
                unsafe { unregister_in_callback(subscription) };
            }
            Subscription::Interval(subscription) => {
                // SAFETY:
                // - By the type invariants it is in the tree. Nothing else removes it, since this
                //   began first.
                // - The rest cannot be upheld. The module was loaded with `breach=1`.
                unsafe { remove_in_callback(subscription) };
            }
        }
    }

    /// Returns whether [`Self::remove`] has removed the notifier.
    pub(crate) fn has_removed(&self) -> bool {
        self.has_removed.get()
    }

    /// Ends the callback's use of the registration.
    pub(super) fn finish(self) {
        if self.has_removed.get() {
            self.removal.is_done.complete_all();
        }
    }
}
