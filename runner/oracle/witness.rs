// SPDX-License-Identifier: GPL-2.0

//! Checks that the witnesses agree: the module's counters and log, the kernel's log, `warn_count`.
//!
//! If they disagree, the evidence itself is in doubt, and there is no verdict.

use std::collections::{HashMap, HashSet};

use crate::model::{
    Arming, Call, Extent, FollowUp, Initiator, Later, Observation, Step, StepKind, Window,
};
use crate::oracle::message::Content;
use crate::oracle::seen::Scan;

/// Reasons that concern all scenarios of a window.
pub(super) fn of_window(window: &Window, scan: &Scan<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(lost) = &window.lost {
        reasons.push(format!("kernel log records were lost: {lost}"));
    }
    if window
        .records
        .windows(2)
        .any(|two| two[0].seq >= two[1].seq)
    {
        reasons.push("kernel log records are not in the order of their numbers".to_owned());
    }

    if let Some((before, after)) = window.warn_count
        && before.checked_add(scan.warn_headers) != Some(after)
    {
        reasons.push(format!(
            "witnesses disagree: warn_count went from {before} to {after}; the kernel log has {} \
             headers of WARNs; {}",
            scan.warn_headers,
            summary(window, scan)
        ));
    }

    let logged = |o: &Observation| {
        // The release of a notifier that was removed meanwhile is in no log that is left.
        let gone = |step: &&Step| step.kind == StepKind::RemoveAtExit;
        (o.calls.len() + o.later.len() + o.steps.iter().filter(gone).count()) as u64
    };
    let logged: u64 = window.observations.iter().map(logged).sum();
    let (before, after) = window.total_entries;
    if before.checked_add(logged) != Some(after) {
        reasons.push(format!(
            "witnesses disagree: the module's total of log entries went from {before} to {after}, \
             and the scenarios' logs have {logged}: another target was called, or a log is not \
             whole"
        ));
    }
    let mut seqs = HashSet::new();
    let calls = window.observations.iter().flat_map(|o| &o.calls);
    let later = window.observations.iter().flat_map(|o| &o.later);
    let mut all = calls
        .map(|call| call.seq)
        .chain(later.map(|later| later.seq));
    if !all.all(|seq| seqs.insert(seq)) {
        reasons.push("the module's log has a call twice".to_owned());
    }
    if !seqs.iter().all(|seq| (before..after).contains(seq)) {
        reasons.push("the module's log has a call from outside the window".to_owned());
    }
    reasons
}

/// Counts of the three witnesses, for a person.
fn summary(window: &Window, scan: &Scan<'_>) -> String {
    let sum = |part: fn(&Observation) -> u64| window.observations.iter().map(part).sum::<u64>();
    let count = |test: fn(&Content<'_>) -> bool| {
        let ours = scan.ours.iter();
        ours.filter(|seen| test(&seen.message.content)).count()
    };
    format!(
        "the module counted {} calls and made {} fail; the kernel log has {} info lines, {} \
         pr_warns and {} WARNs about them",
        sum(|o| o.counters().calls),
        sum(|o| o.counters().injected),
        count(|content| matches!(content, Content::Info { .. })),
        count(|content| matches!(content, Content::PrWarn { .. })),
        count(|content| matches!(content, Content::Warn { .. })),
    )
}

/// Reasons that concern one scenario.
pub(super) fn of_observation(o: &Observation) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(trouble) = &o.trouble {
        reasons.push(format!(
            "the scenario was not carried out as planned: {trouble}"
        ));
    }
    if o.watched.0 >= o.watched.1 {
        reasons.push("the scenario watches no addresses".to_owned());
    }
    if o.calls
        .iter()
        .any(|call| call.notifier >= o.notifiers.len())
    {
        reasons.push("the log has a call of a notifier that was not attached".to_owned());
    }
    check_counters(o, &mut reasons);
    check_order(o, &mut reasons);
    if let Some(call) = o
        .calls
        .iter()
        .find(|call| is_watched(o, call) && !is_by_initiator(o, call))
    {
        reasons.push(format!(
            "somebody else worked on the same addresses: call {} came from {} ({})",
            call.seq, call.tid, call.comm
        ));
    }
    if let Some(call) = o.calls.iter().find(|call| !is_as_armed(o, call)) {
        reasons.push(format!(
            "the injector did not do as it was told: call {} ({}, {:#x}-{:#x}) returned {}",
            call.seq, call.event, call.start, call.end, call.returned
        ));
    }
    if let Some(later) = o.later.iter().find(|later| !follows_as_armed(o, later)) {
        reasons.push(format!(
            "the injector did not do as it was told: what follows as {} ({:#x}-{:#x}) has \
             injected={}",
            later.seq, later.start, later.end, later.injected
        ));
    }
    reasons
}

