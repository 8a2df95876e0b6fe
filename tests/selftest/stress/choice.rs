// SPDX-License-Identifier: GPL-2.0

//! Random choices that the seed decides: what a worker does next, and to whom.

use crate::random::Rng;

/// Something that a worker can do, and how often it is chosen compared with the others.
pub struct Operation<W, R> {
    /// What it is called where it is counted.
    pub name: &'static str,
    /// Its share of all choices.
    pub weight: usize,
    /// Does it.
    pub act: fn(&mut W) -> R,
}

/// The choices of one worker: what it does next. Each step gets a stream of its own for what it
/// draws itself, so that this depends neither on the other workers nor on how earlier steps went.
#[derive(Clone, Debug)]
pub struct Choices(Rng);

impl Choices {
    /// Those of that worker.
    pub fn new(seed: u64, worker: u64) -> Self {
        Choices(Rng::stream(seed, worker))
    }

    /// The next operation of the table, and what it draws from.
    pub fn next<'a, W, R>(
        &mut self,
        table: &'a [Operation<W, R>],
    ) -> (Option<&'a Operation<W, R>>, Rng) {
        (next(table, &mut self.0), self.0.fork())
    }

    /// What a step draws from that is always the same operation.
    pub fn step(&mut self) -> Rng {
        self.0.fork()
    }
}

/// An operation of the table.
fn next<'a, W, R>(table: &'a [Operation<W, R>], rng: &mut Rng) -> Option<&'a Operation<W, R>> {
    let all: usize = table.iter().map(|operation| operation.weight).sum();
    if all == 0 {
        return None;
    }
    let mut drawn = rng.below(all);
    table.iter().find(|operation| {
        let found = drawn < operation.weight;
        drawn = drawn.saturating_sub(operation.weight);
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Operation<Vec<&'static str>, ()>] = &[
        Operation {
            name: "often",
            weight: 90,
            act: |done| done.push("often"),
        },
        Operation {
            name: "never",
            weight: 0,
            act: |done| done.push("never"),
        },
        Operation {
            name: "seldom",
            weight: 10,
            act: |done| done.push("seldom"),
        },
    ];

    fn carried_out(seed: u64, worker: u64) -> Vec<&'static str> {
        let mut choices = Choices::new(seed, worker);
        let mut done = Vec::new();
        for _ in 0..2000 {
            (choices.next(TABLE).0.unwrap().act)(&mut done);
        }
        done
    }

    #[test]
    fn what_a_step_draws_does_not_shift_later_choices() {
        let mut greedy = Choices::new(4, 2);
        let mut modest = Choices::new(4, 2);
        for drawn in 0..500 {
            let (expected, mut own) = modest.next(TABLE);
            let (operation, mut rng) = greedy.next(TABLE);
            assert_eq!(operation.unwrap().name, expected.unwrap().name);
            assert_eq!(rng.bits(), own.bits());
            for _ in 0..drawn % 7 {
                rng.bits();
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        assert_eq!(carried_out(7, 3), carried_out(7, 3));
    }

    #[test]
    fn weights_are_shares() {
        let done = carried_out(1, 1);
        let count = |name| done.iter().filter(|&&done| done == name).count();
        assert_eq!(count("never"), 0);
        assert!((1700..1900).contains(&count("often")), "{}", count("often"));
        assert_eq!(count("often") + count("seldom"), 2000);
    }
}
