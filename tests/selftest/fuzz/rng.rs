// SPDX-License-Identifier: GPL-2.0

//! Random choices that a seed determines.

/// Random choices, with what a fuzzer asks of them.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// Begins where `seed` says.
    pub fn new(seed: u64) -> Self {
        Rng(fastrand::Rng::with_seed(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number from 0 to before `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`, of which there is at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A number in `min..=max`, small and extreme ones more often than their share.
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

    #[test]
    fn a_seed_determines_all_choices() {
        let choices = |seed| {
            let mut rng = Rng::new(seed);
            (0..100).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(1), choices(1));
        assert_ne!(choices(1), choices(2));
    }

    #[test]
    fn numbers_stay_inside_and_reach_both_ends() {
        let mut rng = Rng::new(3);
        let numbers: Vec<i64> = (0..2000).map(|_| rng.number(-1, 20)).collect();
        assert_eq!(numbers.iter().min(), Some(&-1));
        assert_eq!(numbers.iter().max(), Some(&20));
        rng.number(i64::MIN, i64::MAX);
    }
}
