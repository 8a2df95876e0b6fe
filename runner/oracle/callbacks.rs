// SPDX-License-Identifier: GPL-2.0

//! The callbacks in the module's log, to be compared with those of
//! [`chain`](crate::contract::chain).

use std::fmt::Write as _;

use crate::contract::chain::{Callback, Invocation};
use crate::model::{Notifier, Observation};
use crate::oracle::witness::{is_by_initiator_of, is_watched, is_watched_range};

/// The callbacks that the operation made on the watched addresses, in order.
pub(super) fn seen(o: &Observation) -> Vec<Invocation> {
    let of_operation = || {
        let calls = o.calls.iter();
        calls.filter(|call| is_by_initiator_of(o, call.tid, &call.comm))
    };
    let tids: Vec<i32> = of_operation().map(|call| call.tid).collect();
    let starts = of_operation()
        .filter(|call| is_watched(o, call))
        .map(|call| (call.seq, call.notifier, Callback::Start));
    let later = o
        .later
        .iter()
        .filter(|later| {
            later.op.is_end()
                && is_watched_range(o, later.start, later.end)
                && tids.contains(&later.tid)
        })
        .map(|later| (later.seq, later.notifier, Callback::After(later.op)));
    let mut seen: Vec<(u64, usize, Callback)> = starts.chain(later).collect();
    seen.sort_by_key(|(seq, ..)| *seq);
    seen.into_iter()
        .map(|(_, notifier, callback)| Invocation { notifier, callback })
        .collect()
}

/// Callbacks for a person: `start 0 (plain), end 1 (plain-end)`.
pub(super) fn shown(invocations: &[Invocation], notifiers: &[Notifier]) -> String {
    const SHOWN: usize = 24;
    let mut text = String::new();
    for Invocation { notifier, callback } in invocations.iter().take(SHOWN) {
        let word = match callback {
            Callback::Start => "start",
            Callback::After(later) => later.name(),
        };
        let kind = notifiers.get(*notifier).map_or("?", |n| n.kind.name());
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{word} {notifier} ({kind})");
    }
    if invocations.len() > SHOWN {
        let _ = write!(text, ", and {} more", invocations.len() - SHOWN);
    }
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arming, FollowUp, NotifierKind};

    #[test]
    fn callbacks_are_shown_by_name_and_many_are_cut_short() {
        let kinds = [
            NotifierKind::Plain,
            NotifierKind::PlainEnd,
            NotifierKind::IntervalTwoPass,
        ];
        let notifiers = kinds.map(|kind| Notifier {
            kind,
            arming: Arming::Unarmed,
            is_elsewhere: false,
        });
        let of = |invocations: &[Invocation]| shown(invocations, &notifiers);
        assert_eq!(of(&[]), "none");
        let start = |notifier| Invocation {
            notifier,
            callback: Callback::Start,
        };
        let after = |notifier, follow_up| Invocation {
            notifier,
            callback: Callback::After(follow_up),
        };
        assert_eq!(
            of(&[
                start(2),
                after(2, FollowUp::Finish),
                after(1, FollowUp::End),
                after(0, FollowUp::Release),
                start(3),
            ]),
            "start 2 (interval-two-pass), finish 2 (interval-two-pass), end 1 (plain-end), \
             release 0 (plain), start 3 (?)"
        );
        let many = [start(0); 26];
        assert!(of(&many[..24]).ends_with("start 0 (plain)"));
        assert!(of(&many).ends_with("start 0 (plain), and 2 more"));
    }
}
