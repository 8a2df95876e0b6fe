// SPDX-License-Identifier: GPL-2.0

//! The callbacks that the core calls.

use super::{
    MayFail,
    Node,
    Notifier,
    NotifierWithEnd,
    Range,
    SecondaryTlb,
    SecondaryTlbNotifier,
    WithEnd, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    mm::Mm,
    prelude::*, //
};

/// Result of the callbacks for page aging. Kernels before 7.3 have an `int`.
#[cfg(mmu_notifier_young_bool)]
pub(in crate::abstractions) type Young = bool;
/// Result of the callbacks for page aging.
#[cfg(not(mmu_notifier_young_bool))]
pub(in crate::abstractions) type Young = c_int;

/// Types with the callbacks of a kind of notifier.
///
/// # Safety
///
/// The callbacks in `OPS` must be sound for the `subscription` of a live `Node<Self>` whose `data`
/// is initialized.
pub(crate) unsafe trait Callbacks<Kind>: Send + Sync + 'static {
    /// The callbacks.
    const OPS: &'static bindings::mmu_notifier_ops;
}

// SAFETY:
// - The callbacks of `NotifierVTable<T>` require no more.
unsafe impl<T: Notifier> Callbacks<MayFail> for T {
    const OPS: &'static bindings::mmu_notifier_ops = NotifierVTable::<T>::OPS;
}

// SAFETY:
// - The callbacks of `WithEndVTable<T>` require no more.
unsafe impl<T: NotifierWithEnd> Callbacks<WithEnd> for T {
    const OPS: &'static bindings::mmu_notifier_ops = WithEndVTable::<T>::OPS;
}

// SAFETY:
// - The callbacks of `SecondaryTlbVTable<T>` require no more.
unsafe impl<T: SecondaryTlbNotifier> Callbacks<SecondaryTlb> for T {
    const OPS: &'static bindings::mmu_notifier_ops = SecondaryTlbVTable::<T>::OPS;
}

/// Returns the callback, if the type has it.
macro_rules! optional {
    ($has:expr, $callback:expr) => {
        if $has {
            Some($callback)
        } else {
            None
        }
    };
}

/// Defines the callbacks that both [`Notifier`] and [`NotifierWithEnd`] may have.
macro_rules! optional_callbacks {
    () => {
        /// # Safety
        ///
        /// - `subscription` must be that of a live `Node<T>` with data.
        /// - `mm` must be valid for the duration of the call.
        unsafe extern "C" fn clear_flush_young(
            subscription: *mut bindings::mmu_notifier,
            mm: *mut bindings::mm_struct,
            start: c_ulong,
            end: c_ulong,
        ) -> Young {
            // SAFETY:
            // - Both pointers are as this function requires.
            let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
            data.clear_flush_young(mm, start..end).into()
        }

        /// # Safety
        ///
        /// As for [`Self::clear_flush_young`].
        unsafe extern "C" fn clear_young(
            subscription: *mut bindings::mmu_notifier,
            mm: *mut bindings::mm_struct,
            start: c_ulong,
            end: c_ulong,
        ) -> Young {
            // SAFETY:
            // - Both pointers are as this function requires.
            let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
            data.clear_young(mm, start..end).into()
        }

        /// # Safety
        ///
        /// As for [`Self::clear_flush_young`].
        unsafe extern "C" fn test_young(
            subscription: *mut bindings::mmu_notifier,
            mm: *mut bindings::mm_struct,
            address: c_ulong,
        ) -> Young {
            // SAFETY:
            // - Both pointers are as this function requires.
            let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
            data.test_young(mm, address).into()
        }

        /// # Safety
        ///
        /// As for [`Self::clear_flush_young`].
        unsafe extern "C" fn release(
            subscription: *mut bindings::mmu_notifier,
            mm: *mut bindings::mm_struct,
        ) {
            // SAFETY:
            // - Both pointers are as this function requires.
            let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
            data.release(mm);
        }
    };
}

/// Callbacks of a [`Notifier`].
pub(super) struct NotifierVTable<T>(PhantomData<T>);

