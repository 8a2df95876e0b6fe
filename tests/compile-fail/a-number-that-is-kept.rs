// SPDX-License-Identifier: GPL-2.0

// The proof that one callback has set its number could be returned from another one.
// error: E0521

use crate::abstractions::mmu_interval::Seq;

fn keep<T: 'static>(_: T) {}

fn set(seq: Seq<'_>) {
    keep(seq.set()); // wrong
    keep(seq.get()); // right
}
