// SPDX-License-Identifier: GPL-2.0

//! Wrong logs of the module, and kernels that are wrong in the same lines: the former give no
//! verdict, and the latter fail.

use mn_inject::model::{Arming, Context, Form, NotifierKind, Verdict, Window};
use mn_inject::oracle::{Judgement, judge};

use crate::history::{EAGAIN, Kernel, Plan, Style, Trigger, history, one};

const EBUSY: i32 = -16;

/// A run on a correct kernel of the seed form with a correct module.
fn run(plans: &[Vec<Plan>]) -> Vec<Window> {
    run_on(Kernel::Seed, plans)
}

fn run_on(kernel: Kernel, plans: &[Vec<Plan>]) -> Vec<Window> {
    history(Style::of(kernel), plans, &[]).windows
}

fn unmap(errno: i32) -> Vec<Plan> {
    one(Trigger::Unmap(Arming::Fail(errno)), 2)
}

fn mrelease(errno: i32) -> Vec<Plan> {
    one(Trigger::Mrelease(Arming::Fail(errno)), 1)
}

/// Replaces text in the records.
fn reworded(windows: &mut [Window], from: &str, to: &str) {
    let mut is_changed = false;
    for record in windows.iter_mut().flat_map(|window| &mut window.records) {
        is_changed |= record.text.contains(from);
        record.text = record.text.replace(from, to);
    }
    assert!(is_changed, "{from:?} is in no line");
}

fn without_lines(windows: &mut [Window], part: &str) {
    for window in windows {
        let first = window.records.first().map_or(0, |record| record.seq);
        window.records.retain(|record| !record.text.contains(part));
        for (seq, record) in (first..).zip(&mut window.records) {
            record.seq = seq;
        }
    }
}

#[track_caller]
fn is_in_doubt(windows: &[Window], words: &str) {
    let judgement = judge(windows, None);
    assert!(
        judgement.doubts.iter().any(|doubt| doubt.contains(words)),
        "{:?}",
        judgement.doubts
    );
    let verdicts = judgement.results.iter().map(|result| &result.verdict);
    for verdict in verdicts.chain([&judgement.form_verdict]) {
        assert!(matches!(verdict, Verdict::NoVerdict { .. }), "{verdict:?}");
    }
}

#[track_caller]
fn is_the_kernels_fault(windows: &[Window]) -> Judgement {
    let judgement = judge(windows, None);
    assert_eq!(judgement.doubts, [] as [String; 0]);
    let failed = |verdict: &Verdict| matches!(verdict, Verdict::Fail { .. });
    let mut results = judgement.results.iter();
    assert!(
        results.any(|result| failed(&result.verdict)),
        "{judgement:?}"
    );
    judgement
}

#[test]
fn a_correct_module_is_not_in_doubt() {
    let judgement = judge(&run(&[unmap(EBUSY), mrelease(EAGAIN)]), None);
    assert_eq!(judgement.doubts, [] as [String; 0]);
    let verdicts = judgement.results.iter().map(|result| &result.verdict);
    assert!(verdicts.into_iter().all(|v| *v == Verdict::Pass));
}

#[test]
fn a_log_with_the_other_context_is_in_doubt() {
    for trigger in [unmap(EAGAIN), mrelease(EAGAIN)] {
        let mut windows = run(&[trigger, unmap(EBUSY)]);
        for call in &mut windows[0].observations[0].calls {
            call.context = match call.context {
                Context::Blockable => Context::NonBlockable,
                Context::NonBlockable => Context::Blockable,
            };
        }
        is_in_doubt(&windows, "in the other context");
    }
}

#[test]
fn the_wrong_context_in_an_info_line_is_the_kernels_fault() {
    let mut windows = run(&[unmap(EAGAIN)]);
    reworded(
        &mut windows,
        "in blockable context",
        "in non-blockable context",
    );
    is_the_kernels_fault(&windows);
}

#[test]
fn a_call_in_the_wrong_context_is_the_kernels_fault() {
    // Log and line agree on non-blockable, but munmap is blockable.
    let mut windows = run(&[unmap(EAGAIN), unmap(EBUSY)]);
    reworded(
        &mut windows[..1],
        "in blockable context",
        "in non-blockable context",
    );
    without_lines(&mut windows[..1], "not allowed");
    for call in &mut windows[0].observations[0].calls {
        call.context = Context::NonBlockable;
    }
    is_the_kernels_fault(&windows);
}

