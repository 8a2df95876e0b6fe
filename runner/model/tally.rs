// SPDX-License-Identifier: GPL-2.0

//! Counts of the results of a run, and the exit code that follows from them.

use std::collections::BTreeSet;

use crate::model::exit::Exit;
use crate::model::report::Report;
use crate::model::verdict::Verdict;

/// Counts of results.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Passes.
    pub passed: usize,
    /// Failures.
    pub failed: usize,
    /// Results without a verdict.
    pub no_verdict: usize,
    /// Results that were skipped.
    pub skipped: usize,
    /// Known bugs of the kernel.
    pub known_bugs: usize,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.passed,
            Verdict::Fail { .. } => &mut self.failed,
            Verdict::KnownBug { .. } => &mut self.known_bugs,
            Verdict::NoVerdict { .. } => &mut self.no_verdict,
            Verdict::Skip { .. } => &mut self.skipped,
        } += 1;
    }
}

/// Counts of the results of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// The scenarios.
    pub scenarios: Counts,
    /// The unit tests of the module.
    pub unit_tests: Counts,
    /// Number of scenarios and unit tests that were planned and have no result.
    pub missing: usize,
    /// Whether the form of the check is not accepted.
    pub form_failed: bool,
    /// Whether there is no verdict on the form of the check.
    pub form_no_verdict: bool,
    /// Why the run as a whole proves nothing.
    pub problems: Vec<String>,
}

impl Tally {
    /// Counts the results of a report.
    pub fn of(report: &Report) -> Self {
        let mut tally = Tally {
            form_failed: matches!(report.form_verdict, Verdict::Fail { .. }),
            form_no_verdict: matches!(report.form_verdict, Verdict::NoVerdict { .. }),
            problems: report.trouble.clone(),
            ..Tally::default()
        };
        let mut names = BTreeSet::new();
        for scenario in &report.scenarios {
            tally.scenarios.add(&scenario.verdict);
            if !names.insert(&scenario.name) {
                let name = &scenario.name;
                tally.problems.push(format!("{name} has two results"));
            }
        }
        for test in &report.unit_tests {
            tally.unit_tests.add(&test.verdict);
            if !names.insert(&test.name) {
                let name = &test.name;
                tally.problems.push(format!("{name} has two results"));
            }
        }
        let planned = report.planned;
        let got = report.scenarios.len() + report.unit_tests.len();
        tally.missing = planned.saturating_sub(got);
        if planned != got {
            let what = match report.unit_tests.len() {
                0 => "scenarios",
                _ => "scenarios and unit tests",
            };
            let problem = format!("{planned} {what} were planned, and there are {got} results");
            tally.problems.push(problem);
        }
        tally
    }
}

impl Report {
    /// The exit code of the run.
    ///
    /// | the run | the results | exit |
    /// | --- | --- | --- |
    /// | in trouble, or not one result for each planned scenario | any | 70 |
    /// | whole | the form, a scenario or a unit test failed | 1 |
    /// | whole | none failed, one has no verdict | 70 |
    /// | whole | all scenarios skipped, or none planned | 4 |
    /// | whole | the rest passed | 0 |
    ///
    /// A unit test that passes proves nothing about the kernel, so no run is a pass by unit tests
    /// alone.
    ///
    /// A failure outranks a missing verdict: its evidence is sound, and the kernel is wrong whatever
    /// the result of the other scenario would have been.
    pub fn exit(&self) -> Exit {
        let tally = Tally::of(self);
        if !tally.problems.is_empty() {
            Exit::NoVerdict
        } else if tally.scenarios.failed + tally.unit_tests.failed > 0 || tally.form_failed {
            Exit::Fail
        } else if tally.scenarios.no_verdict + tally.unit_tests.no_verdict > 0
            || tally.form_no_verdict
        {
            Exit::NoVerdict
        } else if tally.scenarios.passed == 0 {
            Exit::Skip
        } else {
            Exit::Pass
        }
    }

    /// Reasons why the run is no pass, one sentence each; empty where it is one.
    pub fn problems(&self) -> Vec<String> {
        if self.exit() == Exit::Pass {
            return Vec::new();
        }
        let mut reasons = self.trouble.clone();
        let bad = self.scenarios.iter().filter(|result| {
            matches!(
                result.verdict,
                Verdict::Fail { .. } | Verdict::NoVerdict { .. }
            )
        });
        reasons.extend(bad.map(|result| format!("{} did not pass", result.name)));
        if reasons.is_empty() {
            reasons.push("nothing passed".to_owned());
        }
        reasons
    }
}
