// SPDX-License-Identifier: GPL-2.0

//! The texts of findings, by which a person finds the difference in the logs.

use crate::history::*;
use mn_inject::model::{
    Arming, Finding, FindingKind, Form, NotifierEvent, ReaperMessage, ScenarioResult, Window,
};
use mn_inject::oracle::judge;

const INFO: &str = "<6>[T1000] mmu_notifier_inject_invalidate_range_start+0x0/... \
                    [mmu_notifier_inject] callback failed with -11 in blockable context.";
const PR_WARN: &str = "<4>[T1000] mmu_notifier_inject_invalidate_range_start+0x0/... \
                       [mmu_notifier_inject] callback failure not allowed";

/// munmap fails twice: calls 1 and 2, with records 500 to 503.
fn unmapped() -> Window {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 2)];
    history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0)
}

fn judged(window: Window) -> ScenarioResult {
    judge(&[window], Some(Form::Seed)).results.remove(0)
}

fn text(window: &Window, at: usize) -> String {
    let record = &window.records[at];
    let caller = record.caller.as_ref().unwrap();
    format!("<{}>[{caller}] {}", record.level, record.text)
}

fn finding(kind: FindingKind, text: &str) -> Finding {
    Finding::new(kind, text.to_owned())
}

#[test]
fn a_missing_line_is_reported_with_its_call() {
    let mut window = unmapped();
    window.records.remove(3);
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            due: Some(PR_WARN.to_owned()),
            call_seq: Some(2),
            ..finding(FindingKind::DidNotFire, "the pr_warn is missing")
        }]
    );
    let mut window = unmapped();
    window.records.remove(0);
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            due: Some(INFO.to_owned()),
            call_seq: Some(1),
            ..finding(FindingKind::DidNotFire, "the info line is missing")
        }]
    );
}

#[test]
fn a_surplus_line_is_reported_with_its_number() {
    let mut window = unmapped();
    let line = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, 4, 4, 1000, &line);
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            seen: Some(format!("<4>[T1000] {line}")),
            kmsg_seq: Some(504),
            ..finding(FindingKind::FiredWhenItShouldNot, "no pr_warn was due")
        }]
    );
}

#[test]
fn a_wrong_line_is_reported_with_both_sides() {
    let mut window = unmapped();
    window.records[3].level = 3;
    let seen = text(&window, 3);
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            due: Some(PR_WARN.to_owned()),
            seen: Some(seen),
            kmsg_seq: Some(503),
            call_seq: Some(2),
            ..finding(FindingKind::Altered, "the level is 3, not 4")
        }]
    );
}

#[test]
fn a_line_about_another_callback_is_reported_with_both_sides() {
    let mut window = unmapped();
    window.records[3].text = window.records[3].text.replace("_inject]", "]");
    let seen = text(&window, 3);
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            due: Some(PR_WARN.to_owned()),
            seen: Some(seen),
            kmsg_seq: Some(503),
            call_seq: Some(2),
            ..finding(FindingKind::Altered, "the symbol or the module is another")
        }]
    );
}

#[test]
fn a_symbol_with_an_offset_is_wrong() {
    let mut window = unmapped();
    window.records[0].text = window.records[0].text.replace("+0x0/", "+0x4/");
    let findings = findings(&judged(window));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, FindingKind::Altered);
    assert_eq!(findings[0].text, "the symbol is not printed as at +0x0");
}

#[test]
fn a_line_in_another_place_is_reported_once_with_both_sides() {
    let mut window = unmapped();
    // Info, info, pr_warn, pr_warn.
    window.records.swap(1, 2);
    renumber(&mut window);
    let findings = findings(&judged(window));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].kind, FindingKind::OutOfOrder);
    assert!(findings[0].due.is_some() && findings[0].seen.is_some());
    assert!(findings[0].kmsg_seq.is_some() && findings[0].call_seq.is_some());
}

#[test]
fn a_call_with_another_event_is_reported_with_its_number() {
    let mut window = unmapped();
    window.observations[0].calls[2].event = NotifierEvent::Clear;
    assert_eq!(
        findings(&judged(window)),
        [Finding {
            call_seq: Some(2),
            ..finding(
                FindingKind::Calls,
                "the call is CLEAR in blockable context, not UNMAP in blockable context"
            )
        }]
    );
}

