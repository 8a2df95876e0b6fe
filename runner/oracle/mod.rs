// SPDX-License-Identifier: GPL-2.0

//! Judges what was observed.
//!
//! Pure functions: from what the kernel under test promises and what the module logged follows
//! which messages are due; they are compared with what `/dev/kmsg` holds. A wrong pass is the
//! worst that can happen here and a wrong failure the next worst, so where the evidence is in
//! doubt there is no verdict.

mod align;
mod blame;
mod callbacks;
mod compare;
mod demand;
mod effects;
mod evidence;
mod expect;
mod explain;
mod findings;
mod form;
mod group;
mod index;
mod interleave;
mod lcs;
mod lines;
mod lockdep;
mod message;
pub mod mutants;
mod order;
pub mod run;
mod seen;
mod sentences;
mod symbol;
mod trust;
mod warn;
mod witness;

use crate::contract;
use crate::kmsg::Record;
use crate::model::{
    Call, Form, KernelMessage, Observation, Recognised, ScenarioResult, Verdict, Window,
};

use message::{Caller, Content, shown};
use seen::Scan;

pub use form::NOTHING_FAILED;

/// The answer about all windows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The form of the check that was recognised.
    pub form: Recognised,
    /// The verdict on it.
    pub form_verdict: Verdict,
    /// One for each observation, in the order of the windows.
    pub results: Vec<ScenarioResult>,
    /// Why the module is not believed; then there is no verdict on anything.
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
    let rule = recognition.rule(demanded);
    let sites = recognition.sites();
    let undoubted = scanned.iter().filter(|(_, _, doubts)| doubts.is_empty());
    let undoubted = undoubted.map(|(window, scan, _)| (*window, scan));
    let distrust = trust::doubts(rule.form, undoubted);

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
                judge_window(window, scan, doubts, rule, sites)
            })
            .collect(),
        doubts: distrust,
    }
}

/// Whether a record is a complaint that is judged in this window.
pub fn is_judged(record: &Record, window: &Window) -> bool {
    match lines::Line::of(record) {
        lines::Line::Warn(header) if header.is_of_notifiers() => true,
        lines::Line::Warn(header) => header.symptom().is_some() && seen::judges_symptoms(window),
        lines::Line::Symptom(_) => seen::judges_symptoms(window),
        // What follows on a BUG.
        _ if record.text.starts_with("Oops: ") => {
            let mut observations = window.observations.iter();
            observations.any(|o| o.expectation.said.contains(&KernelMessage::DeadBug))
        }
        _ => false,
    }
}

/// Whether a record is the first line of a WARN about a callback that failed where it must not, of
/// whatever kind the notifier is.
pub fn is_callback_warn(record: &Record) -> bool {
    const CALLERS: [&str; 5] = [
        "mn_hlist_invalidate_range_start",
        "mn_itree_invalidate",
        "mn_itree_release",
        // Where those are inlined.
        "__mmu_notifier_invalidate_range_start",
        "__mmu_notifier_release",
    ];
    match lines::Line::of(record) {
        lines::Line::Warn(header) => CALLERS.contains(&header.symbol.name),
        _ => false,
    }
}

fn judge_window(
    window: &Window,
    scan: &Scan<'_>,
    doubts: Vec<String>,
    rule: form::Rule,
    sites: expect::Sites<'_>,
) -> Vec<ScenarioResult> {
    let reaper: Option<Caller> = scan
        .ours
        .iter()
        .find_map(|seen| match seen.message.content {
            Content::Reaper { .. } => seen.message.task,
            _ => None,
        });
    let dues = expect::dues(rule.form, window, sites, scan.format, reaper);
    let compared = compare::compare(window, scan, &dues, rule.no_check);
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
        if rule.is_guess && o.calls.iter().any(|call| depends_on_form(o, call)) {
            reasons.push(
                "what is due depends on the form of the check, and nothing failed in blockable \
                 context to recognise it by; --expect seed or --expect mainline demands one"
                    .to_owned(),
            );
        }
        reasons.extend(demand::check(o, &mut findings));
        reasons.extend(effects::check(o, &mut findings));
        let findings = findings.into_vec();
        results.push(ScenarioResult {
            observation: Some(Observation::clone(o)),
            matched,
            foreign: foreign.clone(),
            ..ScenarioResult::new(o.scenario.clone(), verdict(reasons, findings))
        });
    }
    results
}

fn depends_on_form(o: &Observation, call: &Call) -> bool {
    o.notifiers
        .get(call.notifier)
        .is_some_and(|notifier| contract::depends_on_form(notifier.notifier, call))
}

/// Evidence that is in doubt proves nothing, neither a pass nor a failure.
fn verdict(reasons: Vec<String>, findings: Vec<crate::model::Finding>) -> Verdict {
    if !reasons.is_empty() {
        Verdict::NoVerdict { reasons }
    } else if !findings.is_empty() {
        Verdict::Fail { findings }
    } else {
        Verdict::Pass
    }
}
