// SPDX-License-Identifier: GPL-2.0

//! Compares the messages that are due in a window with those that were seen.
//!
//! The comparison is a pipeline of pure stages:
//!
//! 1. [`group`] splits both sides by task.
//! 2. [`align`] pairs the messages of each task in order. The others are missing or surplus.
//! 3. [`explain`] finds missing and surplus messages that explain each other.
//! 4. [`findings`] puts each difference down to the observations that [`blame`] finds for it.
//!
//! [`interleave`] and [`order`] judge the order of messages of different tasks.

use std::collections::BTreeSet;

use crate::model::{FindingKind, Matched, Window};
use crate::oracle::align::{AlignedGroup, Missing, Surplus, align};
use crate::oracle::evidence::Evidence;
use crate::oracle::expect::Due;
use crate::oracle::explain::{Change, Explained, explain};
use crate::oracle::findings::{Findings, WindowFindings};
use crate::oracle::group::{Grouping, group};
use crate::oracle::index::Pair;
use crate::oracle::interleave::{Interleaving, interleave};
use crate::oracle::seen::{Scan, Seen};
use crate::oracle::{blame, order, sentences};

/// Result of the comparison for each observation of a window, by index.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Findings>,
    pub(super) matched: Vec<Vec<Matched>>,
    /// Reason for which the messages cannot be judged.
    pub(super) undecided: Option<String>,
}

impl Outcome {
    fn new(evidence: &Evidence<'_>, mut pairs: Vec<Pair>, findings: WindowFindings) -> Self {
        let mut matched = vec![Vec::new(); evidence.window.observations.len()];
        pairs.sort_unstable();
        for pair in pairs {
            let (due, record) = (evidence.due(pair.due), evidence.seen(pair.seen).record);
            matched[due.observation.0].push(Matched {
                call_seq: due.entry.map(|entry| entry.seq),
                kmsg_seq: record.seq,
                level: record.level,
                text: record.text.clone(),
            });
        }
        Outcome {
            findings: findings.into_vec(),
            matched,
            undecided: None,
        }
    }

    fn without_findings(evidence: &Evidence<'_>, pairs: Vec<Pair>) -> Self {
        Outcome::new(evidence, pairs, WindowFindings::none(evidence))
    }
}

