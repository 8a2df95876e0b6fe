// SPDX-License-Identifier: GPL-2.0

//! Checks of the state after an invalidation, refused or not: the pages, the results of the
//! scenario's steps, and that every notifier can be removed and nothing of it is left.

use crate::contract::steps;
use crate::contract::steps::PAGE;
use crate::model::{
    Call, End, Extent, Finding, FindingKind, NotifierEvent, Observation, Pages, PagesFate, Remains,
};
use crate::oracle::findings::Findings;
use crate::oracle::witness::{Range, is_watched};

/// Adds findings about wrong effects. Returns a reason for each effect that was not recorded,
/// though it decides the verdict.
pub(super) fn check(o: &Observation, findings: &mut Findings) -> Vec<String> {
    let mut reasons = Vec::new();
    match (o.expectation.pages, &o.pages) {
        (Some(fate), Some(pages)) => {
            check_pages(fate, pages, o, findings);
            // The protection of pages that are kept may have changed.
            let is_protected = matches!(
                o.expectation.event,
                NotifierEvent::ProtectionVma | NotifierEvent::ProtectionPage
            );
            if fate != PagesFate::Kept || is_protected {
                check_ranges(o, findings);
            }
        }
        (Some(_), None) => reasons.push("nobody looked at the pages".to_owned()),
        (None, _) => {}
    }
    check_extent(o, findings);
    check_steps(o, findings, &mut reasons);
    check_remains(o, findings);
    check_flushes(o, findings);
    check_sequence(o, findings);

    let Remains {
        stuck, reads, mm, ..
    } = &o.remains;
    // A removal that waits forever keeps the runner from recording these.
    if o.expectation.end != End::Left && stuck.is_empty() {
        let has_intervals = o.notifiers.iter().any(|n| n.notifier.kind.is_interval());
        if o.expectation.end == End::There && has_intervals && reads.is_none() {
            reasons.push("nobody looked whether a read side can be begun".to_owned());
        }
        if *reads != Some(false) && mm.is_none() {
            reasons.push("nobody looked whether the address space is gone".to_owned());
        }
    }
    reasons
}

fn check_pages(fate: PagesFate, pages: &Pages, o: &Observation, findings: &mut Findings) {
    let all = o.watched.1.saturating_sub(o.watched.0) / PAGE;
    let (as_due, rss) = match fate {
        PagesFate::Kept => (pages.kept, all),
        PagesFate::Zeroed => (pages.zeroed, 0),
        PagesFate::Gone => (pages.gone, 0),
    };
    if as_due != all || pages.rss != rss {
        let Pages {
            kept,
            zeroed,
            gone,
            damaged,
            rss,
        } = pages;
        findings.push(Finding {
            due: Some(format!("all {all} {fate}")),
            seen: Some(format!(
                "{kept} kept, {zeroed} zeroed, {gone} gone, {damaged} with something else in \
                 them; RSS {rss} pages"
            )),
            ..Finding::new(FindingKind::Pages, format!("the pages were to be {fate}"))
        });
    }
}

/// The end of the addresses from `first` on that the ranges have without a gap.
fn reached(first: u64, mut ranges: Vec<Range>) -> u64 {
    ranges.sort_unstable();
    ranges.into_iter().fold(first, |reached, (start, end)| {
        if start <= reached {
            reached.max(end)
        } else {
            reached
        }
    })
}

/// A notifier that is called must be called for all pages that have changed.
fn check_ranges(o: &Observation, findings: &mut Findings) {
    for (index, notifier) in o.notifiers.iter().enumerate() {
        let ranges: Vec<Range> = o
            .calls
            .iter()
            .filter(|call| call.notifier == index && is_watched(o, call))
            .map(|call| (call.start, call.end))
            .collect();
        if ranges.is_empty() || notifier.notifier.is_elsewhere {
            continue;
        }
        let reached = reached(o.watched.0, ranges);
        if reached < o.watched.1 {
            let text = format!(
                "all pages up to {:#x} have changed, and notifier {index} was told of those up to \
                 {reached:#x}",
                o.watched.1
            );
            findings.push(Finding::new(FindingKind::Calls, text));
        }
    }
}

/// The addresses of the call of that index among those of its notifier on the watched addresses,
/// which is for `range`.
fn due_range(extent: Extent, o: &Observation, index: usize, range: Range) -> Range {
    let page = |number: u64| o.watched.0 + number * PAGE;
    match extent {
        Extent::All => o.watched,
        Extent::Halves => {
            let middle = o.watched.0.midpoint(o.watched.1);
            match index {
                0 => (o.watched.0, middle),
                _ => (middle, o.watched.1),
            }
        }
        Extent::Pages { first, count } => (page(first), page(first + count)),
        Extent::EachPageOrAll if range == o.watched => o.watched,
        Extent::EachPage | Extent::EachPageOrAll => {
            let first = range.0.max(o.watched.0);
            (first, first + PAGE)
        }
        // Those of all calls are judged together.
        Extent::Steps { .. } => range,
        Extent::Everything => (0, u64::MAX),
        Extent::Block { bytes } => (
            o.watched.0 - o.watched.0 % bytes,
            o.watched.1.next_multiple_of(bytes),
        ),
    }
}