impl<T: Notifier> NotifierVTable<T> {
    pub(super) const OPS: &'static bindings::mmu_notifier_ops = &bindings::mmu_notifier_ops {
        invalidate_range_start: Some(Self::invalidate_range_start),
        clear_flush_young: optional!(T::HAS_CLEAR_FLUSH_YOUNG, Self::clear_flush_young),
        clear_young: optional!(T::HAS_CLEAR_YOUNG, Self::clear_young),
        test_young: optional!(T::HAS_TEST_YOUNG, Self::test_young),
        release: optional!(T::HAS_RELEASE, Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// - `subscription` must be that of a live `Node<T>` with data.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    unsafe extern "C" fn invalidate_range_start(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) -> c_int {
        // SAFETY:
        // - Both pointers are as this function requires.
        let (data, range) = unsafe {
            (
                Node::<T>::data_from_raw(subscription),
                Range::from_raw(range),
            )
        };
        match data.invalidate_range_start(range) {
            Ok(()) => 0,
            Err(_) => EAGAIN.to_errno(),
        }
    }

    optional_callbacks!();
}

/// Callbacks of a [`NotifierWithEnd`].
pub(super) struct WithEndVTable<T>(PhantomData<T>);

impl<T: NotifierWithEnd> WithEndVTable<T> {
    pub(super) const OPS: &'static bindings::mmu_notifier_ops = &bindings::mmu_notifier_ops {
        invalidate_range_start: Some(Self::invalidate_range_start),
        invalidate_range_end: Some(Self::invalidate_range_end),
        clear_flush_young: optional!(T::HAS_CLEAR_FLUSH_YOUNG, Self::clear_flush_young),
        clear_young: optional!(T::HAS_CLEAR_YOUNG, Self::clear_young),
        test_young: optional!(T::HAS_TEST_YOUNG, Self::test_young),
        release: optional!(T::HAS_RELEASE, Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As for [`NotifierVTable::invalidate_range_start`].
    unsafe extern "C" fn invalidate_range_start(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) -> c_int {
        // SAFETY:
        // - Both pointers are as this function requires.
        let (data, range) = unsafe {
            (
                Node::<T>::data_from_raw(subscription),
                Range::from_raw(range),
            )
        };
        data.invalidate_range_start(range);
        0
    }

    /// # Safety
    ///
    /// As for [`NotifierVTable::invalidate_range_start`].
    unsafe extern "C" fn invalidate_range_end(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) {
        // SAFETY:
        // - Both pointers are as this function requires.
        let (data, range) = unsafe {
            (
                Node::<T>::data_from_raw(subscription),
                Range::from_raw(range),
            )
        };
        data.invalidate_range_end(range);
    }

    optional_callbacks!();
}

/// Callbacks of a [`SecondaryTlbNotifier`].
pub(super) struct SecondaryTlbVTable<T>(PhantomData<T>);

impl<T: SecondaryTlbNotifier> SecondaryTlbVTable<T> {
    pub(super) const OPS: &'static bindings::mmu_notifier_ops = &bindings::mmu_notifier_ops {
        arch_invalidate_secondary_tlbs: Some(Self::arch_invalidate_secondary_tlbs),
        release: optional!(T::HAS_RELEASE, Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As for [`NotifierVTable::clear_flush_young`].
    unsafe extern "C" fn arch_invalidate_secondary_tlbs(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
        start: c_ulong,
        end: c_ulong,
    ) {
        // SAFETY:
        // - Both pointers are as this function requires.
        let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
        data.arch_invalidate_secondary_tlbs(mm, start..end);
    }

    /// # Safety
    ///
    /// As for [`NotifierVTable::clear_flush_young`].
    unsafe extern "C" fn release(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
    ) {
        // SAFETY:
        // - Both pointers are as this function requires.
        let (data, mm) = unsafe { (Node::<T>::data_from_raw(subscription), Mm::from_raw(mm)) };
        data.release(mm);
    }
}

#[kunit_tests(mmu_notifier_inject_vtable)]
mod tests {
    use super::*;
    use crate::abstractions::{
        kunit::Area,
        mmu_notifier::{
            alloc_node,
            free_node,
            WouldBlock, //
        }, //
    };
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    struct Accessed {
        /// Page that was accessed; 0 for none.
        page: Atomic<usize>,
    }

