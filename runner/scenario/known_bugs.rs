// SPDX-License-Identifier: GPL-2.0

//! Known bugs of the kernel: what it does, where that was seen, and which scenarios show it.
//!
//! A scenario that shows one is an expected failure (XFAIL in KTAP): neither a pass nor, for those
//! who test something else, a failure. On kernels where it was never seen it is a failure like any
//! other. Where it is gone, the scenario passes and says so.

use crate::model::{Finding, FindingKind, ScenarioResult, Verdict};

/// A bug.
#[derive(Debug)]
pub struct Bug {
    /// A word for it, which is that of its section in docs/found-in-the-kernel.md.
    pub name: &'static str,
    /// What is wrong; constant text.
    pub about: &'static str,
    /// The series of kernels that it was seen on, as the beginning of `uname -r`.
    pub seen_on: &'static [&'static str],
    /// The scenarios that show it.
    pub scenarios: &'static [&'static str],
    /// How they show it: other findings are failures all the same.
    pub findings: &'static [FindingKind],
}

/// The known bugs.
#[rustfmt::skip]
pub const BUGS: &[Bug] = &[
    Bug {
        name: "interval-removal-waits",
        about: "an interval notifier can never be removed after a plain notifier of the same mm has refused",
        seen_on: &["7.2", "7.3"],
        scenarios: &[
            "r10-interval-first-plain-refuses",
            "r10-plain-first-plain-refuses",
            "r10-plain-refuses-interval-elsewhere",
        ],
        findings: &[FindingKind::Removal],
    },
    Bug {
        name: "interval-sleep-unnoticed",
        about: "an interval notifier that sleeps in non-blockable context is not noticed",
        seen_on: &["7.2", "7.3"],
        scenarios: &["r06-interval-sleeps-mrelease", "r06-second-pass-sleeps-mrelease"],
        findings: &[FindingKind::DidNotFire],
    },
    Bug {
        name: "end-after-refusal-unnoticed",
        about: "an end that sleeps is not noticed where it comes since another notifier has refused",
        seen_on: &["7.2", "7.3"],
        scenarios: &["r06-end-sleeps-after-refusal"],
        findings: &[FindingKind::DidNotFire],
    },
    Bug {
        name: "lock-in-plain-unnoticed",
        about: "lockdep does not see that a plain notifier takes a lock that was held over an allocation",
        seen_on: &["7.2", "7.3"],
        scenarios: &["r07-plain-locks"],
        findings: &[FindingKind::DidNotFire],
    },
];

/// The bug that a scenario shows.
pub fn of_scenario(name: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.scenarios.contains(&name))
}

impl Bug {
    /// Whether it was seen on kernels like this.
    fn is_known_on(&self, release: &str) -> bool {
        self.seen_on.iter().any(|series| {
            release
                .strip_prefix(series)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    }

    fn explains(&self, findings: &[Finding]) -> bool {
        findings
            .iter()
            .all(|finding| self.findings.contains(&finding.kind))
    }
}

/// Marks a result that shows a known bug, or that shows that it is gone. `release` is the kernel's.
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
    use crate::scenario;

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
    fn a_known_bug_is_no_failure_where_it_was_seen() {
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
    fn a_bug_that_is_gone_is_said() {
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
    fn the_scenarios_are_there() {
        let names: Vec<_> = scenario::select(&[]).iter().map(|s| s.name()).collect();
        for bug in BUGS {
            for name in bug.scenarios {
                assert!(names.iter().any(|n| n == name), "{name} of {}", bug.name);
            }
        }
    }
}
