// SPDX-License-Identifier: GPL-2.0

// A blockable range must not be refused.
// error: E0423

use crate::abstractions::mmu_notifier::{Notifier, Range, WouldBlock};
use core::marker::PhantomData; // wrong
use kernel::prelude::*;

struct Refuser;

#[vtable]
impl Notifier for Refuser {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> {
        let _ = range;
        Err(WouldBlock(PhantomData)) // wrong
        range.would_block().map_or(Ok(()), Err) // right
    }
}
