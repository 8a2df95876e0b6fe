// SPDX-License-Identifier: GPL-2.0

//! Longest common subsequence of two sequences.

use std::collections::HashMap;
use std::hash::Hash;

/// The most differences for which the order is looked at. The work is bounded by about its square.
const MAX_DIFFERENCES: usize = 1000;

/// The common elements of two sequences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommonElements {
    /// Index in the first sequence, and index in the second.
    pub(super) pairs: Vec<(usize, usize)>,
    /// Whether the pairs are a common subsequence. With too many differences they are right in
    /// number, but in no order.
    pub(super) is_exact: bool,
}

/// Finds the common elements: in linear time if the sequences are equal, and nearly so with few
/// differences.
pub(super) fn common_elements<T: Eq + Hash + Copy>(a: &[T], b: &[T]) -> CommonElements {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a_rest, b_rest) = (&a[head..], &b[head..]);
    let tail = a_rest
        .iter()
        .rev()
        .zip(b_rest.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let a_middle = &a_rest[..a_rest.len() - tail];
    let b_middle = &b_rest[..b_rest.len() - tail];

    let (middle, is_exact) = match shortest_edit(a_middle, b_middle) {
        Some(pairs) => (pairs, true),
        None => (in_bulk(a_middle, b_middle), false),
    };
    let pairs = (0..head)
        .map(|at| (at, at))
        .chain(middle.into_iter().map(|(x, y)| (head + x, head + y)))
        .chain((0..tail).map(|at| (a.len() - tail + at, b.len() - tail + at)))
        .collect();
    CommonElements { pairs, is_exact }
}

/// The greedy O(ND) difference algorithm (E. Myers, 1986); [`None`] with too many differences.
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

/// Reads the common elements off the rounds, the last one first. `rounds[d]` has diagonals -d to d.
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

/// Pairs equal elements without regard to their order.
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

    /// Length by the quadratic table of textbooks.
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
        fn a_common_subsequence_is_as_long_as_possible(
            a in prop::collection::vec(0u8..4, 0..40),
            b in prop::collection::vec(0u8..4, 0..40),
        ) {
            let common = common_elements(&a, &b);
            prop_assert!(common.is_exact);
            prop_assert_eq!(common.pairs.len(), common_len(&a, &b));
            for pair in &common.pairs {
                prop_assert_eq!(a[pair.0], b[pair.1]);
            }
            for two in common.pairs.windows(2) {
                prop_assert!(two[0].0 < two[1].0 && two[0].1 < two[1].1);
            }
        }
    }

    #[test]
    fn many_differences_are_only_counted() {
        let a: Vec<u32> = (0..5000).collect();
        let b: Vec<u32> = (1..5001).rev().collect();
        let common = common_elements(&a, &b);
        assert!(!common.is_exact);
        assert_eq!(common.pairs.len(), 4999);
    }
}
