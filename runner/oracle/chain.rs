// SPDX-License-Identifier: GPL-2.0

//! Which callbacks an invalidation makes, in which order: what `__mmu_notifier_invalidate_range_start`
//! and `__mmu_notifier_invalidate_range_end` of mm/mmu_notifier.c do, as a pure function of the
//! notifiers that are attached and of what they are told to do.

use std::fmt::Write as _;

use crate::model::{Arming, Context, FollowUp, Notifier, NotifierKind, Observation};

use crate::oracle::witness::{is_by_initiator_of, is_watched, is_watched_range};

/// A callback of one of the notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    /// `invalidate_range_start`, `invalidate` or `invalidate_start`.
    Start,
    /// One that follows.
    After(FollowUp),
}

/// Index of the notifier, and which callback.
pub(super) type Made = (usize, Callback);

const fn fails(notifier: Notifier) -> bool {
    matches!(notifier.arming, Arming::Fail(_))
}

/// The callbacks that one invalidation of the watched addresses makes.
pub(super) fn of_invalidation(notifiers: &[Notifier], context: Context) -> Vec<Made> {
    let end = Callback::After(FollowUp::End);
    let blockable = context == Context::Blockable;
    let mut made = Vec::new();

    // Those of one range are in the tree in the order in which they came.
    let mut second_pass = Vec::new();
    let mut refused = false;
    for (index, notifier) in notifiers.iter().enumerate() {
        if !notifier.kind.is_interval() || notifier.is_elsewhere {
            continue;
        }
        made.push((index, Callback::Start));
        if fails(*notifier) {
            if !blockable {
                refused = true;
                break;
            }
        } else if notifier.kind == NotifierKind::IntervalTwoPass {
            second_pass.push((index, Callback::After(FollowUp::Finish)));
        }
    }
    made.extend(second_pass);
    if refused {
        return made;
    }

    // The list is filled at its head.
    let plain: Vec<(usize, Notifier)> = notifiers
        .iter()
        .copied()
        .enumerate()
        .rev()
        .filter(|(_, notifier)| !notifier.kind.is_interval())
        .collect();
    let ends = || {
        let paired = plain
            .iter()
            .filter(|(_, notifier)| notifier.kind == NotifierKind::PlainEnd);
        paired.map(|(index, _)| (*index, end))
    };
    made.extend(plain.iter().map(|(index, _)| (*index, Callback::Start)));
    let failed = plain.iter().any(|(_, notifier)| fails(*notifier));
    if failed {
        // Also of those that failed themselves: there is no telling them apart.
        made.extend(ends());
    }
    if blockable || !failed {
        made.extend(ends());
    }
    made
}

/// Whether an invalidation of the watched addresses is refused.
pub fn is_refused(notifiers: &[Notifier], context: Context) -> bool {
    context == Context::NonBlockable
        && notifiers.iter().any(|notifier| {
            fails(*notifier) && !(notifier.kind.is_interval() && notifier.is_elsewhere)
        })
}

/// The callbacks that were made on the watched addresses by whoever is to make them, in order.
pub(super) fn seen(o: &Observation) -> Vec<Made> {
    let starts = o
        .calls
        .iter()
        .filter(|call| is_watched(o, call) && is_by_initiator_of(o, call.tid, &call.comm));
    let starts = starts.map(|call| (call.seq, (call.notifier, Callback::Start)));
    let tids: Vec<i32> = o
        .calls
        .iter()
        .filter(|call| is_by_initiator_of(o, call.tid, &call.comm))
        .map(|call| call.tid)
        .collect();
    let later = o.later.iter().filter(|later| {
        later.op != FollowUp::Release
            && is_watched_range(o, later.start, later.end)
            && tids.contains(&later.tid)
    });
    let later = later.map(|later| (later.seq, (later.notifier, Callback::After(later.op))));
    let mut made: Vec<(u64, Made)> = starts.chain(later).collect();
    made.sort_by_key(|(seq, _)| *seq);
    made.into_iter().map(|(_, made)| made).collect()
}

