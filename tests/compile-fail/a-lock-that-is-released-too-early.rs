// SPDX-License-Identifier: GPL-2.0

// The notifier is registered when the initializer runs, and not when it is made.
// error: E0505

use crate::abstractions::mm::MmapWriteGuard;
use crate::abstractions::mmu_notifier::{Notifier, Registration};
use kernel::prelude::*;

fn register<T: Notifier>(
    guard: MmapWriteGuard<'_>,
    data: impl PinInit<T, Error>,
) -> Result<Pin<KBox<Registration<T>>>> {
    let init = Registration::new_locked(&guard, data);
    drop(guard); // wrong
    let registration = KBox::pin_init(init, GFP_KERNEL);
    drop(guard); // right
    registration
}
