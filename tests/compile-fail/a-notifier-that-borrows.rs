// SPDX-License-Identifier: GPL-2.0

// A registration can be leaked, and then the core calls a notifier whose borrows have ended.
// error: E0478 E0803

use crate::abstractions::mmu_notifier::{Notifier, Range, WouldBlock};
use kernel::prelude::*;

struct Mirror<'a>(&'a u32); // wrong
struct Mirror(&'static u32); // right

#[vtable]
impl Notifier for Mirror<'_> { // wrong
impl Notifier for Mirror { // right
    fn invalidate_range_start<'a>(&self, _range: &'a Range) -> Result<(), WouldBlock<'a>> {
        let _ = self.0;
        Ok(())
    }
}
