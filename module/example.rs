// SPDX-License-Identifier: GPL-2.0

use crate::abstractions::mmu_notifier::{
    paired_notifier,
    refusing_notifier,
    Call,
    IntervalNotifier,
    IntervalRegistration,
    Invalidation,
    OnePass,
    PairedNotifier,
    Range,
    Refusal,
    RefusingNotifier,
    Registration,
    SequenceSet, //
};
use core::convert::Infallible;
use kernel::{
    mm::MmWithUser,
    new_mutex,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock, //
    }, //
};

/// A driver whose mirror is behind a lock, for which it may have to sleep.
#[pin_data]
pub(crate) struct Mirror {
    #[pin]
    pages: Mutex<KVec<u64>>,
}

impl RefusingNotifier for Pin<KBox<Mirror>> {
    fn invalidate_range_start(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let mut pages = match (self.pages.try_lock(), call.refuse()) {
            (Some(pages), _) => pages,
            // Only a call that must not block can be refused.
            (None, Some(refusal)) => return Err(refusal),
            (None, None) => self.pages.lock(),
        };
        pages.retain(|page| !(call.start()..call.end()).contains(page));
        Ok(())
    }
}

refusing_notifier!(Pin<KBox<Mirror>>, mmu_notifier_inject_example_mirror);

/// A driver that counts the changes that are under way. Since it hears of their end, it cannot
/// refuse: it has no value to do it with.
pub(crate) struct Changes(Atomic<i32>);

impl PairedNotifier for Changes {
    type Refusal = Infallible;

    fn invalidate_range_start(&self, _call: &Call<'_>) -> Result<(), Infallible> {
        self.0.add(1, Relaxed);
        Ok(())
    }

    fn invalidate_range_end(&self, _range: &Range) {
        self.0.add(-1, Relaxed);
    }
}

paired_notifier!(Changes, mmu_notifier_inject_example_changes);

/// A driver that lets a device use one page, wherever that is just now.
#[pin_data]
pub(crate) struct Window {
    #[pin]
    frame: SpinLock<Option<u64>>,
}

impl IntervalNotifier for Arc<Window> {
    fn invalidate<'a>(
        &self,
        invalidation: &'a Invalidation<'_>,
    ) -> Result<SequenceSet<'a>, Refusal> {
        let mut frame = self.frame.lock();
        *frame = None;
        Ok(invalidation.set_seq())
    }
}

/// All of them on one address space; dropping them unregisters them.
pub(crate) struct Driver {
    _mirror: Pin<KBox<Registration<Pin<KBox<Mirror>>>>>,
    _changes: Pin<KBox<Registration<Changes>>>,
    interval: Pin<KBox<IntervalRegistration<OnePass<Arc<Window>>>>>,
    window: Arc<Window>,
}

impl Driver {
    pub(crate) fn new(mm: &MmWithUser, start: u64, end: u64) -> Result<Self> {
        let mirror = KBox::pin_init(
            pin_init!(Mirror { pages <- new_mutex!(KVec::new()) }),
            GFP_KERNEL,
        )?;
        let changes = Changes(Atomic::new(0));
        let window = Arc::pin_init(
            pin_init!(Window { frame <- new_spinlock!(None) }),
            GFP_KERNEL,
        )?;
        let interval = IntervalRegistration::new(mm, start, end, OnePass(window.clone()));
        Ok(Driver {
            _mirror: KBox::pin_init(Registration::new(mm, mirror), GFP_KERNEL)?,
            _changes: KBox::pin_init(Registration::new(mm, changes), GFP_KERNEL)?,
            interval: KBox::pin_init(interval, GFP_KERNEL)?,
            window,
        })
    }

    /// Opens the window on the page that `find` finds in the page tables. May sleep.
    pub(crate) fn open(&self, find: impl Fn() -> Result<u64>) -> Result {
        loop {
            let seq = self.interval.read_begin();
            let found = find()?;
            let mut frame = self.window.frame.lock();
            if !self.interval.read_retry(seq) {
                *frame = Some(found);
                return Ok(());
            }
        }
    }
}
