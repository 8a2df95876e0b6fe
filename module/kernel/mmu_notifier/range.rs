// SPDX-License-Identifier: GPL-2.0

//! The range of an invalidation, and the failure that some ranges allow.

use core::marker::PhantomData;
use kernel::{
    bindings,
    mm::Mm,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// Defines [`Event`] from the kernel's constants, so that there is one list of them.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $variant:ident = $constant:ident, $name:literal;)*) => {
        /// Reason for an invalidation: `enum mmu_notifier_event`.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Event {
            $($(#[doc = $doc])* $variant = bindings::$constant,)*
        }

        impl Event {
            /// All events, in the kernel's order. The discriminant of an event is its index.
            pub(crate) const ALL: &'static [Event] = &[$(Event::$variant),*];

            /// Returns the kernel's name.
            #[inline]
            pub(crate) const fn name(self) -> &'static CStr {
                match self {
                    $(Event::$variant => $name,)*
                }
            }

            /// Returns the same as [`Self::name`] as a string.
            #[inline]
            pub(crate) fn name_str(self) -> &'static str {
                self.name().to_str().unwrap_or("?")
            }

            /// Returns the event with that name, with or without `MMU_NOTIFY_`.
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                let rest = |name| str::strip_prefix(name, "MMU_NOTIFY_").unwrap_or(name);
                Self::ALL
                    .iter()
                    .find(|event| rest(event.name_str()) == rest(name))
                    .copied()
            }

            /// Returns the event with that number, if it is in the list.
            #[inline]
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
    /// The range is unmapped or moved.
    Unmap = mmu_notifier_event_MMU_NOTIFY_UNMAP, c"MMU_NOTIFY_UNMAP";
    /// The entries are cleared, for any reason.
    Clear = mmu_notifier_event_MMU_NOTIFY_CLEAR, c"MMU_NOTIFY_CLEAR";
    /// The protection of the whole VMA changes.
    ProtectionVma = mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA, c"MMU_NOTIFY_PROTECTION_VMA";
    /// The protection of single pages changes.
    ProtectionPage = mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE, c"MMU_NOTIFY_PROTECTION_PAGE";
    /// Soft-dirty accounting.
    SoftDirty = mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY, c"MMU_NOTIFY_SOFT_DIRTY";
    /// The notifier itself is being released.
    Release = mmu_notifier_event_MMU_NOTIFY_RELEASE, c"MMU_NOTIFY_RELEASE";
    /// Pages migrate to or from a device.
    Migrate = mmu_notifier_event_MMU_NOTIFY_MIGRATE, c"MMU_NOTIFY_MIGRATE";
    /// A device takes exclusive access to pages.
    Exclusive = mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE, c"MMU_NOTIFY_EXCLUSIVE";
}

// Users have tables with an element for each event.
const _: () = {
    let mut index = 0;
    while index < Event::ALL.len() {
        assert!(Event::ALL[index] as usize == index);
        index += 1;
    }
};

/// Range of addresses that is invalidated: `struct mmu_notifier_range`.
///
/// # Invariants
///
/// The core has initialized the fields but for `owner`, which is initialized for
/// [`Event::Migrate`] and [`Event::Exclusive`]. Nothing changes them while the value is borrowed.
#[repr(transparent)]
pub(crate) struct Range {
    inner: Opaque<bindings::mmu_notifier_range>,
    // The context in which it may block, or not, is that of the callback's thread.
    _nts: NotThreadSafe,
}

impl Range {
    /// Creates a reference from the pointer that the core passes to a callback.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a range that the core passes to a callback, which nothing changes for
    /// the duration of `'a`.
    #[inline]
    pub(in crate::abstractions) unsafe fn from_raw<'a>(
        ptr: *const bindings::mmu_notifier_range,
    ) -> &'a Self {
        // SAFETY:
        // - The caller promises that `ptr` is valid for `'a`.
        // - The layout is the same because of `repr(transparent)`.
        // INVARIANT: The core has initialized it (`mmu_notifier_range_init()`), with the owner for
        // these two events (`mmu_notifier_range_init_owner()`).
        unsafe { &*ptr.cast() }
    }

    /// Returns the first address of the range.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        // SAFETY:
        // - By the type invariants the field is initialized and does not change.
        unsafe { (*self.inner.get()).start }
    }

    /// Returns the first address after the range.
    ///
    /// It is not page aligned if the range ends at the end of the address space.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        // SAFETY:
        // - By the type invariants the field is initialized and does not change.
        unsafe { (*self.inner.get()).end }
    }

    /// Returns the reason for the invalidation, or [`None`] if this list of events does not have
    /// it.
    #[inline]
    pub(crate) fn event(&self) -> Option<Event> {
        // SAFETY:
        // - By the type invariants the field is initialized and does not change.
        Event::from_raw(unsafe { (*self.inner.get()).event })
    }

    /// Returns whether the callback may sleep: `mmu_notifier_range_blockable()`.
    #[inline]
    pub(crate) fn is_blockable(&self) -> bool {
        // SAFETY:
        // - By the type invariants the field is initialized and does not change.
        let flags = unsafe { (*self.inner.get()).flags };
        flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0
    }

    /// Returns the address space. It need not be that of the current task, and may have no users.
    #[inline]
    pub(crate) fn mm(&self) -> &Mm {
        // SAFETY:
        // - By the type invariants the field is initialized and does not change.
        // - The caller of the core holds a reference to the address space during the callback.
        unsafe { Mm::from_raw((*self.inner.get()).mm) }
    }

    /// Returns the owner of the device pages, for [`Event::Migrate`] and [`Event::Exclusive`].
    ///
    /// A driver compares it with its own, to pass over invalidations that it has caused itself.
    #[inline]
    pub(crate) fn owner(&self) -> Option<*mut c_void> {
        match self.event() {
            Some(Event::Migrate | Event::Exclusive) => {
                // SAFETY:
                // - By the type invariants the field is initialized for these events.
                Some(unsafe { (*self.inner.get()).owner })
            }
            _ => None,
        }
    }

    /// Returns the failure that the contract allows, or [`None`] if the invalidation is blockable.
    #[inline]
    pub(crate) fn would_block(&self) -> Option<WouldBlock<'_>> {
        (!self.is_blockable()).then_some(WouldBlock(PhantomData))
    }
}

/// Failure of a callback that would have to sleep: `-EAGAIN`. Made by [`Range::would_block`].
///
/// # Invariants
///
/// The range of the invalidation that is in progress for `'a` is not blockable.
#[must_use = "a callback that fails has to return it"]
pub(crate) struct WouldBlock<'a>(PhantomData<&'a Range>);

impl WouldBlock<'_> {
    /// Creates one without looking at the range.
    ///
    /// # Safety
    ///
    /// `range` must not be blockable.
    #[inline]
    pub(in crate::abstractions) unsafe fn new_unchecked(_range: &Range) -> WouldBlock<'_> {
        // INVARIANT: The caller promises that the range is not blockable.
        WouldBlock(PhantomData)
    }
}
