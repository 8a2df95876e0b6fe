// SPDX-License-Identifier: GPL-2.0

// The failure of a non-blockable callback could be returned from a blockable one later.
// error: E0277

use crate::abstractions::mmu_notifier::{Notifier, Range, WouldBlock};
use kernel::prelude::*;
use kernel::sync::Mutex;

#[pin_data]
struct Keeper {
    #[pin]
    failures: Mutex<KVec<WouldBlock<'static>>>, // wrong
    failures: Mutex<usize>, // right
}

#[vtable]
impl Notifier for Keeper {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> {
        drop(self.failures.lock());
        range.would_block().map_or(Ok(()), Err)
    }
}
