// SPDX-License-Identifier: GPL-2.0

//! A module that lies, and kernels that are wrong in the same lines: the first must not be blamed
//! on the kernel, and the second must not be excused.

use mn_inject::model::{Arming, Context, Form, NotifierKind, Verdict, Window};
use mn_inject::oracle::{Judgement, judge};

use crate::history::{Deed, EAGAIN, Kernel, Plan, Style, history};

const EBUSY: i32 = -16;

fn one(deed: Deed, calls: u64) -> Vec<Plan> {
    vec![Plan {
        deed,
        calls,
        elsewhere: 1,
    }]
}

/// What a correct kernel and an honest module make of it.
fn run(plans: &[Vec<Plan>]) -> Vec<Window> {
    run_on(Kernel::Seed, plans)
}

fn run_on(kernel: Kernel, plans: &[Vec<Plan>]) -> Vec<Window> {
    history(Style::of(kernel), plans, &[]).windows
}

fn unmap(errno: i32) -> Vec<Plan> {
    one(Deed::Unmap(Arming::Fail(errno)), 2)
}

fn mrelease(errno: i32) -> Vec<Plan> {
    one(Deed::Mrelease(Arming::Fail(errno)), 1)
}

/// Another end of the story: the lines of all records.
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
fn is_disbelieved(windows: &[Window], words: &str) {
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
fn an_honest_module_is_believed() {
    let judgement = judge(&run(&[unmap(EBUSY), mrelease(EAGAIN)]), None);
    assert_eq!(judgement.doubts, [] as [String; 0]);
    let verdicts = judgement.results.iter().map(|result| &result.verdict);
    assert!(verdicts.into_iter().all(|v| *v == Verdict::Pass));
}

#[test]
fn a_log_in_the_other_context_is_the_modules_fault() {
    for deed in [unmap(EAGAIN), mrelease(EAGAIN)] {
        let mut windows = run(&[deed, unmap(EBUSY)]);
        for call in &mut windows[0].observations[0].calls {
            call.context = match call.context {
                Context::Blockable => Context::NonBlockable,
                Context::NonBlockable => Context::Blockable,
            };
        }
        is_disbelieved(&windows, "in the other context");
    }
}

#[test]
fn a_swapped_word_is_the_kernels_fault() {
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
    // Module and line agree that it was non-blockable, as a munmap never is.
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
fn an_errno_that_the_kernel_also_acts_on_is_what_was_returned() {
    for kernel in [Kernel::Seed, Kernel::Mainline] {
        for (returned, logged) in [(EBUSY, EAGAIN), (EAGAIN, EBUSY)] {
            let mut windows = run_on(kernel, &[mrelease(returned), unmap(EAGAIN)]);
            let o = &mut windows[0].observations[0];
            o.notifiers[0].notifier.arming = Arming::Fail(logged);
            for call in o.calls.iter_mut().filter(|call| call.injected) {
                call.returned = logged;
            }
            is_disbelieved(&windows, &format!("failed with {returned}"));
        }
    }
}

#[test]
fn an_errno_that_the_kernel_only_prints_is_its_own_fault() {
    let plans = [mrelease(EAGAIN), unmap(EAGAIN)];
    let mut windows = run_on(Kernel::Mainline, &plans);
    reworded(&mut windows, "failed with -11", "failed with -16");
    is_the_kernels_fault(&windows);
    // What the seed form does with a refusal does not depend on its errno, so it cannot be told.
    let mut windows = run(&plans);
    reworded(&mut windows, "failed with -11", "failed with -16");
    is_disbelieved(&windows, "failed with -16");
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
        one(Deed::Oom(Arming::Fail(EBUSY)), 2),
        one(Deed::Oom(Arming::Fail(EAGAIN)), 2),
    ];
    let mut windows = run(&[both.concat(), unmap(EAGAIN)]);
    reworded(&mut windows[..1], "failed with -16", "failed with -11");
    is_the_kernels_fault(&windows);
}

#[test]
fn a_failure_that_the_log_denies_is_the_modules_fault() {
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    let o = &mut windows[0].observations[0];
    o.notifiers[0].notifier.arming = Arming::Unarmed;
    o.notifiers[0].counters.injected = 0;
    for call in &mut o.calls {
        (call.returned, call.injected) = (0, false);
    }
    is_disbelieved(&windows, "none has returned that");
}

#[test]
fn a_failure_of_a_thread_that_is_not_in_the_log_is_no_verdict() {
    let mut windows = run(&[unmap(EAGAIN)]);
    for record in &mut windows[0].records {
        record.caller = Some("T77".to_owned());
    }
    is_disbelieved(&windows, "thread 77");
}

#[test]
fn failures_without_any_trace_are_only_the_modules_word() {
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    // Refused all the same: then something has failed, and the kernel is silent about it.
    windows[1].observations[0].outcome = EAGAIN;
    is_the_kernels_fault(&windows);
    windows[1].observations[0].outcome = 0;
    is_disbelieved(&windows, "by the log 3 callbacks have failed");
    // One line about any of them is a trace.
    let mut windows = run(&[unmap(EAGAIN), mrelease(EAGAIN)]);
    without_lines(&mut windows[..1], "callback fail");
    windows[1].observations[0].outcome = 0;
    is_the_kernels_fault(&windows);
}

#[test]
fn a_wrong_symbol_is_a_trace_all_the_same() {
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
fn a_thread_is_held_against_its_own_lines() {
    let both = [mrelease(EAGAIN), unmap(EAGAIN)].concat();
    let mut windows = run(&[both, unmap(EBUSY)]);
    for call in &mut windows[0].observations[0].calls {
        call.context = Context::Blockable;
    }
    is_disbelieved(&windows, "in the other context");
}

#[test]
fn a_silent_kernel_is_only_excused_where_a_refusal_would_have_stopped_it() {
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
fn a_victim_that_could_not_be_reaped_is_a_trace() {
    let mut windows = run(&[one(Deed::Oom(Arming::Fail(EAGAIN)), 10), unmap(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    is_the_kernels_fault(&windows);
}

#[test]
fn nothing_is_said_of_an_interval_notifier_that_refuses() {
    let mut windows = run(&[mrelease(EAGAIN)]);
    without_lines(&mut windows, "callback fail");
    let o = &mut windows[0].observations[0];
    o.notifiers[0].notifier.kind = NotifierKind::Interval;
    o.outcome = 0;
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(judgement.doubts, [] as [String; 0]);
}
