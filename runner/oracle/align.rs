// SPDX-License-Identifier: GPL-2.0

//! Longest common subsequence of what was due and what was seen.

use std::collections::HashMap;
use std::hash::Hash;

/// More differences than this are told in bulk. Bounds the work to about its square.
const MAX_DIFFERENCES: usize = 1000;

/// Which elements belong together, as increasing pairs of indices.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alignment {
    /// Index in `due`, index in `seen`.
    pub(super) pairs: Vec<(usize, usize)>,
    /// False where there are too many differences for the order to be looked at: the pairs are
    /// then right in number but not in order.
    pub(super) exact: bool,
}

/// Aligns two sequences: linear where they are equal, and nearly so with few differences.
pub(super) fn align<T: Eq + Hash + Copy>(due: &[T], seen: &[T]) -> Alignment {
    let head = due.iter().zip(seen).take_while(|(d, s)| d == s).count();
    let (due_rest, seen_rest) = (&due[head..], &seen[head..]);
    let tail = due_rest
        .iter()
        .rev()
        .zip(seen_rest.iter().rev())
        .take_while(|(d, s)| d == s)
        .count();
    let due_mid = &due_rest[..due_rest.len() - tail];
    let seen_mid = &seen_rest[..seen_rest.len() - tail];

    let (middle, exact) = match shortest_edit(due_mid, seen_mid) {
        Some(pairs) => (pairs, true),
        None => (in_bulk(due_mid, seen_mid), false),
    };
    let pairs = (0..head)
        .map(|at| (at, at))
        .chain(middle.into_iter().map(|(d, s)| (head + d, head + s)))
        .chain((0..tail).map(|at| (due.len() - tail + at, seen.len() - tail + at)))
        .collect();
    Alignment { pairs, exact }
}

/// The greedy O(ND) difference algorithm (E. Myers, 1986).
fn shortest_edit<T: Eq>(a: &[T], b: &[T]) -> Option<Vec<(usize, usize)>> {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let limit = (a.len() + b.len()).min(MAX_DIFFERENCES) as isize;
    let slot = |k: isize| (k + limit) as usize;
    // Furthest x on each diagonal k = x - y, and its state before each round.
    let mut furthest = vec![0isize; 2 * limit as usize + 2];
    let mut rounds: Vec<Vec<isize>> = Vec::new();
    for d in 0..=limit {
        rounds.push(furthest[slot(-d)..=slot(d)].to_vec());
        for k in (-d..=d).step_by(2) {
            let down = k == -d || (k != d && furthest[slot(k - 1)] < furthest[slot(k + 1)]);
            let mut x = if down {
                furthest[slot(k + 1)]
            } else {
                furthest[slot(k - 1)] + 1
            };
            let mut y = x - k;
            while x < n && y < m && a[x as usize] == b[y as usize] {
                x += 1;
                y += 1;
            }
            furthest[slot(k)] = x;
            if x >= n && y >= m {
                return Some(walk_back(n, m, &rounds));
            }
        }
    }
    None
}

/// Reads the matches off the rounds, last one first. `rounds[d]` covers diagonals -d to d.
fn walk_back(n: isize, m: isize, rounds: &[Vec<isize>]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let (mut x, mut y) = (n, m);
    for (d, furthest) in rounds.iter().enumerate().rev() {
        let d = d as isize;
        let at = |k: isize| furthest[(k + d) as usize];
        let k = x - y;
        let down = k == -d || (k != d && at(k - 1) < at(k + 1));
        let from_k = if down { k + 1 } else { k - 1 };
        let (from_x, from_y) = if d == 0 {
            (0, 0)
        } else {
            (at(from_k), at(from_k) - from_k)
        };
        while x > from_x && y > from_y {
            x -= 1;
            y -= 1;
            pairs.push((x as usize, y as usize));
        }
        (x, y) = (from_x, from_y);
    }
    pairs.reverse();
    pairs
}

/// Pairs equal elements in number only.
fn in_bulk<T: Eq + Hash + Copy>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let mut places: HashMap<T, Vec<usize>> = HashMap::new();
    for (at, element) in b.iter().enumerate().rev() {
        places.entry(*element).or_default().push(at);
    }
    a.iter()
        .enumerate()
        .filter_map(|(at, element)| Some((at, places.get_mut(element)?.pop()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The textbook's quadratic table.
    fn common_len(a: &[u8], b: &[u8]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y {
                    diagonal + 1
                } else {
                    above.max(row[j])
                };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn as_long_as_the_table_says(
            a in prop::collection::vec(0u8..4, 0..40),
            b in prop::collection::vec(0u8..4, 0..40),
        ) {
            let alignment = align(&a, &b);
            prop_assert!(alignment.exact);
            prop_assert_eq!(alignment.pairs.len(), common_len(&a, &b));
            for pair in &alignment.pairs {
                prop_assert_eq!(a[pair.0], b[pair.1]);
            }
            for two in alignment.pairs.windows(2) {
                prop_assert!(two[0].0 < two[1].0 && two[0].1 < two[1].1);
            }
        }
    }

    #[test]
    fn many_differences_are_counted_only() {
        let a: Vec<u32> = (0..5000).collect();
        let b: Vec<u32> = (1..5001).rev().collect();
        let alignment = align(&a, &b);
        assert!(!alignment.exact);
        assert_eq!(alignment.pairs.len(), 4999);
    }
}
