// SPDX-License-Identifier: GPL-2.0

//! The outcome of a task: no verdict on the kernel's check, but one on the module and the parts of
//! the kernel that it uses, or on `mn-inject`.

use serde::{Deserialize, Serialize};

use crate::bench::figure::Figure;

/// The outcome of an exercise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The operations and their counts, always in the same order.
    pub operations: Vec<(String, u64)>,
    /// The results of the module's cases, in the order of the cases.
    pub cases: Vec<CaseResult>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// All other findings, each with everything that is needed to reproduce it.
    pub findings: Vec<String>,
    /// The reasons why the exercise proves nothing; empty if it could be carried out.
    pub trouble: Vec<String>,
    /// Duration in milliseconds.
    pub millis: u64,
}

/// The result of one of the module's cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResult {
    /// Name of the case.
    pub name: String,
    /// Whether the result was that of the table.
    pub verdict: CaseVerdict,
    /// The reasons why it is not [`CaseVerdict::Ok`].
    pub why: Vec<String>,
}

/// The verdict on a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseVerdict {
    /// The result is as defined.
    Ok,
    /// The module or the kernel behaved differently, or the kernel complained.
    Finding,
    /// This machine lacks something that the case needs.
    Skipped,
    /// The case could not be carried out, and proves nothing.
    NoVerdict,
}

impl Exercise {
    /// The number of findings, including the cases with one.
    pub fn wrong(&self) -> usize {
        self.findings.len() + self.cases_of(CaseVerdict::Finding)
    }

    /// The number of cases with that verdict.
    pub fn cases_of(&self, verdict: CaseVerdict) -> usize {
        self.cases
            .iter()
            .filter(|case| case.verdict == verdict)
            .count()
    }

    /// Whether something kept it from completing, so that it proves nothing.
    pub fn is_in_trouble(&self) -> bool {
        !self.trouble.is_empty() || self.cases_of(CaseVerdict::NoVerdict) > 0
    }

    /// Whether it has completed without a finding.
    pub fn is_well(&self) -> bool {
        self.wrong() == 0 && !self.is_in_trouble()
    }
}
