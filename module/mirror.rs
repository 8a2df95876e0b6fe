// SPDX-License-Identifier: GPL-2.0

//! A copy of a part of a page table, as a secondary MMU would have it.

use crate::{
    abstractions::page_table::{
        Entry,
        Pages, //
    },
    filter::AddressRange,
    text::Text,
};
use core::ops::Range;
use kernel::{
    mm::Mm,
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// The most pages: those of a gigabyte.
const MOST: usize = 1 << 18;

/// The most runs of stale pages that are told apart each time.
const RUNS: usize = 16;

/// The copy, and how often it was made.
struct Copy {
    entries: KVVec<Entry>,
    reads: u64,
}

/// A part of a page table that is copied again and again. It shows when pages go that were mapped
/// before.
#[pin_data]
pub(crate) struct Mirror {
    pages: Pages,
    #[pin]
    copy: SpinLock<Copy>,
}

/// Checks a range of addresses.
///
/// Returns `Err(EINVAL)` unless they are whole pages, and no more than a gigabyte.
pub(crate) fn checked(range: AddressRange) -> Result<Pages> {
    let address = |address: u64| usize::try_from(address).map_err(|_| EINVAL);
    let pages = Pages::new(address(range.start)?, address(range.end)?).ok_or(EINVAL)?;
    (pages.count() <= MOST).then_some(pages).ok_or(EINVAL)
}

impl Mirror {
    /// An empty copy of these pages.
    pub(crate) fn new(range: AddressRange) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            pages: checked(range)?,
            copy <- {
                let count = checked(range)?.count();
                let entries = KVVec::from_elem(Entry::NONE, count, GFP_KERNEL_ACCOUNT)?;
                new_spinlock!(Copy { entries, reads: 0 })
            },
        }? Error)
    }

    /// Copies the page table again. Calls `lost` with the addresses of the pages of which the old
    /// copy is stale, run by run. Of more than [`RUNS`], the last one has all that is left, and
    /// what lies between.
    pub(crate) fn copy(&self, mm: &Mm, lost: impl FnMut(Range<usize>)) {
        let mut runs = Runs::new();
        let mut copy = self.copy.lock();
        copy.reads = copy.reads.wrapping_add(1);
        self.pages.read(mm, |page, now| {
            if let Some(entry) = copy.entries.get_mut(page) {
                if entry.is_stale(now) {
                    runs.add(page);
                }
                *entry = now;
            }
        });
        drop(copy);
        let found = runs.found().iter();
        found
            .map(|run| self.pages.addresses(run.clone()))
            .for_each(lost);
    }

    /// Empties the copy.
    pub(crate) fn forget(&self) {
        self.copy.lock().entries.fill(Entry::NONE);
    }

    /// Writes what the copy has.
    pub(crate) fn show(&self, text: &mut Text) -> Result {
        let copy = self.copy.lock();
        let count = |is_counted: fn(&Entry) -> bool| {
            copy.entries
                .iter()
                .filter(|entry| is_counted(entry))
                .count()
        };
        let (reads, pages) = (copy.reads, copy.entries.len());
        let mapped = count(|entry| entry.is_mapped());
        let writable = count(|entry| entry.is_writable());
        drop(copy);
        text.add(fmt!(
            "reads={reads} pages={pages} mapped={mapped} writable={writable}"
        ))
    }
}

/// Runs of pages, from a number to before another one.
struct Runs {
    runs: [Range<usize>; RUNS],
    count: usize,
}

impl Runs {
    const fn new() -> Self {
        Runs {
            runs: [const { 0..0 }; RUNS],
            count: 0,
        }
    }

    /// Adds a page behind all others.
    fn add(&mut self, page: usize) {
        let is_full = self.count == RUNS;
        if let Some(last) = self.runs[..self.count].last_mut() {
            if last.end == page || is_full {
                last.end = page + 1;
                return;
            }
        }
        self.runs[self.count] = page..page + 1;
        self.count += 1;
    }

    fn found(&self) -> &[Range<usize>] {
        &self.runs[..self.count]
    }
}

#[kunit_tests(mmu_notifier_inject_mirror)]
mod tests {
    use super::*;

    fn runs(pages: impl Iterator<Item = usize>) -> Runs {
        let mut runs = Runs::new();
        pages.for_each(|page| runs.add(page));
        runs
    }

    #[test]
    fn pages_beside_each_other_are_one_run() {
        let runs = runs([0, 1, 2, 5, 7, 8].into_iter());
        assert!(*runs.found() == [0..3, 5..6, 7..9]);
    }

    #[test]
    fn the_last_run_takes_the_rest() {
        let all = runs((0..RUNS).map(|run| 2 * run));
        assert!(all.found().len() == RUNS);
        let more = runs((0..RUNS + 3).map(|run| 2 * run));
        assert!(more.found().len() == RUNS);
        assert!(more.found().last() == Some(&(2 * RUNS - 2..2 * RUNS + 5)));
    }

    #[test]
    fn a_range_is_of_whole_pages() {
        for (start, end) in [(1, 0x2000), (0x1000, 0x1001), (0, 1 << 31)] {
            assert!(checked(AddressRange { start, end }).is_err());
        }
        assert!(checked(AddressRange {
            start: 0x1000,
            end: 0x3000
        })
        .is_ok());
    }
}
