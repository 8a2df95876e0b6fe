// SPDX-License-Identifier: GPL-2.0

//! What was done how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts by name. All names are known from the start, so that one that never occurs is seen.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// Counts of nothing yet.
    pub fn new(names: impl Iterator<Item = &'static str>) -> Self {
        Counts(Mutex::new(names.map(|name| (name, 0)).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A thread that panicked has left whole numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more of `name`.
    pub fn one(&self, name: &'static str) {
        self.add(name, 1);
    }

    /// `count` more of `name`.
    pub fn add(&self, name: &'static str, count: u64) {
        *self.lock().entry(name).or_default() += count;
    }

    /// How often `name` was.
    pub fn of(&self, name: &str) -> u64 {
        self.lock().get(name).copied().unwrap_or_default()
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<(String, u64)> {
        self.lock()
            .iter()
            .map(|(name, &count)| ((*name).to_owned(), count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_an_order_of_their_own() {
        let counts = Counts::new(["b", "c", "a"].into_iter());
        counts.one("c");
        counts.add("a", 3);
        let list = counts.list();
        assert_eq!(
            list,
            [("a".into(), 3), ("b".into(), 0), ("c".into(), 1)] as [(String, u64); 3]
        );
        assert_eq!(counts.of("c"), 1);
    }
}
