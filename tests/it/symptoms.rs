// SPDX-License-Identifier: GPL-2.0

//! Scenarios about the kernel's general debugging checks: the reports that are due, and their
//! number.

use crate::history::*;
use mn_inject::model::KernelMessage;
use mn_inject::model::{
    Arming, Context, FindingKind, Form, Injection, NotifierKind, ReaperMessage, Verdict, Window,
};
use mn_inject::oracle::judge;

const CALLER_SLEEP: &str =
    "BUG: sleeping function called from invalid context at include/linux/mmu_notifier.h:460";
const ATOMIC_SLEEP: &str =
    "BUG: sleeping function called from invalid context at kernel/locking/rwsem.c:1523";
const LOCK_WARN: &str = "WARNING: include/linux/rwsem.h:85 at find_vma+0x1/0x2, CPU#1: a/77";
const DEAD_BUG: &str = "kernel BUG at mm/mmu_notifier.c:620!";

const ERR: u8 = 3;
const WARNING: u8 = 4;
const CRIT: u8 = 2;

/// The thread that registers.
const ACTOR: i32 = 77;

/// A scenario whose calls all succeed.
fn quiet() -> Window {
    let plans = [one(Trigger::Unmap(Arming::Unarmed), 2)];
    history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0)
}

/// A scenario with an invalidation from an atomic section.
fn atomic() -> Window {
    let mut window = quiet();
    let expectation = &mut window.observations[0].expectation;
    (expectation.is_atomic, expectation.judges_symptoms) = (true, true);
    window
}

/// A scenario with a registration that breaks the contract.
fn registers(due: KernelMessage) -> Window {
    let mut window = quiet();
    let o = &mut window.observations[0];
    (o.expectation.said, o.expectation.judges_symptoms) = (vec![due], true);
    o.actors = vec![ACTOR];
    window
}

/// The kinds of findings with these lines: level, thread, text.
fn found(mut window: Window, lines: &[(u8, i32, &str)]) -> Vec<FindingKind> {
    for (at, (level, tid, text)) in lines.iter().enumerate() {
        insert(&mut window, at, *level, *tid, text);
    }
    let judgement = judge(&[window], Some(Form::Seed));
    let verdict = &judgement.results[0].verdict;
    assert!(
        matches!(verdict, Verdict::Pass | Verdict::Fail { .. }),
        "{verdict:?}"
    );
    kinds(&judgement.results[0])
}

const PASS: [FindingKind; 0] = [];
const DID_NOT_FIRE: FindingKind = FindingKind::DidNotFire;
const FIRED: FindingKind = FindingKind::FiredWhenItShouldNot;

#[test]
fn an_invalidation_in_an_atomic_section_has_one_report() {
    let line = (ERR, 1000, CALLER_SLEEP);
    assert_eq!(found(atomic(), &[line]), PASS);
    assert_eq!(found(atomic(), &[]), [DID_NOT_FIRE]);
    assert_eq!(found(atomic(), &[line, line]), [FIRED]);
    assert_eq!(
        found(atomic(), &[(WARNING, 1000, CALLER_SLEEP)]),
        [FindingKind::Altered]
    );
    // Another report is not an altered form of this one.
    assert_eq!(
        found(atomic(), &[(ERR, 1000, ATOMIC_SLEEP)]),
        [DID_NOT_FIRE, FIRED]
    );
}

#[test]
fn reports_of_other_tasks_are_not_those_that_are_due() {
    let of_another = (ERR, 1, CALLER_SLEEP);
    assert_eq!(found(atomic(), &[of_another]), [DID_NOT_FIRE]);
    assert_eq!(
        found(atomic(), &[of_another, (ERR, 1000, CALLER_SLEEP)]),
        PASS
    );
}

