// SPDX-License-Identifier: GPL-2.0

//! The contract with several notifiers of several kinds: a correct kernel passes, and one that
//! leaves out, doubles or moves a message or a callback does not.

use crate::history::*;
use mn_inject::model::{
    Arming, Context, Count, End, Finding, FindingKind, FollowUp, Form, Later, NotifierEvent,
    NotifierKind, Observation, Pages, PagesFate, Recognised, Seen, Step, StepKind, Verdict, Window,
};
use mn_inject::oracle::judge;
use proptest::prelude::*;

/// What is attached, and in which context it is called.
#[derive(Clone, Debug)]
struct Setting {
    context: Context,
    notifiers: Vec<(NotifierKind, Arming)>,
    invalidations: u64,
}

fn setting() -> impl Strategy<Value = Setting> {
    let context = prop_oneof![Just(Context::Blockable), Just(Context::NonBlockable)];
    let kind = prop::sample::select(NotifierKind::ALL.to_vec());
    let notifier = (kind, prop::sample::select(vec![0, 0, -11, -16])).prop_map(|(kind, errno)| {
        let arming = match errno {
            0 => Arming::Unarmed,
            // An interval notifier knows no other error.
            _ if kind.is_interval() => Arming::Fail(EAGAIN),
            errno => Arming::Fail(errno),
        };
        (kind, arming)
    });
    (context, prop::collection::vec(notifier, 1..5), 1u64..3).prop_map(
        |(context, notifiers, invalidations)| Setting {
            context,
            notifiers,
            invalidations,
        },
    )
}

/// A run in which the form and the places of the WARNs are known, and then the setting's window.
fn run_of(kernel: Kernel, setting: &Setting) -> Vec<Window> {
    let mut writer = Writer::new(Style::of(kernel), &[]);
    let fails = |kind| (kind, Arming::Fail(EAGAIN));
    let mut windows = Vec::new();
    for (pid, notifiers) in [
        (100, vec![fails(NotifierKind::Plain)]),
        (101, vec![fails(NotifierKind::PlainEnd)]),
        (102, vec![fails(NotifierKind::Interval)]),
    ] {
        let learned = Setting {
            context: Context::Blockable,
            notifiers,
            invalidations: 1,
        };
        windows.push(window(&mut writer, &learned, pid));
    }
    windows.push(window(&mut writer, setting, 103));
    windows
}

fn window(writer: &mut Writer<'_>, setting: &Setting, pid: i32) -> Window {
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    let deed = match setting.context {
        Context::Blockable => Deed::Unmap(Arming::Unarmed),
        Context::NonBlockable => Deed::Mrelease(Arming::Unarmed),
    };
    let plan = Plan {
        deed,
        calls: setting.invalidations,
        elsewhere: 0,
    };
    let mut o = observation(&plan, pid);
    o.notifiers = setting
        .notifiers
        .iter()
        .map(|&(kind, arming)| subscriber(kind, arming))
        .collect();
    o.expectation.calls = Count::Exactly(setting.invalidations);
    for number in 0..setting.invalidations {
        writer.invalidation(&mut o, 0, 2 * number + 3);
    }
    let (window, _) = writer.end(vec![o], warns, calls);
    window
}

fn verdict_of(windows: &[Window], demanded: Option<Form>) -> Verdict {
    judge(windows, demanded).results.pop().unwrap().verdict
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![Just(Kernel::Seed), Just(Kernel::Mainline)]
}

/// The kinds of the findings.
fn found(verdict: &Verdict) -> Vec<FindingKind> {
    match verdict {
        Verdict::Fail { findings } => findings.iter().map(|finding| finding.kind).collect(),
        _ => Vec::new(),
    }
}

