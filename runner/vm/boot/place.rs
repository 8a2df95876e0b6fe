// SPDX-License-Identifier: GPL-2.0

//! How many guests each processor of the host has.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::os::processors;

/// Number of guests of this process on each processor.
static GUESTS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// A processor for a guest, which counts as long as this value exists.
#[derive(Debug)]
pub struct Place(usize);

impl Place {
    /// Takes the processor with the fewest guests. Other processes of this program do not see that,
    /// so where some are equal, the process id decides. Returns [`None`] if the processors are not
    /// known.
    pub fn take() -> Option<Self> {
        let allowed = processors::allowed().ok()?;
        let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        let first = std::process::id() as usize % allowed.len().max(1);
        let processor = fewest(&allowed, first, &guests)?;
        *guests.entry(processor).or_default() += 1;
        Some(Place(processor))
    }

    /// Number of the processor.
    pub fn processor(&self) -> usize {
        self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = GUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = guests.get_mut(&self.0) {
            *count -= 1;
        }
    }
}

/// The processor with the fewest guests, the first one from `first` on.
fn fewest(allowed: &[usize], first: usize, guests: &BTreeMap<usize, usize>) -> Option<usize> {
    let (before, after) = allowed.split_at_checked(first)?;
    let all = after.iter().chain(before);
    all.min_by_key(|processor| guests.get(processor).copied().unwrap_or(0))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_gets_the_processor_with_the_fewest() {
        let counts = |counts: &[(usize, usize)]| counts.iter().copied().collect::<BTreeMap<_, _>>();
        assert_eq!(fewest(&[2, 5], 0, &counts(&[])), Some(2));
        assert_eq!(fewest(&[2, 5], 1, &counts(&[])), Some(5));
        assert_eq!(fewest(&[2, 5], 0, &counts(&[(2, 1)])), Some(5));
        assert_eq!(fewest(&[2, 5], 0, &counts(&[(2, 1), (5, 2)])), Some(2));
        assert_eq!(fewest(&[2, 5], 1, &counts(&[(2, 0)])), Some(5));
        assert_eq!(fewest(&[], 0, &counts(&[])), None);
    }
}
