// SPDX-License-Identifier: GPL-2.0

//! Counts the results, and says whether they are those of a whole run.

use std::collections::BTreeSet;

use crate::model::{Report, Verdict};

/// Results in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) no_verdict: usize,
    pub(super) skipped: usize,
    pub(super) known_bugs: usize,
}

impl Count {
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

/// The results of a run in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) scenarios: Count,
    pub(super) unit_tests: Count,
    /// Planned, and no result.
    pub(super) missing: usize,
    pub(super) form_failed: bool,
    pub(super) form_no_verdict: bool,
    /// Why the run as a whole cannot be trusted.
    pub(super) problems: Vec<String>,
}

impl Tally {
    pub(super) fn of(report: &Report) -> Self {
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
