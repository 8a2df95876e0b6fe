// SPDX-License-Identifier: GPL-2.0

//! Zapping pages of a target, as a driver may that has mapped them.

use crate::{
    abstractions::{
        breach,
        task, //
    },
    filter::AddressRange,
    injector::Injector, //
};
use kernel::{
    mm::{
        virt::flags,
        Mm,
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Pages to zap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zap {
    start: usize,
    end: usize,
    /// With a spinlock held, although notifiers are called for it, and may sleep.
    is_atomic: bool,
}

impl Zap {
    /// Takes `START-END` or `START-END atomic`. Fails with `EINVAL`, also where these are no whole
    /// pages, and with `ERANGE`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let mut words = line.split_ascii_whitespace();
        let range = AddressRange::parse(words.next().ok_or(EINVAL)?)?;
        let is_atomic = match words.next() {
            None => false,
            Some("atomic") => true,
            Some(_) => return Err(EINVAL),
        };
        let address = |address: u64| usize::try_from(address).map_err(|_| ERANGE);
        let (start, end) = (address(range.start)?, address(range.end)?);
        if words.next().is_some() || (start | end) % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        Ok(Zap {
            start,
            end,
            is_atomic,
        })
    }

    /// Zaps them in `mm`: what they hold is lost, and the kernel calls the notifiers (`CLEAR`).
    ///
    /// Takes `mmap_lock` for reading, so it may sleep. Fails with `ESRCH` where nobody uses the
    /// address space any more, with `EFAULT` where the pages are not all in one VMA, with `EINVAL`
    /// where that VMA is one of hugetlbfs, and with `EPERM` where breaking rules is not permitted,
    /// and it is to be done in atomic context or to an address space that the writer may not trace.
    pub(crate) fn carry_out(self, mm: &Mm, injector: &Injector) -> Result {
        if self.is_atomic || !task::may_ptrace(mm) {
            breach::permit()?;
        }
        self.zap(&*mm.mmget_not_zero().ok_or(ESRCH)?, injector)
    }

    fn zap(self, mm: &MmWithUser, injector: &Injector) -> Result {
        let guard = mm.mmap_read_lock();
        let vma = guard.vma_lookup(self.start).ok_or(EFAULT)?;
        // In a VMA of hugetlbfs, a range that is not made of whole huge pages is a BUG in
        // `__unmap_hugepage_range()`, which `zap_vma_range()` does not prevent. The size of a huge
        // page cannot be asked for from here, so nothing is zapped in such a VMA.
        if vma.flags() & flags::HUGETLB != 0 {
            return Err(EINVAL);
        }
        if self.end > vma.end() {
            return Err(EFAULT);
        }
        let zap = || vma.zap_vma_range(self.start, self.end.saturating_sub(self.start));
        if self.is_atomic {
            injector.in_atomic_context(breach::permit()?, zap);
        } else {
            zap();
        }
        Ok(())
    }
}

#[kunit_tests(mmu_notifier_inject_zap)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_taken() -> Result {
        let page = Zap {
            start: 0x1000,
            end: 0x3000,
            is_atomic: false,
        };
        assert!(Zap::parse("1000-0x3000")? == page);
        let is_atomic = true;
        assert!(Zap::parse(" 1000-3000  atomic ")? == Zap { is_atomic, ..page });
        Ok(())
    }

    #[test]
    fn what_is_none_is_refused() {
        for line in [
            "",
            "atomic",
            "all",
            "1000",
            "1000-1000",
            "2000-1000",
            "1-2000",
            "1000-2001",
            "1000-2000 atomically",
            "1000-2000 atomic atomic",
        ] {
            assert_eq!(Zap::parse(line).err(), Some(EINVAL));
        }
        assert_eq!(Zap::parse("0-10000000000000000").err(), Some(ERANGE));
    }
}
