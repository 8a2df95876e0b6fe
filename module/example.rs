// SPDX-License-Identifier: GPL-2.0

use crate::abstractions::{
    mm::{
        self,
        MmapWriteGuard, //
    },
    mmu_interval::{
        IntervalNotifier,
        IntervalRegistration,
        Seq,
        SeqSet, //
    },
    mmu_notifier::{
        Notifier,
        NotifierWithEnd,
        Range,
        Registration,
        SecondaryTlbNotifier,
        SharedNotifier,
        SharedOps,
        SharedRegistration,
        WouldBlock, //
    }, //
};
use kernel::{
    mm::{
        Mm,
        MmWithUser, //
    },
    new_mutex,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex,
        SpinLock, //
    }, //
};

/// Mirror of page tables behind a lock for which a callback may have to sleep.
#[pin_data]
pub(crate) struct Mirror {
    #[pin]
    pages: Mutex<KVec<usize>>,
}

impl Mirror {
    fn new() -> impl PinInit<Self> {
        pin_init!(Mirror { pages <- new_mutex!(KVec::new()) })
    }
}

#[vtable]
impl Notifier for Mirror {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> {
        // The driver passes the address of its mirror to the functions that migrate pages.
        if range.owner() == Some(core::ptr::from_ref(self).cast_mut().cast()) {
            return Ok(());
        }
        let mut pages = match (self.pages.try_lock(), range.would_block()) {
            (Some(pages), _) => pages,
            // Only a callback that must not sleep can fail.
            (None, Some(failure)) => return Err(failure),
            (None, None) => self.pages.lock(),
        };
        pages.retain(|page| !(range.start()..range.end()).contains(page));
        Ok(())
    }
}

/// Numbers of changes. A notifier with an end has no way to fail.
pub(crate) struct Changes {
    begun: Atomic<i32>,
    in_progress: Atomic<i32>,
    /// Changes of an address space that no process uses any more.
    after_exit: Atomic<i32>,
}

impl Changes {
    fn new() -> impl Init<Self> {
        init!(Changes {
            begun: Atomic::new(0),
            in_progress: Atomic::new(0),
            after_exit: Atomic::new(0),
        })
    }
}

#[vtable]
impl NotifierWithEnd for Changes {
    fn invalidate_range_start(&self, range: &Range) {
        self.begun.add(1, Relaxed);
        if mm::users(range.mm()) == 0 {
            self.after_exit.add(1, Relaxed);
        }
        self.in_progress.add(1, Relaxed);
    }

    fn invalidate_range_end(&self, _range: &Range) {
        self.in_progress.add(-1, Relaxed);
    }
}

/// Page that a device may use, wherever it is at the moment.
#[pin_data]
pub(crate) struct Window {
    #[pin]
    frame: SpinLock<Option<usize>>,
}

impl Window {
    fn new() -> impl PinInit<Self> {
        pin_init!(Window { frame <- new_spinlock!(None) })
    }
}

impl IntervalNotifier for Window {
    fn invalidate<'a>(
        &self,
        _range: &'a Range,
        seq: Seq<'a>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        let mut frame = self.frame.lock();
        *frame = None;
        Ok(seq.set())
    }
}

/// Page that the device has accessed, of those that all its users of an address space share.
#[pin_data]
pub(crate) struct Accessed {
    #[pin]
    page: SpinLock<Option<usize>>,
}

#[vtable]
impl Notifier for Accessed {
    fn invalidate_range_start<'a>(&self, range: &'a Range) -> Result<(), WouldBlock<'a>> {
        let mut page = self.page.lock();
        page.take_if(|page| (range.start()..range.end()).contains(page));
        Ok(())
    }

    fn clear_flush_young(&self, mm: &Mm, range: core::ops::Range<usize>) -> bool {
        // This device has no TLB.
        self.clear_young(mm, range)
    }

    fn clear_young(&self, _mm: &Mm, range: core::ops::Range<usize>) -> bool {
        let mut page = self.page.lock();
        page.take_if(|page| range.contains(page)).is_some()
    }

    fn test_young(&self, _mm: &Mm, address: usize) -> bool {
        *self.page.lock() == Some(address)
    }
}

impl SharedNotifier for Accessed {
    fn ops() -> &'static SharedOps<Self> {
        static OPS: SharedOps<Accessed> = SharedOps::new();
        &OPS
    }

    fn alloc(_mm: &Mm) -> impl PinInit<Self, Error> {
        try_pin_init!(Accessed { page <- new_spinlock!(None) }? Error)
    }
}

/// Translations of a device that walks the page tables.
pub(crate) struct Translations {
    flushes: Atomic<i32>,
}

#[vtable]
impl SecondaryTlbNotifier for Translations {
    fn arch_invalidate_secondary_tlbs(&self, _mm: &Mm, _range: core::ops::Range<usize>) {
        self.flushes.add(1, Relaxed);
    }
}

impl Translations {
    fn new() -> impl Init<Self> {
        init!(Translations {
            flushes: Atomic::new(0)
        })
    }
}

/// All of them on one address space. Dropping them unregisters them.
pub(crate) struct Driver {
    mirror: Pin<KBox<Registration<Mirror>>>,
    changes: Pin<KBox<Registration<Changes>>>,
    window: Pin<KBox<IntervalRegistration<Window>>>,
    accessed: SharedRegistration<Accessed>,
    translations: Pin<KBox<Registration<Translations>>>,
}

