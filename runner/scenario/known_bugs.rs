// SPDX-License-Identifier: GPL-2.0

//! Results that show a known bug of the kernel.
//!
//! Such a result is an expected failure (XFAIL in KTAP): neither a pass nor, for somebody who tests
//! something else, a failure. On kernels on which the bug was never seen it is a failure like any
//! other. Where the bug is gone, the scenario passes, and the result says so.

use crate::model::{ScenarioResult, Verdict};
use crate::scenario::cases::{CASES, Case};
use crate::scenario::edges;

pub use crate::scenario::bugs::{BUGS, Bug};

/// The bug that the scenario of that name shows.
pub fn of_scenario(name: &str) -> Option<&'static Bug> {
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => case.known_bug,
        None => edges::bug(name),
    }
}

/// The names of the scenarios that show a bug.
pub fn scenarios_of(bug: &Bug) -> impl Iterator<Item = &'static str> {
    let shows = |case: &&Case| case.known_bug.is_some_and(|shown| shown.name == bug.name);
    CASES.iter().filter(shows).map(|case| case.name)
}

/// Marks a result that shows a known bug, or that shows that the bug is gone. `release` is the
/// kernel's, as in `uname -r`.
pub fn mark(result: &mut ScenarioResult, release: &str) {
    let Some(bug) = of_scenario(&result.name) else {
        return;
    };
    match &result.verdict {
        Verdict::Pass => result.bug_gone = Some(bug.about.to_owned()),
        Verdict::Fail { findings } if bug.is_known_on(release) && bug.explains(findings) => {
            result.verdict = Verdict::KnownBug {
                reason: bug.about.to_owned(),
                findings: findings.clone(),
            };
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Finding, FindingKind};

    fn result(name: &str, kinds: &[FindingKind]) -> ScenarioResult {
        let findings: Vec<_> = kinds
            .iter()
            .map(|&kind| Finding::new(kind, "x".to_owned()))
            .collect();
        ScenarioResult::new(
            name.to_owned(),
            if findings.is_empty() {
                Verdict::Pass
            } else {
                Verdict::Fail { findings }
            },
        )
    }

    fn marked(name: &str, kinds: &[FindingKind], release: &str) -> ScenarioResult {
        let mut result = result(name, kinds);
        mark(&mut result, release);
        result
    }

    #[test]
    fn a_known_bug_is_no_failure_on_kernels_where_it_was_seen() {
        let (name, removal) = ("r10-interval-first-plain-refuses", FindingKind::Removal);
        let is_known = |kinds: &[FindingKind], release| {
            matches!(
                marked(name, kinds, release).verdict,
                Verdict::KnownBug { .. }
            )
        };
        assert!(is_known(&[removal], "7.3.4"));
        assert!(is_known(&[removal, removal], "7.2-rc1"));
        for release in ["7.30.1", "7.4", "6.12.1", "17.3.4", ""] {
            assert!(!is_known(&[removal], release), "{release}");
        }
        assert!(!is_known(&[removal, FindingKind::DidNotFire], "7.3.4"));
        assert!(!is_known(&[FindingKind::Calls], "7.3.4"));
    }

    #[test]
    fn a_bug_that_is_gone_is_reported() {
        assert!(marked("r07-plain-locks", &[], "7.9").bug_gone.is_some());
        assert!(
            marked("munmap-whole-eagain", &[], "7.3.4")
                .bug_gone
                .is_none()
        );
        let other = marked("munmap-whole-eagain", &[FindingKind::Removal], "7.3.4");
        assert!(matches!(other.verdict, Verdict::Fail { .. }));
    }

    #[test]
    fn every_bug_has_a_scenario() {
        for bug in BUGS {
            assert!(scenarios_of(bug).next().is_some(), "{}", bug.name);
            for name in scenarios_of(bug) {
                assert_eq!(of_scenario(name).map(|shown| shown.name), Some(bug.name));
            }
        }
    }

    #[test]
    fn every_bug_that_a_case_names_is_in_the_table() {
        for bug in CASES.iter().filter_map(|case| case.known_bug) {
            assert!(
                BUGS.iter().any(|known| known.name == bug.name),
                "{}",
                bug.name
            );
        }
    }
}
