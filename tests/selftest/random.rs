// SPDX-License-Identifier: GPL-2.0

//! Random choices that a seed determines.

use std::ops::RangeBounds;

/// A source of random choices.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// Makes the source of the choices of `seed`.
    pub fn new(seed: u64) -> Self {
        Rng(fastrand::Rng::with_seed(seed))
    }

    /// Makes the source of stream `number` of `seed`; the streams of a seed are independent.
    pub fn stream(seed: u64, number: u64) -> Self {
        // One step of splitmix64. seed + number is not enough: stream 2 of seed 1 would equal
        // stream 1 of seed 2.
        let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Rng::new(mixed ^ (mixed >> 31) ^ seed.rotate_left(32))
    }

    /// Forks off a new stream. Draws from it do not shift later draws from this one.
    pub fn fork(&mut self) -> Self {
        Rng(self.0.fork())
    }

    /// Draws 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Draws a number in `range`.
    pub fn within(&mut self, range: impl RangeBounds<u64>) -> u64 {
        self.0.u64(range)
    }

    /// Draws a number in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// Draws a number in `0..end`; returns 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    /// Returns true in one of `n` cases.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Picks one of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Picks one of `items`, or returns [`None`] if there are none. Draws once in either case, so
    /// that the number of items does not shift later choices.
    pub fn any<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let drawn = self.bits();
        let count = u64::try_from(items.len()).ok()?;
        items.get(usize::try_from(drawn.checked_rem(count)?).ok()?)
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    /// Draws a number in `min..=max`; those near either bound come up more often than the others.
    pub fn number(&mut self, min: i64, max: i64) -> i64 {
        let span = max.wrapping_sub(min) as u64;
        let offset = match self.below(4) {
            0 => self.bits() % 8,
            1 => span.wrapping_sub(self.bits() % 8),
            _ => self.bits(),
        };
        match span.checked_add(1) {
            Some(count) => min.wrapping_add((offset % count) as i64),
            None => offset as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(mut rng: Rng) -> Vec<usize> {
        (0..100).map(|_| rng.below(1000)).collect()
    }

    #[test]
    fn a_seed_determines_all_choices() {
        assert_eq!(draws(Rng::new(1)), draws(Rng::new(1)));
        assert_ne!(draws(Rng::new(1)), draws(Rng::new(2)));
        assert_eq!(draws(Rng::stream(7, 3)), draws(Rng::stream(7, 3)));
    }

    #[test]
    fn streams_are_independent() {
        let streams = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (u64::MAX, 0)];
        for (index, &(seed, number)) in streams.iter().enumerate() {
            for &(other_seed, other) in &streams[..index] {
                assert_ne!(
                    draws(Rng::stream(seed, number)),
                    draws(Rng::stream(other_seed, other)),
                    "{seed} {number} and {other_seed} {other}"
                );
            }
        }
    }

    #[test]
    fn the_number_of_items_does_not_shift_later_choices() {
        let (mut with, mut without) = (Rng::new(5), Rng::new(5));
        assert!(with.any(&[1, 2, 3]).is_some());
        assert!(without.any::<u8>(&[]).is_none());
        assert_eq!(with.bits(), without.bits());
    }

    #[test]
    fn numbers_stay_in_bounds_and_reach_both() {
        let mut rng = Rng::new(3);
        let numbers: Vec<i64> = (0..2000).map(|_| rng.number(-1, 20)).collect();
        assert_eq!(numbers.iter().min(), Some(&-1));
        assert_eq!(numbers.iter().max(), Some(&20));
        rng.number(i64::MIN, i64::MAX);
    }
}
