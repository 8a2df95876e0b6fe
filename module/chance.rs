// SPDX-License-Identifier: GPL-2.0

//! Which of the calls that a fault is meant for it befalls: `probability`, `interval`, `times` and
//! `space`, as Documentation/fault-injection/fault-injection.rst has them.

use crate::abstractions::random::random_below;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The settings, and how far they have counted.
pub(crate) struct Chance {
    /// How many of a hundred calls.
    pub(crate) probability: Atomic<i32>,
    /// Every so many calls.
    pub(crate) interval: Atomic<i32>,
    /// How many more calls; -1 for any number.
    pub(crate) times: Atomic<i32>,
    /// How many calls are let through first.
    pub(crate) space: Atomic<i32>,
    /// Calls that `interval` has seen.
    count: Atomic<u32>,
}

impl Chance {
    /// Every call.
    pub(crate) const fn new() -> Self {
        Chance {
            probability: Atomic::new(100),
            interval: Atomic::new(1),
            times: Atomic::new(-1),
            space: Atomic::new(0),
            count: Atomic::new(0),
        }
    }

    /// Whether this call is one. In the order of `should_fail_ex()` (lib/fault-inject.c); unlike
    /// there, `space` counts calls, and lets through as many as it says. Never sleeps.
    pub(crate) fn strikes(&self) -> bool {
        if self.times.load(Relaxed) == 0 || take_one(&self.space) {
            return false;
        }
        let interval = self.interval.load(Relaxed).unsigned_abs();
        if interval > 1 {
            let count = self.count.fetch_add(1, Relaxed).wrapping_add(1);
            if count.checked_rem(interval) != Some(0) {
                return false;
            }
        }
        let probability = self.probability.load(Relaxed).unsigned_abs();
        if probability < 100 && probability <= random_below(100) {
            return false;
        }
        // Of several calls at once, no more are struck than there are left.
        self.times.load(Relaxed) == -1 || take_one(&self.times)
    }
}

/// Takes one away from what is above 0. Returns whether it was.
fn take_one(counter: &Atomic<i32>) -> bool {
    let mut value = counter.load(Relaxed);
    while value > 0 {
        match counter.cmpxchg(value, value.wrapping_sub(1), Relaxed) {
            Ok(_) => return true,
            Err(now) => value = now,
        }
    }
    false
}

#[kernel::prelude::kunit_tests(mmu_notifier_inject_chance)]
mod tests {
    use super::*;

    fn strikes(chance: &Chance, calls: usize) -> usize {
        (0..calls).filter(|_| chance.strikes()).count()
    }

    #[test]
    fn every_call_unless_told_otherwise() {
        assert_eq!(strikes(&Chance::new(), 1000), 1000);
    }

    #[test]
    fn times_ends() {
        let chance = Chance::new();
        chance.times.store(3, Relaxed);
        assert_eq!(strikes(&chance, 1000), 3);
        assert_eq!(chance.times.load(Relaxed), 0);
    }

    #[test]
    fn space_lets_through_first() {
        let chance = Chance::new();
        chance.space.store(7, Relaxed);
        assert_eq!(strikes(&chance, 7), 0);
        assert_eq!(strikes(&chance, 5), 5);
        assert_eq!(chance.space.load(Relaxed), 0);
    }

    #[test]
    fn interval_takes_every_so_many() {
        let chance = Chance::new();
        chance.interval.store(4, Relaxed);
        assert_eq!(strikes(&chance, 3), 0);
        assert_eq!(strikes(&chance, 1), 1);
        assert_eq!(strikes(&chance, 400), 100);
    }

    #[test]
    fn probability_is_in_percent() {
        let chance = Chance::new();
        chance.probability.store(0, Relaxed);
        assert_eq!(strikes(&chance, 1000), 0);
        chance.probability.store(50, Relaxed);
        // Ten thousand throws of a coin: this is twenty standard deviations wide.
        assert!((4000..6000).contains(&strikes(&chance, 10_000)));
    }

    #[test]
    fn nothing_is_counted_before_its_turn() {
        let chance = Chance::new();
        chance.times.store(2, Relaxed);
        chance.space.store(10, Relaxed);
        chance.interval.store(5, Relaxed);
        assert_eq!(strikes(&chance, 10 + 4), 0);
        assert_eq!(chance.times.load(Relaxed), 2);
        assert_eq!(strikes(&chance, 1000), 2);
    }
}
