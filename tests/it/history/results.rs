// SPDX-License-Identifier: GPL-2.0

//! Parts of judgements.

use mn_inject::model::{Finding, FindingKind, ScenarioResult, Verdict};
use mn_inject::oracle::Judgement;

/// The kinds of the findings about a scenario; none where it has not failed.
pub fn kinds(result: &ScenarioResult) -> Vec<FindingKind> {
    match &result.verdict {
        Verdict::Fail { findings } => findings.iter().map(|finding| finding.kind).collect(),
        _ => Vec::new(),
    }
}

/// The kinds of the findings about each scenario.
pub fn all_kinds(judgement: &Judgement) -> Vec<Vec<FindingKind>> {
    judgement.results.iter().map(kinds).collect()
}

/// The findings about a scenario; none where it has not failed.
pub fn findings(result: &ScenarioResult) -> Vec<Finding> {
    match &result.verdict {
        Verdict::Fail { findings } => findings.clone(),
        _ => Vec::new(),
    }
}
