// SPDX-License-Identifier: GPL-2.0

//! The state after an invalidation: pages, steps, and what is left of the notifiers.

use super::*;

#[test]
fn wrong_effects_are_found() {
    assert_eq!(with(|_| {}), Verdict::Pass);
    type Change = fn(&mut Observation);
    let table: [(FindingKind, Change); 15] = [
        (FindingKind::Pages, |o| o.pages.as_mut().unwrap().gone = 2),
        (FindingKind::Pages, |o| o.pages.as_mut().unwrap().rss = 1),
        (FindingKind::Pages, |o| {
            o.expectation.pages = Some(PagesFate::Kept)
        }),
        (FindingKind::Pages, |o| {
            o.expectation.pages = Some(PagesFate::Zeroed)
        }),
        (FindingKind::Removal, |o| o.remains.stuck = vec![0]),
        // A registration that was not yet one of the scenario's notifiers.
        (FindingKind::Removal, |o| o.remains.stuck = vec![1002]),
        (FindingKind::Removal, |o| o.remains.reads = Some(false)),
        (FindingKind::Removal, |o| o.remains.mm = Some((0, 2))),
        (FindingKind::Removal, |o| o.remains.mm = Some((1, 1))),
        (FindingKind::Removal, |o| o.remains.flushes = Some(1)),
        (FindingKind::Calls, |o| o.calls[0].cur_seq = 4),
        (FindingKind::Calls, |o| {
            o.expectation.event = NotifierEvent::Migrate;
            o.calls[0].event = NotifierEvent::Migrate;
        }),
        (FindingKind::Calls, |o| {
            o.expectation.event = NotifierEvent::Exclusive;
            o.calls[0].event = NotifierEvent::Exclusive;
            o.calls[0].owner = Some(true);
        }),
        (FindingKind::Outcome, |o| o.outcome = -11),
        (FindingKind::Step, |o| {
            o.steps.push(Step {
                kind: StepKind::PagesLeft,
                seen: Seen::Left(1),
            });
        }),
    ];
    for (index, (kind, change)) in table.into_iter().enumerate() {
        let verdict = with(change);
        assert!(found(&verdict).contains(&kind), "{index}: {verdict:?}");
    }
}

/// The kernel initialises the owner for the events of a device only.
#[test]
fn the_owner_of_any_other_event_is_not_judged() {
    let verdict = with(|o| o.calls[0].owner = Some(true));
    assert_eq!(verdict, with(|_| {}));
}

/// Pages that are kept have changed if their protection has.
#[test]
fn a_change_of_protection_must_reach_the_notifier_for_all_pages() {
    let short = |event| {
        with(|o| {
            o.expectation.event = event;
            o.expectation.pages = Some(PagesFate::Kept);
            o.pages = Some(Pages {
                kept: 3,
                rss: 3,
                ..Pages::default()
            });
            o.calls[0].event = event;
            o.calls[0].end = o.watched.1 - 4096;
        })
    };
    for event in [NotifierEvent::ProtectionVma, NotifierEvent::ProtectionPage] {
        assert_eq!(found(&short(event)), [FindingKind::Calls], "{event}");
    }
    assert_eq!(short(NotifierEvent::Clear), Verdict::Pass);
}

/// A device that still maps a page that is gone could write to the page's next user.
#[test]
fn a_change_must_reach_each_notifier_that_is_called_for_all_pages() {
    use NotifierKind::{Interval, Plain};
    let half = |o: &mut Observation| o.calls[0].end -= 0x1000;
    assert_eq!(found(&with(half)), [FindingKind::Calls]);
    let kept = |o: &mut Observation| {
        half(o);
        o.expectation.pages = Some(PagesFate::Kept);
        o.pages = Some(Pages {
            kept: 3,
            rss: 3,
            ..Pages::default()
        });
    };
    assert_eq!(with(kept), Verdict::Pass);
    // The pages can come in two parts, or with others.
    let setting = [(Interval, Arming::Unarmed)];
    let in_parts = |o: &mut Observation| {
        o.calls[0].start += 0x1000;
        o.calls[1].end -= 0x2000;
    };
    assert_eq!(with_setting(&setting, 2, in_parts), Verdict::Pass);
    let more = |o: &mut Observation| o.calls[0].end += 0x1000;
    assert_eq!(with(more), Verdict::Pass);
    // A call of another notifier does not count.
    let setting = [(Plain, Arming::Unarmed), (Interval, Arming::Unarmed)];
    for notifier in 0..2 {
        let verdict = with_setting(&setting, 1, |o| {
            let call = o.calls.iter_mut().find(|call| call.notifier == notifier);
            call.unwrap().start += 0x1000;
        });
        assert_eq!(found(&verdict), [FindingKind::Calls]);
        let Verdict::Fail { findings } = verdict else {
            unreachable!();
        };
        assert!(
            findings[0]
                .text
                .contains(&format!("notifier {notifier} was told")),
            "{findings:?}"
        );
    }
}

#[test]
fn findings_about_pages_steps_and_callbacks_have_both_sides() {
    let sides = |verdict| match verdict {
        Verdict::Fail { findings } => {
            let finding: &Finding = &findings[0];
            [&finding.due, &finding.seen].map(|line| line.clone().unwrap_or_default())
        }
        verdict => panic!("{verdict:?}"),
    };
    let pages = with(|o| {
        o.pages = Some(Pages {
            gone: 2,
            damaged: 1,
            ..Pages::default()
        });
    });
    assert_eq!(
        sides(pages),
        [
            "all 3 gone",
            "0 kept, 0 zeroed, 2 gone, 1 with something else in them; RSS 0 pages"
        ]
    );
    let step = with(|o| {
        o.steps.push(Step {
            kind: StepKind::PagesLeft,
            seen: Seen::Left(1),
        });
    });
    assert_eq!(sides(step), ["3", "1"]);
    let two = [(NotifierKind::Plain, Arming::Unarmed); 2];
    let order = with_setting(&two, 1, |o| {
        for call in &mut o.calls {
            call.notifier = 1 - call.notifier;
        }
    });
    assert_eq!(
        sides(order),
        [
            "each time: start 1 (plain), start 0 (plain)",
            "start 0 (plain), start 1 (plain)"
        ]
    );
}

#[test]
fn an_effect_that_was_not_recorded_gives_no_verdict() {
    type Change = fn(&mut Observation);
    let table: [Change; 3] = [
        |o| o.pages = None,
        |o| o.remains.reads = None,
        |o| o.remains.mm = None,
    ];
    for (index, change) in table.into_iter().enumerate() {
        let verdict = with(change);
        assert!(
            matches!(&verdict, Verdict::NoVerdict { reasons } if reasons.len() == 1),
            "{index}: {verdict:?}"
        );
        // If the process is gone or left behind, some of them cannot be recorded.
        for (end, is_needed) in [
            (End::Gone, [true, false, true]),
            (End::Left, [true, false, false]),
        ] {
            let verdict = with(|o| {
                o.expectation.end = end;
                change(o);
            });
            assert_eq!(
                verdict != Verdict::Pass,
                is_needed[index],
                "{end:?} {index}: {verdict:?}"
            );
        }
    }
}

/// Only a damaged recording has them.
#[test]
fn reversed_addresses_give_no_verdict() {
    let verdict = with(|o| o.watched = (o.watched.1, o.watched.0));
    assert!(matches!(verdict, Verdict::NoVerdict { .. }), "{verdict:?}");
}
