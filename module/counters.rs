// SPDX-License-Identifier: GPL-2.0

//! Counters of a target's callbacks.

use crate::{
    abstractions::mmu_notifier::{
        Event,
        Range, //
    },
    operation::Operation,
    text::Text, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

// An event's number is where it stands in `Event::ALL`: so it is an index of arrays of that length,
// and the length itself that of no event.
const _: () = {
    let mut index = 0;
    while index < Event::ALL.len() {
        assert!(Event::ALL[index] as usize == index);
        index += 1;
    }
};

/// Calls with one event in one context.
struct Cell {
    calls: Atomic<u64>,
    injected: Atomic<u64>,
}

impl Cell {
    const fn new() -> Self {
        Cell {
            calls: Atomic::new(0),
            injected: Atomic::new(0),
        }
    }
}

/// All counters of a target. Each is right at any time; several of them may be a call apart while
/// calls are under way.
pub(crate) struct Counters {
    /// By event, the last for those newer than this module; non-blockable ones first.
    cells: [[Cell; 2]; Event::ALL.len() + 1],
    refused: Atomic<u64>,
    ends: Atomic<u64>,
    alloc_failed: Atomic<u64>,
    clear_flush_young: Atomic<u64>,
    clear_young: Atomic<u64>,
    test_young: Atomic<u64>,
    secondary_tlbs: Atomic<u64>,
}

impl Counters {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Counters {
            cells: [const { [const { Cell::new() }; 2] }; Event::ALL.len() + 1],
            refused: Atomic::new(0),
            ends: Atomic::new(0),
            alloc_failed: Atomic::new(0),
            clear_flush_young: Atomic::new(0),
            clear_young: Atomic::new(0),
            test_young: Atomic::new(0),
            secondary_tlbs: Atomic::new(0),
        }
    }

    /// A start: whether something was injected, and what it returns.
    #[inline]
    pub(crate) fn add_start(&self, range: &Range, injected: bool, returned: i32) {
        let event = range
            .event()
            .map_or(Event::ALL.len(), |event| event as usize);
        let cell = self
            .cells
            .get(event)
            .and_then(|contexts| contexts.get(usize::from(range.is_blockable())));
        if let Some(cell) = cell {
            cell.calls.add(1, Relaxed);
            if injected {
                cell.injected.add(1, Relaxed);
            }
        }
        if returned != 0 {
            self.refused.add(1, Relaxed);
        }
    }

    /// An end, or a finish.
    #[inline]
    pub(crate) fn add_end(&self) {
        self.ends.add(1, Relaxed);
    }

    /// A callback that is not about an invalidation.
    pub(crate) fn add_other(&self, operation: Operation) {
        let counter = match operation {
            Operation::ClearFlushYoung => &self.clear_flush_young,
            Operation::ClearYoung => &self.clear_young,
            Operation::TestYoung => &self.test_young,
            Operation::SecondaryTlbs => &self.secondary_tlbs,
            // The others have counters above, or none.
            _ => return,
        };
        counter.add(1, Relaxed);
    }

    /// An allocation that was to be made and could not.
    pub(crate) fn add_failed_allocation(&self) {
        self.alloc_failed.add(1, Relaxed);
    }

    fn sum(&self, part: impl Fn(&Cell) -> &Atomic<u64>) -> u64 {
        self.cells.iter().flatten().fold(0u64, |sum, cell| {
            u64::wrapping_add(sum, part(cell).load(Relaxed))
        })
    }

    /// Writes them all. `has_end` is whether each start that was not refused is owed an end.
    pub(crate) fn show(&self, overwritten: u64, has_end: bool, text: &mut Text) -> Result {
        // In this order, and so below: what is injected is never more than what was called.
        let injected = self.sum(|cell| &cell.injected);
        let calls = self.sum(|cell| &cell.calls);
        let refused = self.refused.load(Relaxed);
        let ends = self.ends.load(Relaxed);
        let paired = if !has_end {
            "na"
        } else if ends.checked_add(refused) == Some(calls) {
            "yes"
        } else {
            "no"
        };
        text.add(fmt!(
            "calls={calls} injected={injected} overwritten={overwritten}\n"
        ))?;
        text.add(fmt!(
            "starts={calls} refused={refused} ends={ends} paired={paired} alloc_failed={}\n",
            self.alloc_failed.load(Relaxed)
        ))?;
        text.add(fmt!(
            "clear_flush_young={} clear_young={} test_young={} secondary_tlbs={}\n",
            self.clear_flush_young.load(Relaxed),
            self.clear_young.load(Relaxed),
            self.test_young.load(Relaxed),
            self.secondary_tlbs.load(Relaxed)
        ))?;

        let names = Event::ALL.iter().map(|event| event.name_str());
        for (name, contexts) in Iterator::chain(names, ["UNKNOWN"]).zip(&self.cells) {
            for (context, cell) in ["non-blockable", "blockable"].into_iter().zip(contexts) {
                let injected = cell.injected.load(Relaxed);
                let calls = cell.calls.load(Relaxed);
                if calls != 0 {
                    text.add(fmt!(
                        "event={name} context={context} calls={calls} injected={injected}\n"
                    ))?;
                }
            }
        }
        Ok(())
    }
}
