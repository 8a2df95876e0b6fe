// SPDX-License-Identifier: GPL-2.0

//! What came of a task: not a verdict on the kernel's check, but on the module and whatever it
//! touches, or on `mn-inject`.

use serde::{Deserialize, Serialize};

/// What came of an exercise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// What was done how often: (operation, count), in an order that never changes.
    pub operations: Vec<(String, u64)>,
    /// What came of the module's cases, in their order.
    pub cases: Vec<CaseResult>,
    /// What was wrong besides, each with all that it takes to do it again.
    pub findings: Vec<String>,
    /// Why the exercise proves nothing, where it does not (it could not be carried out).
    pub trouble: Vec<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// What came of one of the module's cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Whether the module did as the case says.
    pub verdict: CaseVerdict,
    /// Why it is not [`CaseVerdict::Ok`].
    pub why: Vec<String>,
}

/// The verdict on a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseVerdict {
    /// All is as it should be.
    Ok,
    /// The module, or the kernel, did something else than it should, or the kernel complained.
    Finding,
    /// This machine does not have what the case needs.
    Skipped,
    /// The case could not be carried out, and proves nothing.
    NoVerdict,
}

impl Exercise {
    /// How often something was wrong.
    pub fn wrong(&self) -> usize {
        self.findings.len() + self.cases_of(CaseVerdict::Finding)
    }

    /// How many cases have that verdict.
    pub fn cases_of(&self, verdict: CaseVerdict) -> usize {
        self.cases
            .iter()
            .filter(|case| case.verdict == verdict)
            .count()
    }

    /// Whether something kept it from coming to its end, so that it proves nothing.
    pub fn is_in_trouble(&self) -> bool {
        !self.trouble.is_empty() || self.cases_of(CaseVerdict::NoVerdict) > 0
    }

    /// Whether nothing is wrong, and nothing kept it from coming to its end.
    pub fn is_well(&self) -> bool {
        self.wrong() == 0 && !self.is_in_trouble()
    }
}
