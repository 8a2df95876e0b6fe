// SPDX-License-Identifier: GPL-2.0

//! Counts the results, and says whether they are those of a whole run.

use std::collections::BTreeSet;

use crate::model::{Report, Verdict};

/// The results in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) no_verdict: usize,
    pub(super) skipped: usize,
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
            match scenario.verdict {
                Verdict::Pass => tally.passed += 1,
                Verdict::Fail { .. } => tally.failed += 1,
                Verdict::NoVerdict { .. } => tally.no_verdict += 1,
                Verdict::Skip { .. } => tally.skipped += 1,
            }
            if !names.insert(&scenario.name) {
                let name = &scenario.name;
                tally.problems.push(format!("{name} has two results"));
            }
        }
        let (planned, got) = (report.planned, report.scenarios.len());
        tally.missing = planned.saturating_sub(got);
        if planned != got {
            let problem = format!("{planned} scenarios were planned, and there are {got} results");
            tally.problems.push(problem);
        }
        tally
    }
}
