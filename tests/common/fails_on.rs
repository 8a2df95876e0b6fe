// SPDX-License-Identifier: GPL-2.0

//! The scenarios, and the mutant on which each fails.

/// The pairs of `tests/data/fails-on.txt`: a scenario and the name of a mutant.
pub fn pairs() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../data/fails-on.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let pair = words.next().zip(words.next());
            pair.unwrap_or_else(|| panic!("tests/data/fails-on.txt: {line:?}"))
        })
        .collect()
}