proptest! {
    #[test]
    fn a_correct_kernel_passes(kernel in kernels(), setting in setting()) {
        let windows = run_of(kernel, &setting);
        let judgement = judge(&windows, None);
        prop_assert_eq!(&judgement.form_verdict, &Verdict::Pass);
        let form = if kernel == Kernel::Seed { Recognised::Seed } else { Recognised::Mainline };
        prop_assert_eq!(judgement.form, form);
        for result in judgement.results {
            prop_assert_eq!(result.verdict, Verdict::Pass, "{}", result.name);
        }
    }

    #[test]
    fn a_wrong_form_is_found(setting in setting()) {
        let windows = run_of(Kernel::Seed, &setting);
        let fails = setting.notifiers.iter().any(|(kind, arming)| {
            matches!(arming, Arming::Fail(errno) if !kind.is_interval()
                && (setting.context == Context::Blockable || *errno != EAGAIN))
        });
        let reaches_plain = setting.context == Context::Blockable
            || !setting.notifiers.iter().any(|(kind, arming)| {
                kind.is_interval() && matches!(arming, Arming::Fail(_))
            });
        let verdict = verdict_of(&windows, Some(Form::Mainline));
        prop_assert_eq!(verdict == Verdict::Pass, !(fails && reaches_plain), "{:?}", verdict);
    }

    #[test]
    fn a_callback_too_few_or_too_many_or_in_another_place_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
        how in 0..3,
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let o = &mut window.observations[0];
        prop_assume!(!o.later.is_empty());
        let at = pick.index(o.later.len());
        match how {
            0 => {
                let missing = o.later.remove(at);
                o.notifiers[missing.notifier].counters.ends -= 1;
                window.total_entries.1 -= 1;
                // The numbers have no gap.
                close_gaps(o, window.total_entries.0);
            }
            1 => {
                let mut more = o.later[at].clone();
                more.seq = window.total_entries.1;
                o.notifiers[more.notifier].counters.ends += 1;
                o.later.push(more);
                window.total_entries.1 += 1;
            }
            _ => {
                // To before the first start.
                let first = o.calls[0].seq;
                for seq in o.calls.iter_mut().map(|call| &mut call.seq) {
                    *seq += 1;
                }
                let moved = o.later[at].seq;
                for later in &mut o.later {
                    if later.seq < moved {
                        later.seq += 1;
                    }
                }
                o.later[at].seq = first;
                o.later.sort_by_key(|later| later.seq);
                for call in o.calls.iter_mut().filter(|call| call.seq > moved) {
                    call.seq -= 1;
                }
                // Moved from behind the last, none is twice.
                prop_assume!(is_numbered(o));
            }
        }
        let verdict = verdict_of(&windows, None);
        prop_assert!(found(&verdict).contains(&FindingKind::Calls), "{:?}", verdict);
    }

    #[test]
    fn a_notifier_that_is_not_called_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let o = &mut window.observations[0];
        let quiet: Vec<usize> = (0..o.calls.len()).filter(|&at| o.calls[at].returned == 0).collect();
        prop_assume!(!quiet.is_empty());
        let call = o.calls.remove(quiet[pick.index(quiet.len())]);
        o.notifiers[call.notifier].counters.calls -= 1;
        window.total_entries.1 -= 1;
        close_gaps(o, window.total_entries.0);
        let verdict = verdict_of(&windows, None);
        prop_assert!(found(&verdict).contains(&FindingKind::Calls), "{:?}", verdict);
    }

    #[test]
    fn a_message_too_few_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let ours: Vec<usize> = (0..window.records.len())
            .filter(|&at| {
                let text = &window.records[at].text;
                text.starts_with("mmu_notifier_inject") || text.starts_with("WARNING: ")
            })
            .collect();
        prop_assume!(!ours.is_empty());
        let record = window.records.remove(ours[pick.index(ours.len())]);
        if record.text.starts_with("WARNING: ")
            && let Some((_, after)) = &mut window.warn_count
        {
            *after -= 1;
        }
        let first = window.records.first().map_or(0, |record| record.seq);
        for (seq, record) in (first..).zip(&mut window.records) {
            record.seq = seq;
        }
        let verdict = verdict_of(&windows, None);
        prop_assert!(matches!(verdict, Verdict::Fail { .. }), "{:?}", verdict);
    }
}

/// Gives the entries the numbers from `first` in the order that they have.
fn close_gaps(o: &mut Observation, first: u64) {
    let mut all: Vec<&mut u64> = o
        .calls
        .iter_mut()
        .map(|call| &mut call.seq)
        .chain(o.later.iter_mut().map(|later| &mut later.seq))
        .collect();
    all.sort();
    for (number, seq) in (first..).zip(all) {
        *seq = number;
    }
}

fn is_numbered(o: &Observation) -> bool {
    let mut all: Vec<u64> = o
        .calls
        .iter()
        .map(|call| call.seq)
        .chain(o.later.iter().map(|later| later.seq))
        .collect();
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    all.len() == before
}

