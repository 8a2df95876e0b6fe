// SPDX-License-Identifier: GPL-2.0

//! Random choices that the seed decides: what a worker does next, and to whom.

use fastrand::Rng;

/// Something that a worker can do, and how often it is chosen compared with the others.
pub struct Operation<W, R> {
    /// What it is called where it is counted.
    pub name: &'static str,
    /// Its share of all choices.
    pub weight: u32,
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
        Choices(stream(seed, worker))
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

/// The start of a worker's choices.
fn stream(seed: u64, worker: u64) -> Rng {
    // One step of splitmix64: neighbouring seeds and workers get streams that have nothing in
    // common, which seed + worker would not give (seed 1 of worker 2 is seed 2 of worker 1).
    let mut mixed = seed.wrapping_add(worker.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Rng::with_seed(mixed ^ (mixed >> 31) ^ seed.rotate_left(32))
}

/// An operation of the table.
fn next<'a, W, R>(table: &'a [Operation<W, R>], rng: &mut Rng) -> Option<&'a Operation<W, R>> {
    let all: u32 = table.iter().map(|operation| operation.weight).sum();
    if all == 0 {
        return None;
    }
    let mut drawn = rng.u32(..all);
    table.iter().find(|operation| {
        let found = drawn < operation.weight;
        drawn = drawn.saturating_sub(operation.weight);
        found
    })
}

/// One of `values`. Draws in any case, so that what is there does not shift what the same step draws
/// later.
pub fn one<'a, T>(values: &'a [T], rng: &mut Rng) -> Option<&'a T> {
    let drawn = rng.u64(..);
    let count = u64::try_from(values.len())
        .ok()
        .filter(|&count| count > 0)?;
    values.get(usize::try_from(drawn % count).ok()?)
}

/// Whether something that happens once in `count` times happens now.
pub fn once_in(count: u32, rng: &mut Rng) -> bool {
    rng.u32(..).is_multiple_of(count.max(1))
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
            assert_eq!(rng.u64(..), own.u64(..));
            for _ in 0..drawn % 7 {
                rng.u64(..);
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        assert_eq!(carried_out(7, 3), carried_out(7, 3));
    }

    #[test]
    fn seeds_and_workers_have_streams_of_their_own() {
        let streams = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (u64::MAX, 0)];
        for (index, &(seed, worker)) in streams.iter().enumerate() {
            for &(other_seed, other_worker) in &streams[..index] {
                assert_ne!(
                    carried_out(seed, worker),
                    carried_out(other_seed, other_worker),
                    "{seed} {worker} and {other_seed} {other_worker}"
                );
            }
        }
    }

    #[test]
    fn weights_are_shares() {
        let done = carried_out(1, 1);
        let count = |name| done.iter().filter(|&&done| done == name).count();
        assert_eq!(count("never"), 0);
        assert!((1700..1900).contains(&count("often")), "{}", count("often"));
        assert_eq!(count("often") + count("seldom"), 2000);
    }

    #[test]
    fn what_is_there_does_not_shift_later_choices() {
        let mut with = stream(5, 5);
        let mut without = stream(5, 5);
        assert!(one(&[1, 2, 3], &mut with).is_some());
        assert!(one::<u8>(&[], &mut without).is_none());
        assert_eq!(with.u64(..), without.u64(..));
    }
}
