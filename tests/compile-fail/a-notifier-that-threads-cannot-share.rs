// SPDX-License-Identifier: GPL-2.0

// Callbacks run in whatever thread changes the address space, several at the same time.
// error: E0277

use crate::abstractions::mmu_notifier::{NotifierWithEnd, Range};
use core::cell::Cell; // wrong
use kernel::sync::atomic::{Atomic, Relaxed}; // right
use kernel::prelude::*;

struct Calls(Cell<i32>); // wrong
struct Calls(Atomic<i32>); // right

#[vtable]
impl NotifierWithEnd for Calls {
    fn invalidate_range_start(&self, _range: &Range) {
        self.0.set(self.0.get() + 1); // wrong
        self.0.add(1, Relaxed); // right
    }

    fn invalidate_range_end(&self, _range: &Range) {}
}