/// An interval notifier that agrees, with something done to the observation.
fn with(change: impl FnOnce(&mut Observation)) -> Verdict {
    with_setting(&[(NotifierKind::Interval, Arming::Unarmed)], 1, change)
}

/// The same with these notifiers and so many invalidations.
fn with_setting(
    notifiers: &[(NotifierKind, Arming)],
    invalidations: u64,
    change: impl FnOnce(&mut Observation),
) -> Verdict {
    let setting = Setting {
        context: Context::NonBlockable,
        notifiers: notifiers.to_vec(),
        invalidations,
    };
    let mut windows = run_of(Kernel::Mainline, &setting);
    let o = &mut windows.last_mut().unwrap().observations[0];
    o.expectation.pages = Some(PagesFate::Gone);
    o.pages = Some(Pages {
        gone: 3,
        ..Pages::default()
    });
    change(o);
    verdict_of(&windows, None)
}

#[test]
fn what_is_left_behind_is_found() {
    assert_eq!(with(|_| {}), Verdict::Pass);
    type Change = fn(&mut Observation);
    let table: [(FindingKind, Change); 12] = [
        (FindingKind::Pages, |o| o.pages.as_mut().unwrap().gone = 2),
        (FindingKind::Pages, |o| o.pages.as_mut().unwrap().rss = 1),
        (FindingKind::Pages, |o| {
            o.expectation.pages = Some(PagesFate::Kept)
        }),
        (FindingKind::Pages, |o| {
            o.expectation.pages = Some(PagesFate::Zeroed)
        }),
        (FindingKind::Removal, |o| o.remains.stuck = vec![0]),
        // One that has not come as far as being the scenario's.
        (FindingKind::Removal, |o| o.remains.stuck = vec![1002]),
        (FindingKind::Removal, |o| o.remains.reads = Some(false)),
        (FindingKind::Removal, |o| o.remains.mm = Some((0, 2))),
        (FindingKind::Removal, |o| o.remains.mm = Some((1, 1))),
        (FindingKind::Calls, |o| o.calls[0].cur_seq = 4),
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

/// Pages that are kept have changed where they are protected.
#[test]
fn whoever_is_told_of_a_protection_is_told_of_all_of_it() {
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

/// A notifier that keeps a mapping of a page that is gone lets its device write to somebody else's.
#[test]
fn whoever_is_told_is_told_of_all_pages_that_have_changed() {
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
    // In two parts is as good, and more than all.
    let setting = [(Interval, Arming::Unarmed)];
    let in_parts = |o: &mut Observation| {
        o.calls[0].start += 0x1000;
        o.calls[1].end -= 0x2000;
    };
    assert_eq!(with_setting(&setting, 2, in_parts), Verdict::Pass);
    let more = |o: &mut Observation| o.calls[0].end += 0x1000;
    assert_eq!(with(more), Verdict::Pass);
    // What another notifier is told is no help.
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
fn what_is_wrong_with_the_pages_and_the_steps_is_told() {
    let told = |verdict| match verdict {
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
        told(pages),
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
    assert_eq!(told(step), ["3", "1"]);
    let two = [(NotifierKind::Plain, Arming::Unarmed); 2];
    let order = with_setting(&two, 1, |o| {
        for call in &mut o.calls {
            call.notifier = 1 - call.notifier;
        }
    });
    assert_eq!(
        told(order),
        [
            "each time: start 1 (plain), start 0 (plain)",
            "start 0 (plain), start 1 (plain)"
        ]
    );
}

/// A read side compares it with the one that it began with.
#[test]
fn the_sequence_number_grows_with_each_invalidation() {
    use NotifierKind::Interval;
    let setting = [(Interval, Arming::Unarmed)];
    let sequence = |numbers: [u64; 2]| {
        with_setting(&setting, 2, |o| {
            for (call, number) in o.calls.iter_mut().zip(numbers) {
                call.cur_seq = number;
            }
        })
    };
    assert_eq!(sequence([3, 5]), Verdict::Pass);
    for wrong in [[3, 3], [5, 3], [3, 4]] {
        let Verdict::Fail { findings } = sequence(wrong) else {
            panic!("{wrong:?} passes");
        };
        assert_eq!(findings.len(), 1, "{wrong:?}: {findings:?}");
        assert_eq!(findings[0].kind, FindingKind::Calls);
        assert!(findings[0].call_seq.is_some());
    }
    // Two notifiers of one invalidation are given the same.
    let two = [(Interval, Arming::Unarmed); 2];
    assert_eq!(with_setting(&two, 2, |_| {}), Verdict::Pass);
}

/// Ends elsewhere in the process, and those of somebody else's invalidations, are no disorder.
#[test]
fn only_the_callbacks_of_the_operation_are_counted() {
    use NotifierKind::PlainEnd;
    let with_end = |change: fn(&mut Later)| {
        let setting = Setting {
            context: Context::NonBlockable,
            notifiers: vec![(PlainEnd, Arming::Unarmed)],
            invalidations: 1,
        };
        let mut windows = run_of(Kernel::Mainline, &setting);
        let window = windows.last_mut().unwrap();
        let o = &mut window.observations[0];
        let mut later = o.later[0].clone();
        later.seq = window.total_entries.1;
        window.total_entries.1 += 1;
        change(&mut later);
        o.later.push(later);
        // A call elsewhere, which is nobody's business.
        let mut call = o.calls[0].clone();
        (call.start, call.end, call.tid) = (0x9000, 0xa000, 77);
        call.seq = window.total_entries.1;
        window.total_entries.1 += 1;
        o.calls.push(call);
        recount(o);
        verdict_of(&windows, None)
    };
    assert_eq!(found(&with_end(|_| {})), [FindingKind::Calls]);
    let elsewhere = |later: &mut Later| (later.start, later.end) = (0x9000, 0xa000);
    assert_eq!(with_end(elsewhere), Verdict::Pass);
    assert_eq!(with_end(|later| later.tid = 78), Verdict::Pass);
    assert_eq!(
        with_end(|later| later.op = FollowUp::Release),
        Verdict::Pass
    );
}

#[test]
fn a_notifier_that_is_left_out_is_one_finding() {
    let setting = [(NotifierKind::Plain, Arming::Unarmed); 2];
    let mut windows = run_of(
        Kernel::Mainline,
        &Setting {
            context: Context::NonBlockable,
            notifiers: setting.to_vec(),
            invalidations: 1,
        },
    );
    let window = windows.last_mut().unwrap();
    let o = &mut window.observations[0];
    o.expectation.pages = Some(PagesFate::Gone);
    o.pages = Some(Pages {
        gone: 3,
        ..Pages::default()
    });
    o.calls.pop();
    recount(o);
    window.total_entries.1 -= 1;
    let verdict = verdict_of(&windows, None);
    assert_eq!(found(&verdict), [FindingKind::Calls]);
}

/// A kernel whose check leaves out whoever has an end: its WARN about the end is none of the check.
#[test]
fn the_warn_about_an_end_is_not_taken_for_the_checks() {
    let setting = Setting {
        context: Context::Blockable,
        notifiers: vec![(NotifierKind::PlainEnd, Arming::Fail(EAGAIN))],
        invalidations: 2,
    };
    let mut windows = run_of(Kernel::Mainline, &setting);
    for at in [1, 3] {
        let window = &mut windows[at];
        let before = window.records.len();
        window
            .records
            .retain(|record| !record.text.starts_with("WARNING: mm/mmu_notifier.c:534"));
        let removed = before - window.records.len();
        adjust(window, true, -(removed as i64));
        renumber(window);
    }
    let kinds: Vec<_> = judge(&windows, None)
        .results
        .iter()
        .map(|result| found(&result.verdict))
        .collect();
    const MISSING: FindingKind = FindingKind::DidNotFire;
    assert_eq!(kinds, [vec![], vec![MISSING], vec![], vec![MISSING; 2]]);
}

/// What nobody looked at is neither right nor wrong.
#[test]
fn what_nobody_looked_at_is_no_verdict() {
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
        // Where the process is gone or left behind, nobody can look.
        for (end, looks) in [
            (End::Gone, [true, false, true]),
            (End::Left, [true, false, false]),
        ] {
            let verdict = with(|o| {
                o.expectation.end = end;
                change(o);
            });
            assert_eq!(
                verdict != Verdict::Pass,
                looks[index],
                "{end:?} {index}: {verdict:?}"
            );
        }
    }
}
