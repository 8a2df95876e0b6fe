// SPDX-License-Identifier: GPL-2.0

// A registration can be leaked, and then the core calls a notifier whose borrows have ended.
// error: E0478 E0803

use crate::abstractions::mmu_interval::{IntervalNotifier, Seq, SeqSet};
use crate::abstractions::mmu_notifier::{Range, WouldBlock};

struct Window<'a>(&'a u32); // wrong
struct Window(&'static u32); // right

impl IntervalNotifier for Window<'_> { // wrong
impl IntervalNotifier for Window { // right
    fn invalidate<'a>(
        &self,
        _range: &'a Range,
        seq: Seq<'a>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        let _ = self.0;
        Ok(seq.set())
    }
}
