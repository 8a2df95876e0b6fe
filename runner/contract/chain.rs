// SPDX-License-Identifier: GPL-2.0

//! The callbacks of one invalidation, in their order.
//!
//! A model of `__mmu_notifier_invalidate_range_start` and `__mmu_notifier_invalidate_range_end` in
//! mm/mmu_notifier.c, as a pure function of the notifiers that are registered and of the errors
//! that are injected into them.

use crate::model::{Arming, Context, FollowUp, Notifier, NotifierKind};

/// A callback of a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// `invalidate_range_start`, `invalidate` or `invalidate_start`.
    Start,
    /// A callback that is not a start.
    After(FollowUp),
}

/// One run of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Index of the notifier, in the order of registration.
    pub notifier: usize,
    /// The callback.
    pub callback: Callback,
}

impl Invocation {
    const fn start(notifier: usize) -> Self {
        Invocation {
            notifier,
            callback: Callback::Start,
        }
    }

    const fn after(notifier: usize, callback: FollowUp) -> Self {
        Invocation {
            notifier,
            callback: Callback::After(callback),
        }
    }
}

const fn fails(notifier: Notifier) -> bool {
    matches!(notifier.arming, Arming::Fail(_))
}

/// The callbacks of one invalidation of the watched addresses.
pub fn of_invalidation(notifiers: &[Notifier], context: Context) -> Vec<Invocation> {
    let blockable = context == Context::Blockable;
    let (mut invocations, is_refused) = of_interval_notifiers(notifiers, blockable);
    if !is_refused {
        invocations.extend(of_plain_notifiers(notifiers, blockable));
    }
    invocations
}

/// The callbacks made by `mn_itree_invalidate`, and whether one of them ends the invalidation.
fn of_interval_notifiers(notifiers: &[Notifier], blockable: bool) -> (Vec<Invocation>, bool) {
    let mut invocations = Vec::new();
    let mut second_passes = Vec::new();
    let mut is_refused = false;
    // The interval tree returns notifiers of the same range in the order of their insertion.
    for (index, notifier) in notifiers.iter().enumerate() {
        if !notifier.kind.is_interval() || notifier.is_elsewhere {
            continue;
        }
        invocations.push(Invocation::start(index));
        if fails(*notifier) {
            if !blockable {
                is_refused = true;
                break;
            }
        } else if notifier.kind == NotifierKind::IntervalTwoPass {
            second_passes.push(Invocation::after(index, FollowUp::Finish));
        }
    }
    invocations.extend(second_passes);
    (invocations, is_refused)
}

/// The callbacks made by `mn_hlist_invalidate_range_start` and, unless the invalidation is refused,
/// by `mn_hlist_invalidate_end`.
fn of_plain_notifiers(notifiers: &[Notifier], blockable: bool) -> Vec<Invocation> {
    // hlist_add_head_rcu(): the last that was registered is the first in the list.
    let plain: Vec<(usize, Notifier)> = notifiers
        .iter()
        .copied()
        .enumerate()
        .rev()
        .filter(|(_, notifier)| notifier.kind.has_start() && !notifier.kind.is_interval())
        .collect();
    let ends = || {
        let paired = plain
            .iter()
            .filter(|(_, notifier)| notifier.kind.is_paired());
        paired.map(|(index, _)| Invocation::after(*index, FollowUp::End))
    };
    let starts = plain.iter().map(|(index, _)| Invocation::start(*index));
    let mut invocations: Vec<Invocation> = starts.collect();
    let has_failed = plain.iter().any(|(_, notifier)| fails(*notifier));
    if has_failed {
        // Those that failed included: the kernel does not record which ones did.
        invocations.extend(ends());
    }
    if blockable || !has_failed {
        invocations.extend(ends());
    }
    invocations
}

/// Whether an invalidation of the watched addresses is refused: its caller gets `-EAGAIN`.
pub fn is_refused(notifiers: &[Notifier], context: Context) -> bool {
    context == Context::NonBlockable
        && notifiers.iter().any(|notifier| {
            fails(*notifier)
                && notifier.kind.has_start()
                && !(notifier.kind.is_interval() && notifier.is_elsewhere)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use NotifierKind::{Interval, IntervalTwoPass, Plain, PlainEnd};

    const SUCCEEDS: Arming = Arming::Unarmed;
    const FAILS: Arming = Arming::Fail(-11);

    /// The callbacks as `s2 e1`: the callback's first letter and the notifier's index.
    fn callbacks(notifiers: &[(NotifierKind, Arming)], context: Context) -> String {
        let notifiers: Vec<Notifier> = notifiers
            .iter()
            .map(|&(kind, arming)| Notifier {
                kind,
                arming,
                is_elsewhere: false,
            })
            .collect();
        let words = of_invalidation(&notifiers, context).into_iter().map(
            |Invocation { notifier, callback }| {
                let letter = match callback {
                    Callback::Start => 's',
                    Callback::After(FollowUp::End) => 'e',
                    Callback::After(FollowUp::Finish) => 'f',
                    Callback::After(_) => 'x',
                };
                format!("{letter}{notifier}")
            },
        );
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_registered_is_started_first() {
        let notifiers = [
            (Plain, SUCCEEDS),
            (PlainEnd, SUCCEEDS),
            (PlainEnd, SUCCEEDS),
        ];
        for context in [Context::Blockable, Context::NonBlockable] {
            assert_eq!(callbacks(&notifiers, context), "s2 s1 s0 e2 e1");
        }
    }

    #[test]
    fn after_a_failure_all_are_started_and_all_ends_are_called() {
        for notifiers in [
            [(Plain, FAILS), (PlainEnd, SUCCEEDS), (Plain, SUCCEEDS)],
            [(Plain, SUCCEEDS), (PlainEnd, SUCCEEDS), (Plain, FAILS)],
            [(Plain, SUCCEEDS), (PlainEnd, FAILS), (Plain, SUCCEEDS)],
        ] {
            assert_eq!(callbacks(&notifiers, Context::NonBlockable), "s2 s1 s0 e1");
            assert_eq!(callbacks(&notifiers, Context::Blockable), "s2 s1 s0 e1 e1");
        }
    }

    #[test]
    fn interval_notifiers_come_first_and_can_end_the_invalidation() {
        let notifiers = [
            (IntervalTwoPass, SUCCEEDS),
            (Plain, SUCCEEDS),
            (Interval, FAILS),
            (IntervalTwoPass, SUCCEEDS),
        ];
        assert_eq!(callbacks(&notifiers, Context::NonBlockable), "s0 s2 f0");
        assert_eq!(
            callbacks(&notifiers, Context::Blockable),
            "s0 s2 s3 f0 f3 s1"
        );
    }

    #[test]
    fn an_interval_notifier_of_other_addresses_is_not_called() {
        let notifier = |is_elsewhere| Notifier {
            kind: Interval,
            arming: FAILS,
            is_elsewhere,
        };
        assert!(of_invalidation(&[notifier(true)], Context::NonBlockable).is_empty());
        assert!(!is_refused(&[notifier(true)], Context::NonBlockable));
        assert!(is_refused(&[notifier(false)], Context::NonBlockable));
        assert!(!is_refused(&[notifier(false)], Context::Blockable));
    }
}
