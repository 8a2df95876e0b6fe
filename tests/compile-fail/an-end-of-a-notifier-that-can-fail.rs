// SPDX-License-Identifier: GPL-2.0

// The core cannot tell such a notifier which of its starts has failed.
// error: E0407 E0438

use crate::abstractions::mmu_notifier::{Notifier, Range, WouldBlock};
use kernel::prelude::*;

struct Mirror;

#[vtable]
impl Notifier for Mirror {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> {
        range.would_block().map_or(Ok(()), Err)
    }
    fn invalidate_range_end(&self, _range: &Range) {} // wrong
}
