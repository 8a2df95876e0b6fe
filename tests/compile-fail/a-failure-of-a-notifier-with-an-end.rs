// SPDX-License-Identifier: GPL-2.0

// The core cannot tell such a notifier which of its starts has failed.
// error: E0053

use crate::abstractions::mmu_notifier::{NotifierWithEnd, Range};
use crate::abstractions::mmu_notifier::WouldBlock; // wrong
use kernel::prelude::*;

struct Changes;

#[vtable]
impl NotifierWithEnd for Changes {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> { // wrong
        range.would_block().map_or(Ok(()), Err) // wrong
    fn invalidate_range_start(&self, range: &Range) { // right
        let _ = range; // right
    }

    fn invalidate_range_end(&self, _range: &Range) {}
}