#[test]
fn a_callback_that_sleeps_has_a_report_each_time() {
    let plans = [one(Trigger::Mrelease(Arming::AtStart(Injection::Sleep)), 2)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    let o = &mut window.observations[0];
    o.expectation.judges_symptoms = true;
    for call in &mut o.calls {
        // On other addresses the injector does nothing, in any context.
        call.context = Context::NonBlockable;
        call.injected = call.tid == RUNNER_TID;
    }
    recount(o);
    let text = "BUG: scheduling in a non-blocking section: mn-inject/70/0x2";
    let line = (ERR, RUNNER_TID, text);
    assert_eq!(found(window.clone(), &[line, line]), PASS);
    assert_eq!(found(window.clone(), &[line]), [DID_NOT_FIRE]);
    assert_eq!(
        found(window, &[line, (WARNING, RUNNER_TID, text)]),
        [FindingKind::Altered]
    );
}

const NON_BLOCK: &str = "BUG: scheduling in a non-blocking section: oom_reaper/40/0x2";

/// The OOM reaper calls a notifier whose end sleeps.
fn end_sleeps() -> Window {
    let plan = Plan {
        trigger: Trigger::Oom(Arming::AtEnd(Injection::Sleep)),
        calls: 1,
        elsewhere: 0,
    };
    let mut writer = Writer::new(Style::of(Kernel::Seed), &[]);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    let mut o = observation(&plan, 1000);
    o.notifiers[0].notifier.kind = NotifierKind::PlainEnd;
    o.expectation.judges_symptoms = true;
    writer.invalidation(&mut o, 0, 0);
    writer.closing_line(&o, 0, ReaperMessage::Reaped);
    writer.end(vec![o], warns, calls).0
}

#[test]
fn the_report_about_an_end_that_sleeps_comes_before_the_closing_line() {
    let line = (ERR, REAPER_TID, NON_BLOCK);
    assert_eq!(found(end_sleeps(), &[line]), PASS);
    assert_eq!(found(end_sleeps(), &[]), [DID_NOT_FIRE]);
    assert_eq!(found(end_sleeps(), &[line, line]), [FIRED]);
    let mut late = end_sleeps();
    insert(&mut late, 1, ERR, REAPER_TID, NON_BLOCK);
    assert_eq!(found(late, &[]), [FindingKind::OutOfOrder]);
    // In blockable context an end may sleep.
    let mut blockable = end_sleeps();
    blockable.observations[0].later[0].context = Context::Blockable;
    assert_eq!(found(blockable, &[line]), [FIRED]);
}

#[test]
fn an_end_that_ignores_its_setting_gives_no_verdict() {
    for (arming, injected) in [
        (Arming::AtEnd(Injection::Sleep), false),
        (Arming::Unarmed, true),
    ] {
        let mut window = end_sleeps();
        let o = &mut window.observations[0];
        o.notifiers[0].notifier.arming = arming;
        o.later[0].injected = injected;
        let verdict = &judge(&[window], Some(Form::Seed)).results[0].verdict;
        assert!(
            matches!(verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("as it was told")),
            "{verdict:?}"
        );
    }
}

#[test]
fn the_report_of_lockdep_is_about_the_right_lock() {
    let held = |lock: &str| format!("ffff888000169c78 ({lock}){{++++}}-{{4:4}}, at: f+0x1/0x2");
    let report = |lock: &str| {
        let mut window = registers(KernelMessage::LockdepMmapLock);
        for (at, text) in [
            "WARNING: possible recursive locking detected",
            "but task is already holding lock:",
            &held(lock),
        ]
        .into_iter()
        .enumerate()
        {
            insert(&mut window, 2 * at, WARNING, ACTOR, text);
            // A line of another task stands in between.
            insert(&mut window, 2 * at + 1, WARNING, ACTOR + 1, &held("srcu"));
        }
        found(window, &[])
    };
    assert_eq!(report("&mm->mmap_lock"), PASS);
    assert_eq!(report("fs_reclaim"), [FindingKind::Altered]);
    assert_eq!(report("srcu"), [FindingKind::Altered]);
    let silent = registers(KernelMessage::LockdepMmapLock);
    assert_eq!(found(silent, &[]), [DID_NOT_FIRE]);
}

/// lockdep is off after its first report.
#[test]
fn any_number_of_calls_that_allocate_has_one_report_of_lockdep() {
    let allocates = |calls| {
        let plan = Plan {
            trigger: Trigger::Unmap(Arming::AtStart(Injection::Allocate)),
            calls,
            elsewhere: 0,
        };
        let mut window = history(Style::of(Kernel::Seed), &[vec![plan]], &[])
            .windows
            .remove(0);
        let o = &mut window.observations[0];
        o.expectation.judges_symptoms = true;
        for call in &mut o.calls {
            call.injected = true;
        }
        recount(o);
        window
    };
    let with = |calls, reports| {
        let mut window = allocates(calls);
        let held =
            "ffffffff82a5c0a0 (mmu_notifier_invalidate_range_start){+.+.}-{0:0}, at: f+0x1/0x2";
        for at in 0..reports {
            for (line, text) in [
                "WARNING: possible circular locking dependency detected",
                "but task is already holding lock:",
                held,
            ]
            .into_iter()
            .enumerate()
            {
                insert(&mut window, 3 * at + line, WARNING, 1000, text);
            }
        }
        found(window, &[])
    };
    for calls in [1, 2, 3] {
        assert_eq!(with(calls, 1), PASS, "{calls} calls");
        assert_eq!(with(calls, 0), [DID_NOT_FIRE], "{calls} calls");
        assert_eq!(with(calls, 2), [FIRED], "{calls} calls");
    }
}

#[test]
fn a_wrong_registration_has_its_report() {
    for (due, level, text) in [
        (KernelMessage::DeadBug, CRIT, DEAD_BUG),
        (KernelMessage::AtomicSleep, ERR, ATOMIC_SLEEP),
        (KernelMessage::LockWarn, WARNING, LOCK_WARN),
    ] {
        let line = (level, ACTOR, text);
        assert_eq!(found(registers(due), &[line]), PASS, "{text}");
        assert_eq!(found(registers(due), &[]), [DID_NOT_FIRE], "{text}");
        let other_level = (level + 1, ACTOR, text);
        assert_eq!(
            found(registers(due), &[other_level]),
            [FindingKind::Altered],
            "{text}"
        );
    }
}

/// The contract has no rule on how many locks a function asserts, or how often it calls
/// might_sleep().
#[test]
fn some_reports_may_come_any_number_of_times() {
    for (due, level, text, is_often) in [
        (KernelMessage::DeadBug, CRIT, DEAD_BUG, false),
        (KernelMessage::AtomicSleep, ERR, ATOMIC_SLEEP, true),
        (KernelMessage::LockWarn, WARNING, LOCK_WARN, true),
    ] {
        let surplus: &[FindingKind] = if is_often { &[] } else { &[FIRED; 2] };
        let lines = [(level, ACTOR, text); 3];
        assert_eq!(found(registers(due), &lines), surplus, "{text}");
    }
}

/// There they are trouble of the run: see `is_judged`.
#[test]
fn reports_in_other_scenarios_are_not_judged() {
    for (level, text) in [
        (ERR, CALLER_SLEEP),
        (ERR, ATOMIC_SLEEP),
        (WARNING, LOCK_WARN),
    ] {
        assert_eq!(found(quiet(), &[(level, 1000, text)]), PASS, "{text}");
    }
}
