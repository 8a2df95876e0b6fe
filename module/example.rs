// SPDX-License-Identifier: GPL-2.0

use crate::abstractions::mmu_notifier::{
    paired_notifier,
    refusing_notifier,
    PairedNotifier,
    Range,
    Refusal,
    RefusingNotifier,
    Registration, //
};
use core::convert::Infallible;
use kernel::{
    mm::MmWithUser,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    },
};

/// A driver whose mirror is behind a lock, for which it may have to sleep.
#[pin_data]
pub(crate) struct Mirror {
    #[pin]
    pages: Mutex<KVec<u64>>,
}

impl RefusingNotifier for Pin<KBox<Mirror>> {
    fn invalidate_range_start(&self, range: &Range) -> Result<(), Refusal> {
        let mut pages = match (self.pages.try_lock(), range.refuse()) {
            (Some(pages), _) => pages,
            // Only a call that must not block can be refused.
            (None, Some(refusal)) => return Err(refusal),
            (None, None) => self.pages.lock(),
        };
        pages.retain(|page| !(range.start()..range.end()).contains(page));
        Ok(())
    }
}

refusing_notifier!(Pin<KBox<Mirror>>, mmu_notifier_inject_example_mirror);

/// A driver that counts the changes that are under way. Since it hears of their end, it cannot
/// refuse: it has no value to do it with.
pub(crate) struct Changes(Atomic<i32>);

impl PairedNotifier for Changes {
    type Refusal = Infallible;

    fn invalidate_range_start(&self, _range: &Range) -> Result<(), Infallible> {
        self.0.add(1, Relaxed);
        Ok(())
    }

    fn invalidate_range_end(&self, _range: &Range) {
        self.0.add(-1, Relaxed);
    }
}

paired_notifier!(Changes, mmu_notifier_inject_example_changes);

/// Both on one address space; dropping them unregisters them.
pub(crate) struct Driver {
    _mirror: Pin<KBox<Registration<Pin<KBox<Mirror>>>>>,
    _changes: Pin<KBox<Registration<Changes>>>,
}

impl Driver {
    pub(crate) fn new(mm: &MmWithUser) -> Result<Self> {
        let mirror = KBox::pin_init(
            pin_init!(Mirror { pages <- new_mutex!(KVec::new()) }),
            GFP_KERNEL,
        )?;
        let changes = Changes(Atomic::new(0));
        Ok(Driver {
            _mirror: KBox::pin_init(Registration::new(mm, mirror), GFP_KERNEL)?,
            _changes: KBox::pin_init(Registration::new(mm, changes), GFP_KERNEL)?,
        })
    }
}
