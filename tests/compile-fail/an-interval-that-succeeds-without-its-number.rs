// SPDX-License-Identifier: GPL-2.0

// A reader that began before the invalidation would use what is not there any more.
// error: E0308

use crate::abstractions::mmu_interval::{IntervalNotifier, Seq, SeqSet};
use crate::abstractions::mmu_notifier::{Range, WouldBlock};

struct Window;

impl IntervalNotifier for Window {
    fn invalidate<'a>(
        &self,
        _range: &'a Range,
        seq: Seq<'a>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        let _ = &seq;
        Ok(()) // wrong
        Ok(seq.set()) // right
    }
}