/// Compares each notifier's counters with the log.
fn check_counters(o: &Observation, reasons: &mut Vec<String>) {
    for (index, notifier) in o.notifiers.iter().enumerate() {
        let counters = notifier.counters;
        if counters.overwritten > 0 {
            reasons.push(format!(
                "{} entries of the module's log were overwritten",
                counters.overwritten
            ));
            continue;
        }
        let calls = || o.calls.iter().filter(|call| call.notifier == index);
        let failed = calls().filter(|call| call.injected).count() as u64;
        let logged = calls().count() as u64;
        if (counters.calls, counters.injected) != (logged, failed) {
            reasons.push(format!(
                "witnesses disagree: the module counted {} calls and made {} fail, and its log has \
                 {logged} and {failed}",
                counters.calls, counters.injected
            ));
        }
        let ends = o.later.iter().filter(|later| later.notifier == index);
        let ends = ends.filter(|later| later.op.is_end()).count() as u64;
        if counters.ends != ends {
            reasons.push(format!(
                "witnesses disagree: the module counted {} ends, and its log has {ends}",
                counters.ends
            ));
        }
    }
}

/// Checks that the log's numbers grow, and the times of each thread.
fn check_order(o: &Observation, reasons: &mut Vec<String>) {
    if o.calls.windows(2).any(|two| two[0].seq >= two[1].seq) {
        reasons.push("the module's log is not in the order of its numbers".to_owned());
    }
    let mut times: HashMap<i32, u64> = HashMap::new();
    if o.calls.iter().any(|call| {
        times
            .insert(call.tid, call.time_ns)
            .is_some_and(|before| before > call.time_ns)
    }) {
        reasons.push("the module's log goes back in time".to_owned());
    }
}

/// Addresses from the first to before the second.
pub(super) type Range = (u64, u64);

/// Whether a call is on the addresses that the scenario works on.
pub(super) fn is_watched(o: &Observation, call: &Call) -> bool {
    is_watched_range(o, call.start, call.end)
}

/// Whether a range overlaps the addresses that the scenario works on.
pub(super) fn is_watched_range(o: &Observation, start: u64, end: u64) -> bool {
    // Where no invalidation of everything is due, a range that ends in the kernel's half is the
    // whole address space at exit, and no invalidation of these addresses.
    let is_of_user = end < 1 << 63 || o.expectation.extent == Some(Extent::Everything);
    start < o.watched.1 && o.watched.0 < end && is_of_user
}

/// Whether a call comes from the thread that performs the operation.
pub(super) fn is_by_initiator(o: &Observation, call: &Call) -> bool {
    is_by_initiator_of(o, call.tid, &call.comm)
}

/// Whether a thread, with that comm, is the one that performs the operation.
pub(super) fn is_by_initiator_of(o: &Observation, tid: i32, comm: &str) -> bool {
    match o.initiator {
        Initiator::Thread(initiator) => tid == initiator,
        // Its pid is not known, and no process of user space runs in these contexts.
        Initiator::OomReaper => comm == "oom_reaper",
        Initiator::Ksmd => comm == "ksmd",
        Initiator::Khugepaged => comm == "khugepaged",
        Initiator::Worker => comm.starts_with("kworker/"),
    }
}

/// Whether the log of a call agrees with the setting of the injector.
fn is_as_armed(o: &Observation, call: &Call) -> bool {
    let Some(notifier) = o.notifiers.get(call.notifier) else {
        return false;
    };
    match notifier.notifier.arming {
        Arming::Fail(errno) if is_watched(o, call) => {
            // The error is set for one event. The injector leaves a call with another event alone,
            // and the call itself is a finding.
            let is_other = call.event != o.expectation.event && call.returned == 0;
            (call.returned == errno || is_other) && call.injected == (call.returned != 0)
        }
        Arming::AtStart(_) if is_watched(o, call) => call.returned == 0 && call.injected,
        Arming::Fail(_)
        | Arming::Filtered(_)
        | Arming::Unarmed
        | Arming::AtStart(_)
        | Arming::AtEnd(_)
        | Arming::AtRelease(_) => call.returned == 0 && !call.injected,
    }
}

/// Whether the log of an end, a second pass or a release agrees with the setting of the injector.
fn follows_as_armed(o: &Observation, later: &Later) -> bool {
    let Some(notifier) = o.notifiers.get(later.notifier) else {
        return false;
    };
    let is_armed = match notifier.notifier.arming {
        Arming::AtEnd(_) => later.op.is_end() && is_watched_range(o, later.start, later.end),
        Arming::AtRelease(_) => later.op == FollowUp::Release,
        _ => false,
    };
    later.injected == is_armed
}