impl Driver {
    /// Registers them; the window is for the addresses in `interval`.
    pub(crate) fn new(mm: &MmWithUser, interval: core::ops::Range<usize>) -> Result<Self> {
        let window = IntervalRegistration::new(mm, interval, Window::new());
        let translations = Registration::new(mm, Translations::new());
        Ok(Driver {
            mirror: KBox::pin_init(Registration::new(mm, Mirror::new()), GFP_KERNEL)?,
            changes: KBox::pin_init(Registration::new(mm, Changes::new()), GFP_KERNEL)?,
            window: KBox::pin_init(window, GFP_KERNEL)?,
            accessed: SharedRegistration::get(mm)?,
            translations: KBox::pin_init(translations, GFP_KERNEL)?,
        })
    }

    /// Registers them without giving up the lock in between.
    pub(crate) fn new_locked(
        guard: &MmapWriteGuard<'_>,
        interval: core::ops::Range<usize>,
    ) -> Result<Self> {
        let mirror = Registration::new_locked(guard, Mirror::new());
        let changes = Registration::new_locked(guard, Changes::new());
        let window = IntervalRegistration::new_locked(guard, interval, Window::new());
        let translations = Registration::new_locked(guard, Translations::new());
        Ok(Driver {
            mirror: KBox::pin_init(mirror, GFP_KERNEL)?,
            changes: KBox::pin_init(changes, GFP_KERNEL)?,
            window: KBox::pin_init(window, GFP_KERNEL)?,
            accessed: SharedRegistration::get_locked(guard)?,
            translations: KBox::pin_init(translations, GFP_KERNEL)?,
        })
    }

    /// The address space with which they are registered.
    pub(crate) fn mm(&self) -> &Mm {
        self.window.mm()
    }

    /// Opens the window on the frame that `find` finds in the page tables. May sleep.
    pub(crate) fn open(&self, find: impl Fn() -> Result<usize>) -> Result {
        loop {
            let seq = self.window.read_begin();
            let found = find()?;
            let mut frame = self.window.frame.lock();
            if !self.window.read_retry(seq) {
                *frame = Some(found);
                return Ok(());
            }
        }
    }
}

#[kunit_tests(mmu_notifier_inject_example)]
mod tests {
    use super::*;
    use crate::abstractions::{
        kunit::Area,
        mm::mmap_write_lock, //
    };
    use kernel::page::PAGE_SIZE;

    #[test]
    fn notifiers_see_what_is_unmapped() -> Result {
        let area = Area::new(2 * PAGE_SIZE)?;
        let driver = Driver::new(area.mm(), area.start()..area.start() + PAGE_SIZE)?;
        check(&driver, &area)
    }

    #[test]
    fn notifiers_are_registered_under_the_lock() -> Result {
        let area = Area::new(2 * PAGE_SIZE)?;
        let guard = mmap_write_lock(area.mm());
        let driver = Driver::new_locked(&guard, area.start()..area.start() + PAGE_SIZE)?;
        drop(guard);
        check(&driver, &area)
    }

    #[test]
    fn an_empty_interval_is_refused() -> Result {
        let area = Area::new(PAGE_SIZE)?;
        let start = area.start();
        for interval in [start..start, start + 1..start] {
            let driver = Driver::new(area.mm(), interval);
            assert_eq!(driver.map(drop).err(), Some(EOVERFLOW));
        }
        Ok(())
    }

    #[test]
    fn users_of_an_address_space_share_a_notifier() -> Result {
        let area = Area::new(2 * PAGE_SIZE)?;
        let one = Driver::new(area.mm(), area.start()..area.start() + PAGE_SIZE)?;
        assert_eq!(one.accessed.users(), 1);
        let two = Driver::new(area.mm(), area.start()..area.start() + PAGE_SIZE)?;
        assert_eq!((one.accessed.users(), two.accessed.users()), (2, 2));
        assert!(core::ptr::eq(&*one.accessed, &*two.accessed));
        drop(one);
        assert_eq!(two.accessed.users(), 1);

        // It is called as the others are, by the one that is left.
        *two.accessed.page.lock() = Some(area.start());
        area.unmap(PAGE_SIZE, PAGE_SIZE)?;
        assert!(two.accessed.page.lock().is_some());
        area.unmap(0, PAGE_SIZE)?;
        assert!(two.accessed.page.lock().is_none());
        Ok(())
    }

    /// Unmaps the first of two pages, and checks what the notifiers have made of it.
    fn check(driver: &Driver, area: &Area) -> Result {
        let (first, second) = (area.start(), area.start() + PAGE_SIZE);
        for page in [first, second] {
            driver.mirror.pages.lock().push(page, GFP_KERNEL)?;
        }
        driver.open(|| Ok(1))?;
        assert!(driver.window.frame.lock().is_some());
        assert!(core::ptr::eq(driver.mm(), &**area.mm()));

        area.unmap(0, PAGE_SIZE)?;
        assert!(driver.mirror.pages.lock().as_slice() == [second].as_slice());
        assert!(driver.window.frame.lock().is_none());
        let Changes {
            begun,
            in_progress,
            after_exit,
        } = &**driver.changes;
        assert_eq!(begun.load(Relaxed), 1);
        assert_eq!(in_progress.load(Relaxed), 0);
        assert_eq!(after_exit.load(Relaxed), 0);
        // The pages were never mapped in, so the processors have no entries for them.
        assert_eq!(driver.translations.flushes.load(Relaxed), 0);

        // The second page is not in the interval of the window.
        driver.open(|| Ok(1))?;
        area.unmap(PAGE_SIZE, PAGE_SIZE)?;
        assert!(driver.mirror.pages.lock().is_empty());
        assert!(driver.window.frame.lock().is_some());
        assert_eq!(begun.load(Relaxed), 2);
        Ok(())
    }
}
