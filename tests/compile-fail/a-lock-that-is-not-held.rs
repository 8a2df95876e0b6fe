// SPDX-License-Identifier: GPL-2.0

// The core requires the lock for this way to register, and does not take it.
// error: E0308

use crate::abstractions::mm::mmap_write_lock;
use crate::abstractions::mmu_notifier::{Notifier, Registration};
use kernel::mm::MmWithUser;
use kernel::prelude::*;

fn register<T: Notifier>(mm: &MmWithUser, data: T) -> Result<Pin<KBox<Registration<T>>>> {
    KBox::pin_init(Registration::new_locked(mm, init_with(data)), GFP_KERNEL) // wrong
    KBox::pin_init(Registration::new_locked(&mmap_write_lock(mm), init_with(data)), GFP_KERNEL) // right
}

fn init_with<T>(data: T) -> impl PinInit<T> {
    Ok::<T, core::convert::Infallible>(data).unwrap_or_else(|never| match never {})
}
