// SPDX-License-Identifier: GPL-2.0

//! Which of the calls that a fault is meant for it befalls: `probability`, `interval`, `times` and
//! `space`, as Documentation/fault-injection/fault-injection.rst has them.

use crate::abstractions::random::random_below;

/// The settings, and how far they have counted.
#[derive(Clone, Copy)]
pub(crate) struct Chance {
    /// How many of a hundred calls.
    pub(crate) probability: i32,
    /// Every so many calls.
    pub(crate) interval: i32,
    /// How many more calls; -1 for any number.
    pub(crate) times: i32,
    /// How many calls are let through first.
    pub(crate) space: i32,
    /// Calls that `interval` has seen.
    count: u32,
}

impl Chance {
    /// The next call, and none after it: `FAULT_ATTR_INITIALIZER` of include/linux/fault-inject.h
    /// has the same `times`.
    pub(crate) const DEFAULT: Chance = Chance {
        probability: 100,
        interval: 1,
        times: 1,
        space: 0,
        count: 0,
    };

    /// Whether this call is one. In the order of `should_fail_ex()` (lib/fault-inject.c); unlike
    /// there, `space` counts calls, and lets through as many as it says. Never sleeps.
    pub(crate) fn strikes(&mut self) -> bool {
        if self.times == 0 || take_one(&mut self.space) {
            return false;
        }
        let interval = self.interval.unsigned_abs();
        if interval > 1 {
            self.count = self.count.wrapping_add(1);
            if self.count.checked_rem(interval) != Some(0) {
                return false;
            }
        }
        let probability = self.probability.unsigned_abs();
        if probability < 100 && probability <= random_below(100) {
            return false;
        }
        self.times == -1 || take_one(&mut self.times)
    }
}

/// Takes one away from what is above 0. Returns whether it was.
fn take_one(counter: &mut i32) -> bool {
    if *counter <= 0 {
        return false;
    }
    *counter = counter.wrapping_sub(1);
    true
}

#[kernel::prelude::kunit_tests(mmu_notifier_inject_chance)]
mod tests {
    use super::*;

    fn strikes(chance: &mut Chance, calls: usize) -> usize {
        (0..calls).filter(|_| chance.strikes()).count()
    }

    /// Every call.
    const ALL: Chance = Chance {
        times: -1,
        ..Chance::DEFAULT
    };

    #[test]
    fn one_call_unless_told_otherwise() {
        let mut chance = Chance::DEFAULT;
        assert_eq!(strikes(&mut chance, 1), 1);
        assert_eq!(strikes(&mut chance, 1000), 0);
        assert_eq!(chance.times, 0);
    }

    #[test]
    fn any_number_if_told() {
        let mut chance = ALL;
        assert_eq!(strikes(&mut chance, 1000), 1000);
    }

    #[test]
    fn times_ends() {
        let mut chance = Chance { times: 3, ..ALL };
        assert_eq!(strikes(&mut chance, 1000), 3);
        assert_eq!(chance.times, 0);
    }

    #[test]
    fn space_lets_through_first() {
        let mut chance = Chance { space: 7, ..ALL };
        assert_eq!(strikes(&mut chance, 7), 0);
        assert_eq!(strikes(&mut chance, 5), 5);
        assert_eq!(chance.space, 0);
    }

    #[test]
    fn interval_takes_every_so_many() {
        let mut chance = Chance { interval: 4, ..ALL };
        assert_eq!(strikes(&mut chance, 3), 0);
        assert_eq!(strikes(&mut chance, 1), 1);
        assert_eq!(strikes(&mut chance, 400), 100);
    }

    #[test]
    fn probability_is_in_percent() {
        let mut chance = ALL;
        chance.probability = 0;
        assert_eq!(strikes(&mut chance, 1000), 0);
        chance.probability = 50;
        // Ten thousand throws of a coin: this is twenty standard deviations wide.
        assert!((4000..6000).contains(&strikes(&mut chance, 10_000)));
    }

    #[test]
    fn nothing_is_counted_before_its_turn() {
        let mut chance = Chance {
            times: 2,
            space: 10,
            interval: 5,
            ..ALL
        };
        assert_eq!(strikes(&mut chance, 10 + 4), 0);
        assert_eq!(chance.times, 2);
        assert_eq!(strikes(&mut chance, 1000), 2);
    }
}