/// The lines that do not depend on the check keep their own texts.
#[test]
fn a_missing_check_has_a_text_of_its_own() {
    let plans = [
        one(Trigger::Unmap(Arming::Fail(EAGAIN)), 1),
        one(Trigger::Oom(Arming::Unarmed), 1),
    ];
    let mut windows = history(Style::of(Kernel::NoCheck), &plans, &[]).windows;
    windows[1].records.clear();
    let results = judge(&windows, None).results;
    let texts = |result| -> Vec<String> {
        let findings = findings(result).into_iter();
        findings.map(|finding| finding.text).collect()
    };
    assert_eq!(
        texts(&results[0]),
        ["the call failed in blockable context, and neither a pr_warn nor a WARN came"]
    );
    assert_eq!(
        texts(&results[1]),
        ["the OOM reaper's closing line is missing"]
    );
}

#[test]
fn a_finding_in_several_scenarios_is_marked() {
    let refused = one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 1);
    let plans = [[refused.clone(), refused].concat()];
    let whole = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);

    let mut window = whole.clone();
    window.records.pop();
    for result in judge(&[window], Some(Form::Seed)).results {
        assert_eq!(
            findings(&result)[0].text,
            "the info line is missing here, or in another scenario where the same one is due"
        );
    }
    let mut window = whole;
    let line = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, 1, 4, RUNNER_TID, &line);
    for result in judge(&[window], Some(Form::Seed)).results {
        assert_eq!(
            findings(&result)[0].text,
            "no pr_warn was due; it cannot be told in which of several scenarios"
        );
    }
}

/// munmap fails so many times, and the info lines are missing, or altered, or pr_warns are surplus.
fn numerous(times: u64) -> [Window; 3] {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), times)];
    let whole = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    let (mut missing, mut altered) = (whole.clone(), whole);
    let is_info = |text: &str| text.contains("failed with");
    missing.records.retain(|record| !is_info(&record.text));
    renumber(&mut missing);
    for record in &mut altered.records {
        if is_info(&record.text) {
            record.level = 5;
        }
    }
    let mut surplus = unmapped();
    for _ in 0..times {
        let line = format!("{SYMBOL} callback failure not allowed");
        insert(&mut surplus, 4, 4, 1000, &line);
    }
    [missing, altered, surplus]
}

#[test]
fn a_hundred_findings_of_a_kind_are_kept_and_the_others_counted() {
    const KINDS: [FindingKind; 3] = [
        FindingKind::DidNotFire,
        FindingKind::Altered,
        FindingKind::FiredWhenItShouldNot,
    ];
    for (window, kind) in numerous(100).into_iter().zip(KINDS) {
        let findings = findings(&judged(window));
        assert_eq!(findings.len(), 100, "{kind:?}");
        assert!(!findings.contains(&finding(kind, "0 more of this kind")));
    }
    for (window, kind) in numerous(150).into_iter().zip(KINDS) {
        let findings = findings(&judged(window));
        assert_eq!(findings.len(), 101, "{kind:?}");
        assert_eq!(findings[100], finding(kind, "50 more of this kind"));
    }
    // The findings of each kind have a limit of their own.
    let [mut missing, ..] = numerous(150);
    let line = format!("{SYMBOL} callback failure not allowed");
    let end = missing.records.len();
    insert(&mut missing, end, 4, 1000, &line);
    let kinds = kinds(&judged(missing));
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(KINDS.map(count), [101, 0, 1]);
}

#[test]
fn a_closing_line_with_another_comm_is_reported() {
    let plans = [one(Trigger::Oom(Arming::Unarmed), 1)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    assert_eq!(
        window.observations[0].expectation.reaper,
        Some(ReaperMessage::Reaped)
    );
    window.records[0].text = window.records[0].text.replace("victim (1)", "other");
    let findings = findings(&judged(window));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, FindingKind::Altered);
    assert_eq!(findings[0].text, "the comm is other, not victim (1)");
}
