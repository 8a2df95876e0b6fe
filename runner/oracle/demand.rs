// SPDX-License-Identifier: GPL-2.0

//! Checks of a scenario's demands besides the messages: the calls and the operation's outcome.

use crate::contract::chain;
use crate::model::{Call, Count, Finding, FindingKind, Notifier, NotifierEvent, Observation};
use crate::oracle::callbacks;
use crate::oracle::findings::Findings;
use crate::oracle::witness::{is_by_initiator, is_watched};

/// Whether a call is the last one of its notifier on the watched addresses.
fn is_last(o: &Observation, call: &Call) -> bool {
    let of_notifier = |other: &&Call| other.notifier == call.notifier && is_watched(o, other);
    let last = o.calls.iter().rfind(of_notifier);
    last.is_some_and(|last| last.seq == call.seq)
}

/// Whether the range of an event must have an owner. `migrate_vma_setup()` passes on that of its
/// caller; of `make_device_exclusive()` the caller is lib/test_hmm.c, which has none. For all other
/// events `mmu_notifier_range_init()` leaves the field as it is, and no driver may look at it.
fn owner(event: NotifierEvent) -> Option<bool> {
    match event {
        NotifierEvent::Migrate => Some(true),
        NotifierEvent::Exclusive => Some(false),
        _ => None,
    }
}

/// Adds findings about unmet demands. Returns the reason why one of them cannot be judged, if one
/// cannot.
pub(super) fn check(o: &Observation, findings: &mut Findings) -> Option<String> {
    let want = &o.expectation;
    let notifiers: Vec<Notifier> = o
        .notifiers
        .iter()
        .map(|notifier| notifier.notifier)
        .collect();
    let due = chain::of_invalidation(&notifiers, want.context);
    // The notifier that is called first is called by each invalidation.
    let first = due.first().map(|invocation| invocation.notifier);
    let mut count = 0;
    for call in o.calls.iter().filter(|call| is_watched(o, call)) {
        count += u64::from(first == Some(call.notifier));
        let event = match want.last_event {
            Some(event) if is_last(o, call) => event,
            _ => want.event,
        };
        if (call.event, call.context) != (event, want.context) {
            findings.push(Finding {
                call_seq: Some(call.seq),
                ..Finding::new(
                    FindingKind::Calls,
                    format!(
                        "the call is {} in {} context, not {} in {} context",
                        call.event, call.context, event, want.context
                    ),
                )
            });
        }
        if let (Some(seen), Some(due)) = (call.owner, owner(event))
            && seen != due
        {
            let text = if due {
                "the range has no owner, so the driver cannot tell its own migration from others"
            } else {
                "the range has an owner, so a driver may take it for its own, and ignore it"
            };
            findings.push(Finding {
                call_seq: Some(call.seq),
                ..Finding::new(FindingKind::Calls, text.to_owned())
            });
        }
    }
    let mut doubt = None;
    if let Count::AtLeast(_) = want.calls
        && !want.calls.admits(count)
    {
        doubt = Some(format!(
            "the notifier was called {count} times, not {}, but that depends on what else the \
             kernel had to do",
            want.calls
        ));
    } else if !want.calls.admits(count) {
        findings.push(Finding::new(
            FindingKind::Calls,
            format!("the notifier was called {count} times, not {}", want.calls),
        ));
    }
    let seen = callbacks::seen(o);
    let is_repeated = seen.len() as u64 == due.len() as u64 * count
        && (due.is_empty() || seen.chunks(due.len()).all(|chunk| chunk == due));
    if !is_repeated
        && o.calls
            .iter()
            .all(|call| !is_watched(o, call) || is_by_initiator(o, call))
    {
        findings.push(Finding {
            due: Some(format!("each time: {}", callbacks::shown(&due, &notifiers))),
            seen: Some(callbacks::shown(&seen, &notifiers)),
            ..Finding::new(
                FindingKind::Calls,
                format!("the callbacks of {count} invalidations are not those that are due"),
            )
        });
    }
    if o.outcome != want.outcome {
        findings.push(Finding::new(
            FindingKind::Outcome,
            format!("the operation returned {}, not {}", o.outcome, want.outcome),
        ));
    }
    doubt
}