    #[vtable]
    impl Notifier for Accessed {
        fn invalidate_range_start<'a>(&self, _range: &'a Range) -> Result<(), WouldBlock<'a>> {
            Ok(())
        }

        fn clear_young(&self, _mm: &Mm, range: core::ops::Range<usize>) -> bool {
            let was_accessed = range.contains(&self.page.load(Relaxed));
            if was_accessed {
                self.page.store(0, Relaxed);
            }
            was_accessed
        }

        fn test_young(&self, _mm: &Mm, address: usize) -> bool {
            self.page.load(Relaxed) == address
        }
    }

    #[vtable]
    impl SecondaryTlbNotifier for Accessed {
        fn arch_invalidate_secondary_tlbs(&self, _mm: &Mm, range: core::ops::Range<usize>) {
            self.page.store(range.end, Relaxed);
        }
    }

    /// Calls `test` with the subscription of a notifier that is not registered, and its data.
    fn with_node(
        mm: &Mm,
        test: impl FnOnce(*mut bindings::mmu_notifier, *mut bindings::mm_struct, &Accessed),
    ) -> Result {
        let data = try_init!(Accessed { page: Atomic::new(0) }? Error);
        let subscription = kernel::error::from_err_ptr(alloc_node(data))?;
        // SAFETY:
        // - The node is freed below.
        test(subscription, mm.as_raw(), unsafe {
            Node::data_from_raw(subscription)
        });
        // SAFETY:
        // - It comes from `alloc_node()`, and nothing uses it any more.
        unsafe { free_node::<Accessed>(subscription) };
        Ok(())
    }

    #[test]
    fn only_what_a_type_has_is_in_its_table() {
        let ops = NotifierVTable::<Accessed>::OPS;
        assert!(ops.clear_young.is_some() && ops.test_young.is_some());
        assert!(ops.clear_flush_young.is_none() && ops.release.is_none());
        assert!(ops.invalidate_range_end.is_none());
        // The core refuses a notifier that has both.
        let ops = SecondaryTlbVTable::<Accessed>::OPS;
        assert!(ops.arch_invalidate_secondary_tlbs.is_some());
        assert!(ops.invalidate_range_start.is_none() && ops.invalidate_range_end.is_none());
    }

    #[test]
    fn callbacks_for_page_aging_reach_the_data() -> Result {
        let area = Area::new(kernel::page::PAGE_SIZE)?;
        let ops = NotifierVTable::<Accessed>::OPS;
        let (clear, test) = (
            ops.clear_young.ok_or(EINVAL)?,
            ops.test_young.ok_or(EINVAL)?,
        );
        with_node(area.mm(), |subscription, mm, data| {
            data.page.store(0x2000, Relaxed);
            // SAFETY:
            // - The node lives, with its data, and so does the `mm`.
            let seen = unsafe {
                [
                    test(subscription, mm, 0x2000),
                    test(subscription, mm, 0x3000),
                    clear(subscription, mm, 0x1000, 0x2000),
                    clear(subscription, mm, 0x2000, 0x3000),
                    test(subscription, mm, 0x2000),
                ]
            };
            assert!(seen == [true, false, false, true, false].map(Young::from));
        })
    }

    #[test]
    fn a_secondary_tlb_is_told_the_range() -> Result {
        let area = Area::new(kernel::page::PAGE_SIZE)?;
        let ops = SecondaryTlbVTable::<Accessed>::OPS;
        let invalidate = ops.arch_invalidate_secondary_tlbs.ok_or(EINVAL)?;
        with_node(area.mm(), |subscription, mm, data| {
            // SAFETY:
            // - The node lives, with its data, and so does the `mm`.
            unsafe { invalidate(subscription, mm, 0, usize::MAX) };
            assert_eq!(data.page.load(Relaxed), usize::MAX);
        })
    }
}