/// The calls are for the addresses that the operation changes, no fewer and no more.
fn check_extent(o: &Observation, findings: &mut Findings) {
    let Some(extent) = o.expectation.extent else {
        return;
    };
    for notifier in 0..o.notifiers.len() {
        let of_notifier = o.calls.iter().filter(|call| call.notifier == notifier);
        let calls = of_notifier.filter(|call| is_watched(o, call));
        if let Extent::Steps { times } = extent {
            let ranges = calls.map(|call| (call.start, call.end)).collect();
            if let Some(finding) = check_extent_of_steps(notifier, ranges, times, o) {
                findings.push(finding);
            }
            continue;
        }
        for (index, call) in calls.enumerate() {
            let seen = (call.start, call.end);
            let due = due_range(extent, o, index, seen);
            if seen != due {
                findings.push(Finding {
                    call_seq: Some(call.seq),
                    due: Some(format!("{:#x}-{:#x}", due.0, due.1)),
                    seen: Some(format!("{:#x}-{:#x}", seen.0, seen.1)),
                    ..Finding::new(
                        FindingKind::Calls,
                        format!("notifier {notifier} was told of other addresses"),
                    )
                });
            }
        }
    }
}

/// The calls of an operation in steps: each for some of the addresses, all of them together, and not
/// for too many again and again. They are for `ranges`, some of which may be the same.
fn check_extent_of_steps(
    notifier: usize,
    ranges: Vec<Range>,
    times: u64,
    o: &Observation,
) -> Option<Finding> {
    let (first, last) = o.watched;
    let bytes: u64 = ranges.iter().map(|(start, end)| end - start).sum();
    let calls = ranges.len();
    let is_inside = ranges
        .iter()
        .all(|(start, end)| first <= *start && *end <= last);
    let reached = reached(first, ranges);
    if reached == last && is_inside && bytes <= times * (last - first) {
        return None;
    }
    Some(Finding {
        due: Some(format!(
            "{first:#x}-{last:#x} in steps, {} bytes at most",
            times * (last - first)
        )),
        seen: Some(format!(
            "calls: {calls}, for {bytes} bytes, {} {first:#x}-{reached:#x}",
            if is_inside { "in" } else { "not only in" }
        )),
        ..Finding::new(
            FindingKind::Calls,
            format!("notifier {notifier} was not told of what changes, step by step"),
        )
    })
}

/// Adds a finding for each step with another outcome than is due, and a reason for each step that
/// does not fit the scenario.
fn check_steps(o: &Observation, findings: &mut Findings, reasons: &mut Vec<String>) {
    for step in &o.steps {
        match (steps::due(step.kind, o), steps::outcome(step, o)) {
            (Some(due), Some(seen)) if due == seen => {}
            (Some(due), Some(seen)) => findings.push(Finding {
                due: Some(due.to_string()),
                seen: Some(seen.to_string()),
                ..Finding::new(FindingKind::Step, step.kind.to_string())
            }),
            _ => reasons.push(format!(
                "a step was recorded that the scenario cannot have: {step:?}"
            )),
        }
    }
}

fn check_remains(o: &Observation, findings: &mut Findings) {
    for &index in &o.remains.stuck {
        let text = match o.notifiers.get(index) {
            Some(notifier) => format!(
                "notifier {index} ({}) could not be removed: it waits forever",
                notifier.notifier.kind.name()
            ),
            None => "a notifier that was to be registered waits forever".to_owned(),
        };
        findings.push(Finding::new(FindingKind::Removal, text));
    }
    if o.remains.reads == Some(false) {
        let text = "mmu_interval_read_begin() of a new interval notifier waits forever: the \
                    sequence number has stayed odd, or an invalidation never ended";
        findings.push(Finding::new(FindingKind::Removal, text.to_owned()));
    }
    if let Some((users, count)) = o.remains.mm
        && (users, count) != (0, 1)
    {
        let text = format!(
            "the process is gone, and its mm has mm_users {users} and mm_count {count}, not 0 and 1"
        );
        findings.push(Finding::new(FindingKind::Removal, text));
    }
}

/// A change of the page tables that was begun is ended, also where a notifier refuses.
fn check_flushes(o: &Observation, findings: &mut Findings) {
    if let Some(flushes) = o.remains.flushes
        && flushes != 0
    {
        let text = format!(
            "the process is gone, and tlb_flush_pending of its mm is {flushes}: tlb_gather_mmu() \
             without tlb_finish_mmu()"
        );
        findings.push(Finding::new(FindingKind::Removal, text));
    }
}

/// The sequence number in a callback of an interval notifier is odd, and grows from one
/// invalidation to the next, since a scenario's invalidations are not nested.
fn check_sequence(o: &Observation, findings: &mut Findings) {
    let mut last: Option<(usize, u64)> = None;
    let is_interval = |call: &&Call| o.kind(call).is_some_and(|kind| kind.is_interval());
    for call in o.calls.iter().filter(is_interval) {
        if call.cur_seq % 2 == 0 {
            findings.push(Finding {
                call_seq: Some(call.seq),
                ..Finding::new(
                    FindingKind::Calls,
                    format!("the sequence number {} is not odd", call.cur_seq),
                )
            });
        }
        // All notifiers of one invalidation get the same number.
        if let Some((notifier, before)) = last
            && (call.cur_seq < before || (call.cur_seq == before && notifier == call.notifier))
        {
            findings.push(Finding {
                call_seq: Some(call.seq),
                ..Finding::new(
                    FindingKind::Calls,
                    format!(
                        "the sequence number {} does not follow on {before}",
                        call.cur_seq
                    ),
                )
            });
        }
        last = Some((call.notifier, call.cur_seq));
    }
}
