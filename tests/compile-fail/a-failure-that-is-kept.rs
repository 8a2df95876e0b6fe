// SPDX-License-Identifier: GPL-2.0

// The failure of a non-blockable callback could be returned from a blockable one later.
// error: E0521

use crate::abstractions::mmu_notifier::Range;

fn keep<T: 'static>(_: T) {}

fn would_block(range: &Range) {
    keep(range.would_block()); // wrong
    keep(range.would_block().is_some()); // right
}
