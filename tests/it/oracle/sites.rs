// SPDX-License-Identifier: GPL-2.0

//! WARNs: their places, and the callbacks that they are about.

use super::*;

/// Each call has a WARN of another line of the same function.
#[test]
fn the_warn_about_an_end_is_not_due_without_an_end() {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let plan = one(Trigger::Unmap(Arming::Fail(EAGAIN)), 0)[0];
    let mut o = observation(&plan, 1000);
    o.expectation.calls = mn_inject::model::Count::Exactly(2);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    for _ in 0..2 {
        let call = call(plan.trigger, 1000, o.notifiers[0].notifier.arming);
        writer.call(&mut o, 0, call);
        let symbol = "mn_hlist_invalidate_range_start+0xed/0x1a0";
        let origin = Origin::WarnHeader { observation: 0 };
        writer.warn(origin, "mm/mmu_notifier.c:542", symbol, 1000, "victim (1)");
    }
    let (window, _) = writer.end(vec![o], warns, calls);
    let judgement = judge(&[window], None);
    assert_eq!(judgement.form_verdict, Verdict::Pass);
    assert_eq!(kinds(&judgement.results[0]), [FIRED; 2]);
    let Verdict::Fail { findings } = &judgement.results[0].verdict else {
        unreachable!();
    };
    assert!(
        findings
            .iter()
            .all(|f| f.seen.as_ref().unwrap().contains(":542"))
    );
}

/// The most frequent place is taken for the check's.
#[test]
fn a_single_warn_from_another_place_is_wrong() {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 3)];
    let mut windows = history(Style::of(Kernel::Mainline), &plans, &[]).windows;
    let mut records = windows[0].records.iter_mut();
    let first = records.find(|record| record.text.starts_with("WARNING"));
    let first = first.unwrap();
    first.text = first.text.replace(":534", ":999");
    let found = findings(&judge(&windows, None).results[0]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].text,
        "the place is mm/mmu_notifier.c:999, not mm/mmu_notifier.c:534"
    );
}

/// Without a failure in blockable context, the WARN about -EBUSY shows the place of the check.
#[test]
fn warns_about_legal_failures_do_not_show_the_place_of_the_check() {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let busy = one(Trigger::Mrelease(Arming::Fail(-16)), 1);
    let legal = one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 3);
    let (busy, _) = writer.window(&busy, 1000);
    let (mut legal, _) = writer.window(&legal, 1100);
    for at in (1..=3).rev() {
        let text = NOTIFIER_WARN.replace(":534", ":999");
        let text = text.replace(": a/1", ": mn-inject/70");
        insert(&mut legal, at, 4, RUNNER_TID, &text);
    }
    let judgement = judge(&[busy, legal], Some(Form::Mainline));
    assert_eq!(all_kinds(&judgement), [vec![], vec![FIRED; 3]]);
}

/// Without callers, the line before a WARN can be of another task.
#[test]
fn without_callers_a_warn_belongs_to_the_task_in_its_header() {
    let mut style = Style::of(Kernel::Mainline);
    style.callers = false;
    let mut windows = history(style, &suite()[..1], &[]).windows;
    let foreign = "gpu_mn+0x0/0x10 [gpu] callback failed with -11 in blockable context.";
    insert(&mut windows[0], 1, 6, 900, foreign);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
}

/// A notifier of another driver fails in the subject's thread: one WARN is about that, and no
/// second.
#[test]
fn a_warn_is_about_the_callback_in_the_info_line_before_it() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite()[..1], &[]).windows;
    let end = windows[0].records.len();
    let foreign = "gpu_mn+0x0/0x10 [gpu] callback failed with -11 in blockable context.";
    let warn = NOTIFIER_WARN.replace(": a/1", ": victim (1)/1000");
    insert(&mut windows[0], end, 6, 1000, foreign);
    insert(&mut windows[0], end + 1, 4, 1000, &warn);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[0].foreign.len(), 2);
    insert(&mut windows[0], end + 2, 4, 1000, &warn);
    assert_eq!(kinds(&judge(&windows, None).results[0]), [FIRED]);
}

/// One WARN of each task comes from another place than the WARN of the other task. Which of the two
/// is taken for the check's must not change from one judgement to the next.
#[test]
fn of_equally_frequent_places_the_first_is_the_checks() {
    let fails = Trigger::Unmap(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Mainline), fails, fails);
    let mut records = window.records.iter_mut();
    let last = records.rfind(|record| record.text.starts_with("WARNING"));
    let last = last.unwrap();
    last.text = last.text.replace(":534", ":999");
    for _ in 0..20 {
        let judgement = judge(std::slice::from_ref(&window), None);
        assert_eq!(all_kinds(&judgement), [vec![], vec![FindingKind::Altered]]);
    }
}
