// SPDX-License-Identifier: GPL-2.0

//! The callbacks of an invalidation, and the messages about them.

use super::*;

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
    // Two notifiers of one invalidation get the same number.
    let two = [(Interval, Arming::Unarmed); 2];
    assert_eq!(with_setting(&two, 2, |_| {}), Verdict::Pass);
}

/// Ends on other addresses, and those of other threads' invalidations, do not count.
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
        // A call on other addresses, which does not count.
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
    // Callbacks that follow no start are not held against the starts.
    let others: [fn(&mut Later); 5] = [
        |later| later.op = FollowUp::Release,
        |later| later.op = FollowUp::ClearFlushYoung,
        |later| later.op = FollowUp::ClearYoung,
        |later| later.op = FollowUp::TestYoung,
        |later| later.op = FollowUp::SecondaryTlbs,
    ];
    for other in others {
        assert_eq!(with_end(other), Verdict::Pass);
    }
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

/// The check of this kernel leaves out notifiers with an end, and its WARN about the end remains.
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

/// No other window shows the place of a WARN. Without the demand the form would be a guess.
#[test]
fn a_window_by_itself_passes_if_the_form_is_demanded() {
    use NotifierKind::{Interval, IntervalTwoPass, Plain, PlainEnd};
    let (agrees, refuses, fails) = (Arming::Unarmed, Arming::Fail(EAGAIN), Arming::Fail(-16));
    let plain = [Plain, PlainEnd].map(|kind| [agrees, refuses, fails].map(|arming| (kind, arming)));
    let interval =
        [Interval, IntervalTwoPass].map(|kind| [agrees, refuses].map(|arming| (kind, arming)));
    let one = [plain.concat(), interval.concat()].concat();
    let pairs = one
        .iter()
        .flat_map(|&a| one.iter().map(move |&b| vec![a, b]));
    let mut settings: Vec<_> = one.iter().map(|&a| vec![a]).chain(pairs).collect();
    // Which WARN is about the interval notifier can then not be told from this window.
    settings.retain(|notifiers| {
        let failing = notifiers.iter().filter(|(_, arming)| *arming != agrees);
        let kinds: Vec<bool> = failing.map(|(kind, _)| kind.is_interval()).collect();
        kinds.iter().all(|is_interval| *is_interval == kinds[0])
    });
    let mut wrong = Vec::new();
    for (kernel, form) in [
        (Kernel::Seed, Form::Seed),
        (Kernel::Mainline, Form::Mainline),
    ] {
        for context in [Context::Blockable, Context::NonBlockable] {
            for notifiers in &settings {
                let setting = Setting {
                    context,
                    notifiers: notifiers.clone(),
                    invalidations: 1,
                };
                let mut writer = Writer::new(Style::of(kernel), &[]);
                let alone = window(&mut writer, &setting, 103);
                let verdict = verdict_of(&[alone], Some(form));
                if verdict != Verdict::Pass {
                    wrong.push(format!("{form:?} {setting:?}: {verdict:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
