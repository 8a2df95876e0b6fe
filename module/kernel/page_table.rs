// SPDX-License-Identifier: GPL-2.0

//! Page tables of user space, read without a lock.
//!
//! C header: [`include/linux/pgtable.h`](srctree/include/linux/pgtable.h)

use super::helpers;
use core::ops::Range;
use kernel::{
    mm::Mm,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Number of entries that are read in one go, with interrupts off. They are on the stack.
const AT_ONCE: usize = 32;

/// Page table entry of one page.
///
/// An entry of a larger page is that of the small page within. There is no entry where an access
/// faults: nothing is mapped, or it is swapped out, migrating, or not accessible (`PROT_NONE`, NUMA
/// balancing).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u64);

impl Entry {
    /// No page.
    pub(crate) const NONE: Entry = Entry(0);

    /// Returns whether a page is mapped.
    #[inline]
    pub(crate) fn is_mapped(self) -> bool {
        self.0 & 1 != 0
    }

    /// Returns whether the page may be written to.
    #[inline]
    pub(crate) fn is_writable(self) -> bool {
        self.0 & 2 != 0
    }

    /// Returns the number of the page frame.
    #[inline]
    pub(crate) fn pfn(self) -> u64 {
        self.0 >> 2
    }

    /// Returns whether a copy of this entry is wrong where the page table has `now`: the page has
    /// gone, is another one, or may not be written to any more.
    #[inline]
    pub(crate) fn is_stale(self, now: Entry) -> bool {
        let is_same = now.is_mapped() && now.pfn() == self.pfn();
        self.is_mapped() && !(is_same && (now.is_writable() || !self.is_writable()))
    }

    /// Creates the entry that a page table would have.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn new(pfn: u64, is_writable: bool) -> Self {
        Entry(pfn << 2 | u64::from(is_writable) << 1 | 1)
    }
}

/// Addresses of whole pages.
///
/// # Invariants
///
/// Both are page aligned, and the first is less than the second.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    start: usize,
    end: usize,
}

impl Pages {
    /// Returns [`None`] for other addresses.
    pub(crate) fn new(start: usize, end: usize) -> Option<Self> {
        let is_aligned = start % PAGE_SIZE == 0 && end % PAGE_SIZE == 0;
        // INVARIANT: This is what is checked.
        (is_aligned && start < end).then_some(Pages { start, end })
    }

    /// Returns their number.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        (self.end - self.start) / PAGE_SIZE
    }

    /// Returns the addresses of those pages, counted from the first one.
    pub(crate) fn addresses(&self, pages: Range<usize>) -> Range<usize> {
        let address = |page: usize| self.start.saturating_add(page.saturating_mul(PAGE_SIZE));
        address(pages.start)..address(pages.end)
    }

    /// Calls `each` with the number of each page, from 0, and its entry. A page that is not of user
    /// space has none.
    ///
    /// Other tasks may change the page table meanwhile, so the entries need not be of one time.
    ///
    /// # Context
    ///
    /// Any context.
    pub(crate) fn read(&self, mm: &Mm, mut each: impl FnMut(usize, Entry)) {
        let mut buffer = [0; AT_ONCE];
        let mut first = 0;
        while first < self.count() {
            let count = AT_ONCE.min(self.count() - first);
            let entries = &mut buffer[..count];
            let address = self.addresses(first..first).start;
            // SAFETY:
            // - The pointer is valid since `mm` is a reference.
            unsafe { helpers::read_page_table(mm.as_raw(), address, entries) };
            for (page, entry) in (first..).zip(entries) {
                each(page, Entry(*entry));
            }
            first += count;
        }
    }
}

#[kunit_tests(mmu_notifier_inject_page_table)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_stale_when_the_page_has_less() {
        let (read, write) = (Entry::new(5, false), Entry::new(5, true));
        let other = Entry::new(6, true);
        for (old, new, is_stale) in [
            (Entry::NONE, write, false),
            (Entry::NONE, Entry::NONE, false),
            (read, read, false),
            (read, write, false),
            (write, write, false),
            (write, read, true),
            (write, other, true),
            (read, other, true),
            (write, Entry::NONE, true),
            (read, Entry::NONE, true),
        ] {
            assert!(old.is_stale(new) == is_stale);
        }
    }

    #[test]
    fn only_whole_pages_are_pages() -> Result {
        assert!(Pages::new(PAGE_SIZE + 1, 3 * PAGE_SIZE).is_none());
        assert!(Pages::new(PAGE_SIZE, 3 * PAGE_SIZE - 1).is_none());
        assert!(Pages::new(PAGE_SIZE, PAGE_SIZE).is_none());
        let pages = Pages::new(PAGE_SIZE, 3 * PAGE_SIZE).ok_or(EINVAL)?;
        assert!(pages.count() == 2);
        assert!(pages.addresses(1..2) == (2 * PAGE_SIZE..3 * PAGE_SIZE));
        Ok(())
    }
}
