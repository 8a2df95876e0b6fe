// SPDX-License-Identifier: GPL-2.0

//! Judges the windows of a run.

use crate::contract;
use crate::model::{
    Call, Finding, FindingKind, Form, Observation, Recognised, ScenarioResult, Verdict, Window,
};
use crate::oracle::message::{Caller, Content, shown};
use crate::oracle::seen::Scan;
use crate::oracle::{compare, demand, effects, expect, form, mirror, trust, witness};

/// The verdicts on all windows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The form of the check that was recognised.
    pub form: Recognised,
    /// The verdict on the form.
    pub form_verdict: Verdict,
    /// The results, one for each observation, in the order of the windows.
    pub results: Vec<ScenarioResult>,
    /// Reasons why the module's log is in doubt. If there is one, there is no verdict on anything.
    pub doubts: Vec<String>,
}

/// Judges all windows of a run.
pub fn judge(windows: &[Window], demanded: Option<Form>) -> Judgement {
    let scanned: Vec<(&Window, Scan<'_>, Vec<String>)> = windows
        .iter()
        .map(|window| {
            let scan = Scan::of(window);
            let doubts = witness::of_window(window, &scan);
            (window, scan, doubts)
        })
        .collect();

    let mut recognition = form::Recognition::default();
    for (window, scan, doubts) in &scanned {
        if doubts.is_empty() {
            recognition.add(window, scan);
        } else {
            recognition.leave_out();
        }
    }
    let criteria = recognition.criteria(demanded);
    let sites = recognition.sites();
    let undoubted = scanned.iter().filter(|(_, _, doubts)| doubts.is_empty());
    let undoubted = undoubted.map(|(window, scan, _)| (*window, scan));
    let distrust = trust::doubts(criteria.form, undoubted);

    Judgement {
        form: recognition.form(),
        form_verdict: if distrust.is_empty() {
            recognition.verdict(windows, demanded)
        } else {
            Verdict::NoVerdict {
                reasons: distrust.clone(),
            }
        },
        results: scanned
            .iter()
            .flat_map(|(window, scan, doubts)| {
                let doubts = [doubts.as_slice(), &distrust].concat();
                judge_window(window, scan, doubts, criteria, sites)
            })
            .collect(),
        doubts: distrust,
    }
}

/// The results of one window. `doubts` are the reasons why its evidence is in doubt.
fn judge_window(
    window: &Window,
    scan: &Scan<'_>,
    doubts: Vec<String>,
    criteria: form::Criteria,
    sites: expect::Sites<'_>,
) -> Vec<ScenarioResult> {
    let dues = expect::dues(criteria.form, window, sites, scan.format, reaper_of(scan));
    let compared = compare::compare(window, scan, &dues, criteria.no_check);
    let foreign: Vec<String> = scan.foreign.iter().map(|seen| shown(seen.record)).collect();

    let mut results = Vec::new();
    for ((o, mut findings), matched) in window
        .observations
        .iter()
        .zip(compared.findings)
        .zip(compared.matched)
    {
        let mut reasons = witness::of_observation(o);
        reasons.extend(doubts.iter().cloned());
        reasons.extend(compared.undecided.clone());
        if criteria.is_guess && o.calls.iter().any(|call| depends_on_form(o, call)) {
            reasons.push(
                "what is due depends on the form of the check, and nothing failed in blockable \
                 context to recognise it by; --expect seed or --expect mainline demands one"
                    .to_owned(),
            );
        }
        let too_few = demand::check(o, &mut findings);
        reasons.extend(effects::check(o, &mut findings));
        reasons.extend(mirror::check(o, &mut findings));
        let findings = findings.into_vec();
        // Too few calls prove nothing by themselves. A change that none of them announces does.
        let is_untold = findings.iter().any(|one| one.kind == FindingKind::Untold);
        reasons.extend(too_few.filter(|_| !is_untold));
        results.push(ScenarioResult {
            observation: Some(Observation::clone(o)),
            matched,
            foreign: foreign.clone(),
            ..ScenarioResult::new(o.scenario.clone(), verdict(reasons, findings))
        });
    }
    results
}

/// The OOM reaper's thread, by its closing lines.
fn reaper_of(scan: &Scan<'_>) -> Option<Caller> {
    let mut ours = scan.ours.iter();
    ours.find_map(|seen| match seen.message.content {
        Content::Reaper { .. } => seen.message.task,
        _ => None,
    })
}

fn depends_on_form(o: &Observation, call: &Call) -> bool {
    o.notifiers
        .get(call.notifier)
        .is_some_and(|notifier| contract::depends_on_form(notifier.notifier, call))
}

/// The verdict. Evidence that is in doubt proves neither a pass nor a failure.
fn verdict(reasons: Vec<String>, findings: Vec<Finding>) -> Verdict {
    if !reasons.is_empty() {
        Verdict::NoVerdict { reasons }
    } else if !findings.is_empty() {
        Verdict::Fail { findings }
    } else {
        Verdict::Pass
    }
}