/// Callbacks for a person: `start 0 (plain), end 1 (plain-end)`.
pub(super) fn shown(made: &[Made], notifiers: &[Notifier]) -> String {
    const SHOWN: usize = 24;
    let mut text = String::new();
    for (index, callback) in made.iter().take(SHOWN) {
        let word = match callback {
            Callback::Start => "start",
            Callback::After(FollowUp::End) => "end",
            Callback::After(FollowUp::Finish) => "finish",
            Callback::After(FollowUp::Release) => "release",
        };
        let kind = notifiers
            .get(*index)
            .map_or("?", |notifier| notifier.kind.name());
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{word} {index} ({kind})");
    }
    if made.len() > SHOWN {
        let _ = write!(text, ", and {} more", made.len() - SHOWN);
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
    use NotifierKind::{Interval, IntervalTwoPass, Plain, PlainEnd};

    const AGREE: Arming = Arming::Unarmed;
    const REFUSE: Arming = Arming::Fail(-11);

    fn made(cast: &[(NotifierKind, Arming)], context: Context) -> String {
        let notifiers: Vec<Notifier> = cast
            .iter()
            .map(|&(kind, arming)| Notifier {
                kind,
                arming,
                is_elsewhere: false,
            })
            .collect();
        let words = of_invalidation(&notifiers, context)
            .into_iter()
            .map(|(index, callback)| {
                let letter = match callback {
                    Callback::Start => 's',
                    Callback::After(FollowUp::End) => 'e',
                    Callback::After(FollowUp::Finish) => 'f',
                    Callback::After(FollowUp::Release) => 'r',
                };
                format!("{letter}{index}")
            });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_registered_is_started_first() {
        let cast = [(Plain, AGREE), (PlainEnd, AGREE), (PlainEnd, AGREE)];
        for context in [Context::Blockable, Context::NonBlockable] {
            assert_eq!(made(&cast, context), "s2 s1 s0 e2 e1");
        }
    }

    #[test]
    fn all_are_started_and_all_ends_called_when_one_has_failed() {
        for cast in [
            [(Plain, REFUSE), (PlainEnd, AGREE), (Plain, AGREE)],
            [(Plain, AGREE), (PlainEnd, AGREE), (Plain, REFUSE)],
            [(Plain, AGREE), (PlainEnd, REFUSE), (Plain, AGREE)],
        ] {
            assert_eq!(made(&cast, Context::NonBlockable), "s2 s1 s0 e1");
            assert_eq!(made(&cast, Context::Blockable), "s2 s1 s0 e1 e1");
        }
    }

    #[test]
    fn interval_notifiers_come_first_and_end_it_when_they_refuse() {
        let cast = [
            (IntervalTwoPass, AGREE),
            (Plain, AGREE),
            (Interval, REFUSE),
            (IntervalTwoPass, AGREE),
        ];
        assert_eq!(made(&cast, Context::NonBlockable), "s0 s2 f0");
        assert_eq!(made(&cast, Context::Blockable), "s0 s2 s3 f0 f3 s1");
    }

    #[test]
    fn whoever_watches_elsewhere_hears_nothing() {
        let notifier = |is_elsewhere| Notifier {
            kind: Interval,
            arming: REFUSE,
            is_elsewhere,
        };
        assert!(of_invalidation(&[notifier(true)], Context::NonBlockable).is_empty());
        assert!(!is_refused(&[notifier(true)], Context::NonBlockable));
        assert!(is_refused(&[notifier(false)], Context::NonBlockable));
        assert!(!is_refused(&[notifier(false)], Context::Blockable));
    }

    #[test]
    fn callbacks_are_shown_by_name_and_many_in_short() {
        let notifiers = [Plain, PlainEnd, IntervalTwoPass].map(|kind| Notifier {
            kind,
            arming: AGREE,
            is_elsewhere: false,
        });
        let of = |made: &[Made]| shown(made, &notifiers);
        assert_eq!(of(&[]), "none");
        let after = |follow_up| Callback::After(follow_up);
        assert_eq!(
            of(&[
                (2, Callback::Start),
                (2, after(FollowUp::Finish)),
                (1, after(FollowUp::End)),
                (0, after(FollowUp::Release)),
                (3, Callback::Start),
            ]),
            "start 2 (interval-two-pass), finish 2 (interval-two-pass), end 1 (plain-end), \
             release 0 (plain), start 3 (?)"
        );
        let many = [(0, Callback::Start); 26];
        assert!(of(&many[..24]).ends_with("start 0 (plain)"));
        assert!(of(&many).ends_with("start 0 (plain), and 2 more"));
    }
}
