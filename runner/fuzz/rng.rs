// SPDX-License-Identifier: GPL-2.0

//! Random choices that a seed determines.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and every seed is a good one.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Begins where `seed` says.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to before `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias is far below anything that matters here.
        (self.bits() % end.max(1) as u64) as usize
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
