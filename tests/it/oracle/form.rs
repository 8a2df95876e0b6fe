// SPDX-License-Identifier: GPL-2.0

//! The form of the check: recognised, judged, and held against the scenarios.

use super::damage::drop_message;
use super::*;

fn run_suite(kernel: Kernel, demanded: Option<Form>) -> Judgement {
    judge(&history(Style::of(kernel), &suite(), &[]).windows, demanded)
}

#[test]
fn a_kernel_without_a_check_fails() {
    let judgement = run_suite(Kernel::NoCheck, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    let Verdict::Fail { findings } = &judgement.form_verdict else {
        panic!("{:?}", judgement.form_verdict);
    };
    assert!(findings[0].text.contains("the kernel has no check"));
    let Verdict::Fail { findings } = &judgement.results[0].verdict else {
        panic!("{:?}", judgement.results[0]);
    };
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
    assert!(findings[0].text.contains("neither a pr_warn nor a WARN"));
    for result in &judgement.results[1..] {
        assert_eq!(result.verdict, Verdict::Pass);
    }
}

#[test]
fn an_inverted_check_is_missing_and_surplus() {
    let judgement = run_suite(Kernel::Inverted, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    assert_eq!(
        all_kinds(&judgement),
        [
            vec![DID_NOT_FIRE; 2],
            vec![],
            vec![],
            vec![FIRED; 3],
            vec![FIRED; 20],
            vec![],
            vec![FIRED],
        ]
    );
}

#[test]
fn a_check_of_the_wrong_variable_warns_about_legal_failures() {
    for demanded in [None, Some(Form::Mainline)] {
        let judgement = run_suite(Kernel::WrongVariable, demanded);
        assert_eq!(judgement.form, Recognised::Mainline);
        assert_eq!(judgement.form_verdict, Verdict::Pass);
        assert_eq!(
            all_kinds(&judgement),
            [
                vec![],
                vec![],
                vec![],
                vec![FIRED; 3],
                vec![FIRED; 20],
                vec![],
                vec![],
            ]
        );
    }
}

#[test]
fn a_mixture_of_both_forms_fails() {
    let judgement = run_suite(Kernel::Both, None);
    assert_eq!(judgement.form, Recognised::Mixed);
    assert!(matches!(judgement.form_verdict, Verdict::Fail { .. }));
    assert_eq!(kinds(&judgement.results[0]), [FIRED; 2]);
}

#[test]
fn a_check_that_fires_only_once_fails() {
    let mut history = history(Style::of(Kernel::Mainline), &suite(), &[]);
    let last = history.origins[0]
        .iter()
        .rposition(|origin| matches!(origin, Origin::WarnHeader { .. }))
        .unwrap();
    drop_message(&mut history.windows[0], &mut history.origins[0], last);
    renumber(&mut history.windows[0]);
    let judgement = judge(&history.windows, None);
    assert_eq!(judgement.form, Recognised::Mainline);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE]);
}

#[test]
fn messages_that_both_forms_share_are_judged_without_the_form() {
    let windows = history(
        Style::of(Kernel::Seed),
        &[
            one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 3),
            one(Trigger::Unmap(Arming::Unarmed), 3),
            one(Trigger::Mrelease(Arming::Fail(-16)), 3),
        ],
        &[],
    )
    .windows;
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Unknown);
    assert_eq!(
        judgement.form_verdict,
        Verdict::Skip {
            reason: NOTHING_FAILED.into()
        }
    );
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[1].verdict, Verdict::Pass);
    assert!(no_verdict(&judgement.results[2]).contains("form of the check"));
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(judgement.results[2].verdict, Verdict::Pass);
}

#[test]
fn the_form_is_not_recognised_from_evidence_in_doubt() {
    let mut windows = history(Style::of(Kernel::NoCheck), &suite()[..1], &[]).windows;
    windows[0].lost = Some("overrun".into());
    let judgement = judge(&windows, None);
    assert!(matches!(judgement.form_verdict, Verdict::NoVerdict { .. }));
    assert!(no_verdict(&judgement.results[0]).contains("overrun"));
}

#[test]
fn a_complaint_without_its_info_line_shows_the_form() {
    for (kernel, form) in [
        (Kernel::Seed, Recognised::Seed),
        (Kernel::Mainline, Recognised::Mainline),
    ] {
        let mut windows = history(Style::of(kernel), &suite()[..1], &[]).windows;
        windows[0].records.retain(|record| record.level == 4);
        renumber(&mut windows[0]);
        let judgement = judge(&windows, None);
        assert_eq!(judgement.form, form);
        assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
    }
}

/// The context is taken from the module's log.
#[test]
fn the_form_does_not_depend_on_the_context_in_the_info_line() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[..1], &[]).windows;
    for record in &mut windows[0].records {
        record.text = record.text.replace("in blockable", "in non-blockable");
    }
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Seed);
    assert_eq!(judgement.form_verdict, Verdict::Pass);
    assert_eq!(
        kinds(&judgement.results[0]),
        [FindingKind::Altered, FindingKind::Altered]
    );
}

#[test]
fn a_mixture_is_held_to_its_more_frequent_form() {
    let mut windows = history(Style::of(Kernel::Both), &suite()[..1], &[]).windows;
    // As many of one as of the other: the WARNs are surplus.
    for finding in findings(&judge(&windows, None).results[0]) {
        assert!(finding.seen.unwrap().contains("WARNING"));
    }
    // One pr_warn less: the remaining one is surplus.
    let is_pr_warn = |record: &Record| record.text.ends_with("not allowed");
    let at = windows[0].records.iter().position(is_pr_warn).unwrap();
    windows[0].records.remove(at);
    renumber(&mut windows[0]);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Mixed);
    let found = findings(&judgement.results[0]);
    assert_eq!(found.len(), 1);
    assert!(found[0].seen.as_ref().unwrap().contains("not allowed"));
}

/// A check that is left out in blockable context.
#[test]
fn a_check_in_non_blockable_context_alone_shows_its_form() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite(), &[]).windows;
    let window = &mut windows[0];
    window
        .records
        .retain(|record| !record.text.starts_with("WARNING: "));
    adjust(window, true, -2);
    renumber(window);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    let mut found = all_kinds(&judgement);
    assert_eq!(found.remove(0), [DID_NOT_FIRE; 2]);
    assert!(found.concat().is_empty(), "{found:?}");

    // The same with pr_warns, and with one WARN among them.
    let mut windows = history(Style::of(Kernel::Inverted), &suite(), &[]).windows;
    let end = windows[5].records.len();
    let text = NOTIFIER_WARN.replace(": a/1", ": mn-inject/70");
    insert(&mut windows[5], end, 4, RUNNER_TID, &text);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    assert_eq!(all_kinds(&judgement)[6], [FIRED; 2]);
}

#[test]
fn the_form_has_no_verdict_if_a_failure_was_planned_or_a_window_left_out() {
    let form_of = |windows: &[Window]| judge(windows, None).form_verdict;
    // No failure was planned, but a lost record could be of one.
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    assert!(matches!(form_of(&windows), Verdict::Skip { .. }));
    windows[0].lost = Some("overrun".into());
    assert!(matches!(form_of(&windows), Verdict::NoVerdict { .. }));

    // A failure was planned, and the notifier was not called.
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 0)];
    let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
    assert!(matches!(form_of(&windows), Verdict::Skip { .. }));
    windows[0].observations[0].expectation.calls = Count::Exactly(1);
    let verdict = form_of(&windows);
    assert!(
        matches!(&verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("1 scenarios")),
        "{verdict:?}"
    );
}
