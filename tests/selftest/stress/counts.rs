// SPDX-License-Identifier: GPL-2.0

//! Counts of everything that was done, by name.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts by name. All names are given at the start, so that one that never occurs is listed
/// with 0.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// Starts all counts at 0.
    pub fn new(names: impl Iterator<Item = &'static str>) -> Self {
        Counts(Mutex::new(names.map(|name| (name, 0)).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A thread that panicked cannot leave a count half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds 1 to the count of `name`.
    pub fn one(&self, name: &'static str) {
        self.add(name, 1);
    }

    /// Adds `count` to the count of `name`.
    pub fn add(&self, name: &'static str, count: u64) {
        *self.lock().entry(name).or_default() += count;
    }

    /// Returns the count of `name`.
    pub fn of(&self, name: &str) -> u64 {
        self.lock().get(name).copied().unwrap_or_default()
    }

    /// Lists all counts, sorted by name.
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
    fn counts_are_listed_by_name() {
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