/// Compares. `no_check` tells that the kernel has no check at all, which the findings name.
pub(super) fn compare(
    window: &Window,
    scan: &Scan<'_>,
    dues: &[Due<'_>],
    no_check: bool,
) -> Outcome {
    let evidence = Evidence { window, scan, dues };
    if let Some(pairs) = evidence.pairs_if_equal() {
        return Outcome::without_findings(&evidence, pairs);
    }

    let Grouping { groups, mut pairs } = group(&evidence);
    let is_blurred = !scan.format.callers && evidence.threads() > 1;
    let interleaving = is_blurred.then(|| interleave(&evidence, &groups));
    // Without callers and with messages missing, a message in another place can be one of a task
    // that has overtaken another.
    let may_overtake = matches!(interleaving, Some(Interleaving::Unbalanced));
    match interleaving {
        Some(Interleaving::Legal(interleaved)) => {
            pairs.extend(interleaved);
            return Outcome::without_findings(&evidence, pairs);
        }
        Some(Interleaving::Undecided) => {
            return Outcome {
                undecided: Some(sentences::UNDECIDED.to_owned()),
                ..Outcome::without_findings(&evidence, pairs)
            };
        }
        Some(Interleaving::Illegal | Interleaving::Unbalanced) | None => {}
    }

    let alignment = align(&evidence, groups);
    let mut explained = explain(&evidence, &alignment);
    pairs.extend(&alignment.pairs);
    pairs.extend(explained.moved.iter().map(Change::pair));
    if may_overtake {
        explained.moved.clear();
    }
    let groups = alignment.groups;
    let is_exact = groups.iter().all(|group| group.is_exact);
    let late = if is_exact && !is_blurred {
        order::late(&evidence, pairs.clone())
    } else {
        BTreeSet::new()
    };
    let findings = findings(&evidence, &groups, &explained, &late, no_check);
    Outcome::new(&evidence, pairs, findings)
}

/// The findings about all differences, each with the observations that it can belong to.
fn findings(
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    explained: &Explained<'_>,
    late: &BTreeSet<Pair>,
    no_check: bool,
) -> WindowFindings {
    let mut findings = WindowFindings::none(evidence);
    for group in groups {
        // If a message is missing or surplus besides, that is the finding.
        if !group.is_exact && group.is_complete() {
            let dues = group.dues().iter().map(|due| evidence.due(*due));
            let blamed = dues.map(|due| due.observation).collect();
            findings.push(blamed, &sentences::shuffled());
        }
    }
    for change in &explained.moved {
        let group = &groups[change.surplus.group.0];
        let mut blamed = blame::surplus(evidence, group, &change.surplus);
        blamed.insert(evidence.due(change.missing.due).observation);
        findings.push(blamed, &sentences::moved(evidence, change.pair()));
    }
    for change in &explained.altered {
        add_altered(&mut findings, evidence, groups, change);
    }
    for (missing, seen) in &explained.renamed {
        add_renamed(&mut findings, evidence, groups, missing, seen);
    }
    for missing in &explained.missing {
        add_missing(&mut findings, evidence, groups, missing, no_check);
    }
    for surplus in &explained.surplus {
        add_surplus(&mut findings, evidence, groups, surplus);
    }
    for pair in late {
        let blamed = [evidence.due(pair.due).observation].into();
        findings.push(blamed, &sentences::late(evidence, *pair));
    }
    findings
}

fn add_altered(
    findings: &mut WindowFindings,
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    change: &Change,
) {
    let Change { missing, surplus } = change;
    let due = evidence.due(missing.due);
    if findings.is_full(due.observation, FindingKind::Altered) {
        findings.count(due.observation, FindingKind::Altered);
        return;
    }
    let group = &groups[missing.group.0];
    // In the place of the missing message, it is known which of several equal ones is altered.
    let is_in_place = missing.group == surplus.group
        && missing.between(surplus).all(|at| !group.is_due_paired(at));
    let blamed = if is_in_place {
        [due.observation].into()
    } else {
        blame::missing(evidence, group, missing)
    };
    findings.push(blamed, &sentences::altered(evidence, change.pair()));
}

fn add_renamed(
    findings: &mut WindowFindings,
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    missing: &Missing,
    seen: &Seen<'_>,
) {
    let due = evidence.due(missing.due);
    if findings.is_full(due.observation, FindingKind::Altered) {
        findings.count(due.observation, FindingKind::Altered);
        return;
    }
    let blamed = blame::missing(evidence, &groups[missing.group.0], missing);
    findings.push(blamed, &sentences::renamed(due, seen));
}

fn add_missing(
    findings: &mut WindowFindings,
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    missing: &Missing,
    no_check: bool,
) {
    let due = evidence.due(missing.due);
    if findings.is_full(due.observation, FindingKind::DidNotFire) {
        findings.count(due.observation, FindingKind::DidNotFire);
        return;
    }
    let blamed = blame::missing(evidence, &groups[missing.group.0], missing);
    let finding = sentences::did_not_fire(due, no_check, blamed.len() > 1);
    findings.push(blamed, &finding);
}

fn add_surplus(
    findings: &mut WindowFindings,
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    surplus: &Surplus,
) {
    const FIRED: FindingKind = FindingKind::FiredWhenItShouldNot;
    if findings.are_all_full(FIRED) {
        findings.count_for_all(FIRED);
        return;
    }
    let blamed = blame::surplus(evidence, &groups[surplus.group.0], surplus);
    let finding = sentences::fired(evidence.seen(surplus.seen), blamed.len() > 1);
    findings.push(blamed, &finding);
}
