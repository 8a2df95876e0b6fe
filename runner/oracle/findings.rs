// SPDX-License-Identifier: GPL-2.0

//! The findings of the observations of a window.

use std::collections::BTreeSet;

use crate::model::{Finding, FindingKind};
use crate::oracle::evidence::Evidence;
use crate::oracle::index::ObservationId;

/// The most findings of one kind that are kept for one observation.
const MAX_FINDINGS: usize = 100;

/// The findings of one observation. A wrong kernel is wrong every time, so only the first of each
/// kind are kept, and the number of the others.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: Vec<(FindingKind, usize)>,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let kind = finding.kind;
        let at = self.counts.iter().position(|(k, _)| *k == kind);
        let at = at.unwrap_or_else(|| {
            self.counts.push((kind, 0));
            self.counts.len() - 1
        });
        self.counts[at].1 += 1;
        if self.counts[at].1 <= MAX_FINDINGS {
            self.kept.push(finding);
        }
    }

    /// Whether one more finding of this kind would only be counted.
    fn is_full(&self, kind: FindingKind) -> bool {
        self.counts
            .iter()
            .any(|(k, count)| *k == kind && *count >= MAX_FINDINGS)
    }

    /// Counts one more finding of a kind that is full.
    fn count(&mut self, kind: FindingKind) {
        if let Some((_, count)) = self.counts.iter_mut().find(|(k, _)| *k == kind) {
            *count += 1;
        }
    }

    /// The findings by call and record, and behind them the numbers of those that were not kept.
    pub(super) fn into_vec(mut self) -> Vec<Finding> {
        self.kept.sort_by_key(|f| {
            (
                f.call_seq.unwrap_or(u64::MAX),
                f.kmsg_seq.unwrap_or(u64::MAX),
            )
        });
        for (kind, count) in self.counts {
            if count > MAX_FINDINGS {
                self.kept.push(Finding::new(
                    kind,
                    format!("{} more of this kind", count - MAX_FINDINGS),
                ));
            }
        }
        self.kept
    }
}

/// The findings of all observations of a window.
#[derive(Debug)]
pub(super) struct WindowFindings(Vec<Findings>);

impl WindowFindings {
    /// No findings.
    pub(super) fn none(evidence: &Evidence<'_>) -> Self {
        let observations = evidence.window.observations.iter();
        WindowFindings(observations.map(|_| Findings::default()).collect())
    }

    /// Adds a finding to each of the observations.
    pub(super) fn push(&mut self, blamed: BTreeSet<ObservationId>, finding: &Finding) {
        for observation in blamed {
            self.0[observation.0].push(finding.clone());
        }
    }

    /// Whether one more finding of this kind would only be counted for that observation.
    pub(super) fn is_full(&self, observation: ObservationId, kind: FindingKind) -> bool {
        self.0[observation.0].is_full(kind)
    }

    /// Counts one more finding of a kind that is full for that observation.
    pub(super) fn count(&mut self, observation: ObservationId, kind: FindingKind) {
        self.0[observation.0].count(kind);
    }

    /// Whether one more finding of this kind would only be counted for each observation.
    pub(super) fn are_all_full(&self, kind: FindingKind) -> bool {
        self.0.iter().all(|findings| findings.is_full(kind))
    }

    /// Counts one more finding of a kind that is full for each observation.
    pub(super) fn count_for_all(&mut self, kind: FindingKind) {
        for findings in &mut self.0 {
            findings.count(kind);
        }
    }

    /// The findings of each observation, in their order.
    pub(super) fn into_vec(self) -> Vec<Findings> {
        self.0
    }
}
