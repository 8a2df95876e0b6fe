// SPDX-License-Identifier: GPL-2.0

//! The notifier of one target: what it is told to do, and what it has done.

use crate::{
    abstractions::mmu_notifier::{
        refusing_notifier,
        Event,
        Range,
        Refusal,
        RefusingNotifier, //
    },
    filter::{
        AddressRange,
        ContextFilter,
        Filter, //
    },
    log::Log, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// The largest number that is an errno: `MAX_ERRNO` of include/linux/err.h.
const MAX_ERRNO: i32 = 4095;

/// What one target's callback is told to do, and what it has done.
///
/// The callback neither sleeps nor allocates. It takes two leaf locks, `filter` and the log's,
/// one after the other, each for the time of a copy.
#[pin_data]
pub(crate) struct Injector {
    /// What a call with the event of that index fails with; 0: it does not.
    errors: [Atomic<i32>; Event::ALL.len()],
    #[pin]
    filter: SpinLock<Filter>,
    calls: Atomic<u64>,
    injected: Atomic<u64>,
    #[pin]
    log: Log,
}

impl Injector {
    /// An injector that agrees to everything, with a log of the last `log_entries` calls.
    pub(crate) fn new(log_entries: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            errors: [const { Atomic::new(0) }; Event::ALL.len()],
            filter <- new_spinlock!(Filter {
                range: AddressRange::ALL,
                context: ContextFilter::Any,
            }),
            calls: Atomic::new(0),
            injected: Atomic::new(0),
            log <- Log::new(log_entries),
        }? Error)
    }

    /// The errno for calls with `event`: 0 or negative.
    pub(crate) fn error(&self, event: Event) -> i32 {
        self.errors[event as usize].load(Relaxed)
    }

    /// Sets the errno for calls with `event`. Fails with `ERANGE` unless it is -4095 to 0.
    pub(crate) fn set_error(&self, event: Event, errno: i32) -> Result {
        if !(-MAX_ERRNO..=0).contains(&errno) {
            return Err(ERANGE);
        }
        self.errors[event as usize].store(errno, Relaxed);
        Ok(())
    }

    /// Which calls are meant.
    pub(crate) fn filter(&self) -> Filter {
        *self.filter.lock()
    }

    /// Changes which calls are meant.
    pub(crate) fn update_filter(&self, change: impl FnOnce(&mut Filter)) {
        change(&mut self.filter.lock());
    }

    /// Calls of `invalidate_range_start` so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// How many of them were made to fail.
    pub(crate) fn injected(&self) -> u64 {
        self.injected.load(Relaxed)
    }

    /// The log of the calls.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What the callback is to return for `range`: 0 or a negative errno.
    fn decide(&self, range: &Range) -> i32 {
        // An event that is newer than this module has no folder, so nobody can have armed it.
        let Some(event) = range.event() else {
            return 0;
        };
        let errno = self.error(event);
        if errno == 0 {
            return 0;
        }
        let filter = self.filter();
        if filter.context.admits(range.is_blockable())
            && filter.range.overlaps(range.start(), range.end())
        {
            errno
        } else {
            0
        }
    }
}

/// The injector as a notifier.
pub(crate) struct Notifier(pub(crate) Arc<Injector>);

impl RefusingNotifier for Notifier {
    fn invalidate_range_start(&self, range: &Range) -> Result<(), Refusal> {
        let errno = self.0.decide(range);
        self.0.calls.fetch_add(1, Relaxed);
        if errno != 0 {
            self.0.injected.fetch_add(1, Relaxed);
        }
        self.0.log.add(range, errno);

        if errno == 0 {
            return Ok(());
        }
        let error = Error::from_errno(errno);
        // The one legal refusal comes from the range, every other one is the fault.
        Err(match range.refuse() {
            Some(refusal) if error == EAGAIN => refusal,
            _ => Refusal::in_breach_of_contract(error),
        })
    }
}

refusing_notifier!(Notifier, mmu_notifier_inject_invalidate_range_start);
