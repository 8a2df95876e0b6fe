// SPDX-License-Identifier: GPL-2.0

//! Random choices of a worker, which depend on the seed alone: the next operation, and its details.

use crate::random::Rng;

/// An operation of a worker or a victim, and its share of the choices.
pub struct Operation<W, R> {
    /// Its name in the counts.
    pub name: &'static str,
    /// Its weight among all operations of the table.
    pub weight: usize,
    /// Carries it out.
    pub act: fn(&mut W) -> R,
}

/// Choices of one worker: its next operation. Each step gets a random stream of its own for its
/// details, so that the choices depend neither on the other workers nor on earlier steps.
#[derive(Clone, Debug)]
pub struct Choices(Rng);

impl Choices {
    /// Starts the choices of the worker with this number.
    pub fn new(seed: u64, worker: u64) -> Self {
        Choices(Rng::stream(seed, worker))
    }

    /// Draws the next operation from the table, and the random stream for its details.
    pub fn next<'a, W, R>(
        &mut self,
        table: &'a [Operation<W, R>],
    ) -> (Option<&'a Operation<W, R>>, Rng) {
        (next(table, &mut self.0), self.0.fork())
    }

    /// Draws the random stream for a step that is always the same operation.
    pub fn step(&mut self) -> Rng {
        self.0.fork()
    }
}

/// Draws an operation from the table. Returns `None` if all weights are 0.
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
    fn draws_of_a_step_do_not_shift_later_choices() {
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
