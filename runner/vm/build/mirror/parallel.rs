// SPDX-License-Identifier: GPL-2.0

//! Work on many files at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow};

/// Carries out `work` on all items, on all processors. Returns the results in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    /// Items that a thread takes at a time.
    const CHUNK: usize = 64;
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, R)>> {
        let mut results = Vec::new();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(items) = items.get(from..items.len().min(from + CHUNK)) else {
                return Ok(results);
            };
            if items.is_empty() {
                return Ok(results);
            }
            for (at, item) in items.iter().enumerate() {
                results.push((from + at, work(item)?));
            }
        }
    };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = Vec::with_capacity(items.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            let results = thread.join();
            let results = results.unwrap_or_else(|_| Err(anyhow!("a thread that copies panicked")));
            all.extend(results?);
        }
        anyhow::Ok(())
    })?;
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn all_items_are_worked_on_in_their_order() -> Result<()> {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |item| Ok(*item))?, items);
        let fails = |item: &usize| {
            if *item == 700 {
                bail!("no")
            }
            Ok(())
        };
        assert!(in_parallel(&items, fails).is_err());
        Ok(())
    }
}
