// SPDX-License-Identifier: GPL-2.0

//! How often something is printed.

use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Time in which no more than [`BURST`] pass, in nanoseconds.
const INTERVAL_NS: u64 = 5_000_000_000;

/// Number of those that pass in that time.
const BURST: u32 = 10;

/// Lets ten pass in five seconds, as `struct ratelimit_state` (include/linux/ratelimit.h) does by
/// default. Never sleeps. Of several at the same time, a few more may pass.
pub(crate) struct Rate {
    begun_ns: Atomic<u64>,
    passed: Atomic<u32>,
    held_back: Atomic<u32>,
}

impl Rate {
    /// Nothing has passed so far.
    pub(crate) const fn new() -> Self {
        Rate {
            begun_ns: Atomic::new(0),
            passed: Atomic::new(0),
            held_back: Atomic::new(0),
        }
    }

    /// Returns [`None`] for one that must not pass; otherwise how many did not pass in the time
    /// before. `now_ns` is the time on some clock that does not go back.
    pub(crate) fn pass(&self, now_ns: u64) -> Option<u32> {
        let begun = self.begun_ns.load(Relaxed);
        let mut held_back = 0;
        let is_over = begun == 0 || now_ns.wrapping_sub(begun) >= INTERVAL_NS;
        if is_over && self.begun_ns.cmpxchg(begun, now_ns, Relaxed).is_ok() {
            held_back = self.held_back.xchg(0, Relaxed);
            self.passed.store(0, Relaxed);
        }
        if self.passed.fetch_add(1, Relaxed) < BURST {
            return Some(held_back);
        }
        self.passed.store(BURST, Relaxed);
        self.held_back.add(1, Relaxed);
        None
    }
}

#[kernel::prelude::kunit_tests(mmu_notifier_inject_rate)]
mod tests {
    use super::*;

    #[test]
    fn ten_pass_and_the_rest_is_counted() {
        let rate = Rate::new();
        for now in 1..=10 {
            assert_eq!(rate.pass(now), Some(0));
        }
        for now in 11..=17 {
            assert_eq!(rate.pass(now), None);
        }
        let next = 1 + INTERVAL_NS;
        assert_eq!(rate.pass(next), Some(7));
        assert_eq!(rate.pass(next), Some(0));
    }
}