#[test]
fn a_log_with_another_errno_than_the_kernel_acts_on_is_in_doubt() {
    for kernel in [Kernel::Seed, Kernel::Mainline] {
        for (returned, logged) in [(EBUSY, EAGAIN), (EAGAIN, EBUSY)] {
            let mut windows = run_on(kernel, &[mrelease(returned), unmap(EAGAIN)]);
            let o = &mut windows[0].observations[0];
            o.notifiers[0].notifier.arming = Arming::Fail(logged);
            for call in o.calls.iter_mut().filter(|call| call.injected) {
                call.returned = logged;
            }
            is_in_doubt(&windows, &format!("failed with {returned}"));
        }
    }
}

#[test]
fn an_errno_that_the_kernel_prints_but_does_not_act_on_is_its_fault() {
    let plans = [mrelease(EAGAIN), unmap(EAGAIN)];
    let mut windows = run_on(Kernel::Mainline, &plans);
    reworded(&mut windows, "failed with -11", "failed with -16");
    is_the_kernels_fault(&windows);
    // The seed form does not depend on the errno of a refusal, so the line can be right.
    let mut windows = run(&plans);
    reworded(&mut windows, "failed with -11", "failed with -16");
    is_in_doubt(&windows, "failed with -16");
    for nonsense in ["0", "11", "-4096"] {
        let mut windows = run(&plans);
        let to = format!("failed with {nonsense}");
        reworded(&mut windows, "failed with -11", &to);
        is_the_kernels_fault(&windows);
    }
}

#[test]
fn an_errno_of_another_notifier_in_the_window_is_the_kernels_fault() {
    let both = [
        one(Trigger::Oom(Arming::Fail(EBUSY)), 2),
        one(Trigger::Oom(Arming::Fail(EAGAIN)), 2),
    ];
    let mut windows = run(&[both.concat(), unmap(EAGAIN)]);
    reworded(&mut windows[..1], "failed with -16", "failed with -11");
    is_the_kernels_fault(&windows);
}

#[test]
fn a_log_without_the_failure_is_in_doubt() {
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    let o = &mut windows[0].observations[0];
    o.notifiers[0].notifier.arming = Arming::Unarmed;
    o.notifiers[0].counters.injected = 0;
    for call in &mut o.calls {
        (call.returned, call.injected) = (0, false);
    }
    is_in_doubt(&windows, "none has returned that");
}

#[test]
fn a_log_without_the_thread_is_in_doubt() {
    let mut windows = run(&[unmap(EAGAIN)]);
    for record in &mut windows[0].records {
        record.caller = Some("T77".to_owned());
    }
    is_in_doubt(&windows, "thread 77");
}

#[test]
fn failures_that_only_the_log_has_are_in_doubt() {
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    // The operation was refused, so a callback has failed without a line.
    windows[1].observations[0].outcome = EAGAIN;
    is_the_kernels_fault(&windows);
    windows[1].observations[0].outcome = 0;
    is_in_doubt(&windows, "by the log 3 callbacks have failed");
    // A line about one of the failures is enough.
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    without_lines(&mut windows[..1], "callback fail");
    windows[1].observations[0].outcome = 0;
    is_the_kernels_fault(&windows);
}

#[test]
fn a_line_with_a_wrong_symbol_confirms_a_failure() {
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    windows[1].observations[0].outcome = 0;
    reworded(
        &mut windows,
        "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]",
        "kvm_mmu_notifier_invalidate_range_start+0x0/0x90 [kvm]",
    );
    is_the_kernels_fault(&windows);
}

#[test]
fn the_context_is_compared_thread_by_thread() {
    let both = [mrelease(EAGAIN), unmap(EAGAIN)].concat();
    let mut windows = run(&[both, unmap(EBUSY)]);
    for call in &mut windows[0].observations[0].calls {
        call.context = Context::Blockable;
    }
    is_in_doubt(&windows, "in the other context");
}

#[test]
fn failures_without_lines_are_in_doubt_only_if_they_could_refuse() {
    let mut windows = run(&[unmap(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    is_the_kernels_fault(&windows);
    let mut windows = run(&[mrelease(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    windows[0].observations[0].outcome = 0;
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(judgement.doubts.len(), 1, "{:?}", judgement.doubts);
}

#[test]
fn a_victim_that_could_not_be_reaped_confirms_a_failure() {
    let mut windows = run(&[one(Trigger::Oom(Arming::Fail(EAGAIN)), 10), unmap(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    is_the_kernels_fault(&windows);
}

#[test]
fn an_interval_notifier_that_refuses_needs_no_line() {
    let mut windows = run(&[mrelease(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    let o = &mut windows[0].observations[0];
    o.notifiers[0].notifier.kind = NotifierKind::Interval;
    o.outcome = 0;
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(judgement.doubts, [] as [String; 0]);
}
