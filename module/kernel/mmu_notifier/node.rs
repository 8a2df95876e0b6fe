// SPDX-License-Identifier: GPL-2.0

//! The memory of a notifier.

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// Subscription in the core's list, with the data of its callbacks.
#[pin_data]
pub(in crate::abstractions) struct Node<T> {
    #[pin]
    pub(in crate::abstractions) subscription: Opaque<bindings::mmu_notifier>,
    #[pin]
    pub(in crate::abstractions) data: T,
}

impl<T> Node<T> {
    /// Returns the node from the pointer that the core passes to a callback.
    ///
    /// # Safety
    ///
    /// `subscription` must be the `subscription` of a `Node<T>`.
    #[inline]
    pub(in crate::abstractions) unsafe fn from_raw(
        subscription: *mut bindings::mmu_notifier,
    ) -> *mut Self {
        // SAFETY:
        // - The caller promises that `subscription` is that field of a node.
        // - `Opaque<T>` has the layout of `T`.
        unsafe {
            kernel::container_of!(Opaque::cast_from(subscription), Self, subscription).cast_mut()
        }
    }

    /// Returns the data of a node from the pointer that the core passes to a callback.
    ///
    /// # Safety
    ///
    /// `subscription` must be the `subscription` of a `Node<T>` that lives for `'a`, and whose
    /// `data` is initialized.
    #[inline]
    pub(in crate::abstractions) unsafe fn data_from_raw<'a>(
        subscription: *mut bindings::mmu_notifier,
    ) -> &'a T {
        // SAFETY:
        // - The caller promises that the node lives, with its data.
        unsafe { &(*Self::from_raw(subscription)).data }
    }
}

/// Allocates the node of a new notifier. Returns its subscription, or an error pointer.
pub(in crate::abstractions) fn alloc_node<T>(
    data: impl PinInit<T, Error>,
) -> *mut bindings::mmu_notifier {
    let node = KBox::pin_init(
        try_pin_init!(Node {
            subscription: Opaque::new(pin_init::zeroed()),
            data <- data,
        }? Error),
        GFP_KERNEL,
    );
    match node {
        Ok(node) => {
            // SAFETY:
            // - The node stays where it is until `free_node()`.
            let node = KBox::into_raw(unsafe { Pin::into_inner_unchecked(node) });
            // SAFETY:
            // - `node` is valid.
            Opaque::cast_into(unsafe { &raw const (*node).subscription })
        }
        Err(error) => error.to_ptr(),
    }
}

/// Frees the node of a notifier: `free_notifier`.
///
/// # Safety
///
/// `subscription` must come from [`alloc_node`] with the same type. The core must not use it any
/// more, and no callback of it may run.
pub(in crate::abstractions) unsafe extern "C" fn free_node<T>(
    subscription: *mut bindings::mmu_notifier,
) {
    // SAFETY:
    // - The node comes from a box, and nothing uses it any more: the caller promises it.
    drop(unsafe { KBox::from_raw(Node::<T>::from_raw(subscription)) });
}
