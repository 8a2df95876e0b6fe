// SPDX-License-Identifier: GPL-2.0

// A range is that of a callback, and of the context in which it runs.
// error: E0277

use crate::abstractions::mmu_notifier::Range;

fn for_another_thread<T: Send>(_: T) {}

fn pass_on(range: &Range) {
    for_another_thread(range); // wrong
    for_another_thread(range.start()); // right
}
