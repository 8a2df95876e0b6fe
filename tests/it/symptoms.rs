// SPDX-License-Identifier: GPL-2.0

//! Scenarios about what the kernel finds wrong with itself: that it has to say so, and how often.

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

/// A scenario whose calls all agree.
fn quiet() -> Window {
    let plans = [one(Deed::Unmap(Arming::Unarmed), 2)];
    history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0)
}

/// One with an invalidation from an atomic section.
fn atomic() -> Window {
    let mut window = quiet();
    let expectation = &mut window.observations[0].expectation;
    (expectation.is_atomic, expectation.judges_symptoms) = (true, true);
    window
}

/// One in which somebody registers as nobody may.
fn registers(said: KernelMessage) -> Window {
    let mut window = quiet();
    let o = &mut window.observations[0];
    (o.expectation.said, o.expectation.judges_symptoms) = (vec![said], true);
    o.actors = vec![ACTOR];
    window
}

/// What is found with these lines: level, thread, text.
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
fn an_atomic_section_is_noticed_once_for_an_invalidation() {
    let line = (ERR, 1000, CALLER_SLEEP);
    assert_eq!(found(atomic(), &[line]), PASS);
    assert_eq!(found(atomic(), &[]), [DID_NOT_FIRE]);
    assert_eq!(found(atomic(), &[line, line]), [FIRED]);
    assert_eq!(
        found(atomic(), &[(WARNING, 1000, CALLER_SLEEP)]),
        [FindingKind::Altered]
    );
    // Another complaint is not this one gone wrong.
    assert_eq!(
        found(atomic(), &[(ERR, 1000, ATOMIC_SLEEP)]),
        [DID_NOT_FIRE, FIRED]
    );
}

#[test]
fn what_other_tasks_are_told_is_not_what_is_due() {
    let of_another = (ERR, 1, CALLER_SLEEP);
    assert_eq!(found(atomic(), &[of_another]), [DID_NOT_FIRE]);
    assert_eq!(
        found(atomic(), &[of_another, (ERR, 1000, CALLER_SLEEP)]),
        PASS
    );
}

#[test]
fn a_callback_that_sleeps_is_noticed_each_time() {
    let plans = [one(Deed::Mrelease(Arming::AtStart(Injection::Sleep)), 2)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    let o = &mut window.observations[0];
    o.expectation.judges_symptoms = true;
    for call in &mut o.calls {
        // Elsewhere the injector lets it through, in whatever context.
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

/// The OOM reaper calls one with an end, which sleeps.
fn end_sleeps() -> Window {
    let plan = Plan {
        deed: Deed::Oom(Arming::AtEnd(Injection::Sleep)),
        calls: 1,
        elsewhere: 0,
    };
    let mut writer = Writer::new(Style::of(Kernel::Seed), &[]);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    let mut o = observation(&plan, 1000);
    o.notifiers[0].notifier.kind = NotifierKind::PlainEnd;
    o.expectation.judges_symptoms = true;
    writer.invalidation(&mut o, 0, 0);
    writer.reaper_word(&o, 0, ReaperMessage::Reaped);
    writer.end(vec![o], warns, calls).0
}

#[test]
fn an_end_that_sleeps_is_noticed_before_the_reapers_last_word() {
    let line = (ERR, REAPER_TID, NON_BLOCK);
    assert_eq!(found(end_sleeps(), &[line]), PASS);
    assert_eq!(found(end_sleeps(), &[]), [DID_NOT_FIRE]);
    assert_eq!(found(end_sleeps(), &[line, line]), [FIRED]);
    let mut late = end_sleeps();
    insert(&mut late, 1, ERR, REAPER_TID, NON_BLOCK);
    assert_eq!(found(late, &[]), [FindingKind::OutOfOrder]);
    // Nobody may sleep there, and in blockable context everybody may.
    let mut blockable = end_sleeps();
    blockable.observations[0].later[0].context = Context::Blockable;
    assert_eq!(found(blockable, &[line]), [FIRED]);
}

#[test]
fn an_end_that_does_not_do_as_it_is_told_is_no_evidence() {
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
fn lockdep_has_to_speak_of_the_right_lock() {
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
            // In between somebody else may say something.
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

/// lockdep switches itself off with its first report.
#[test]
fn lockdep_reports_once_however_many_calls_allocate() {
    let allocates = |calls| {
        let plan = Plan {
            deed: Deed::Unmap(Arming::AtStart(Injection::Allocate)),
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
fn whoever_registers_wrongly_is_told() {
    for (said, level, text) in [
        (KernelMessage::DeadBug, CRIT, DEAD_BUG),
        (KernelMessage::AtomicSleep, ERR, ATOMIC_SLEEP),
        (KernelMessage::LockWarn, WARNING, LOCK_WARN),
    ] {
        let line = (level, ACTOR, text);
        assert_eq!(found(registers(said), &[line]), PASS, "{text}");
        assert_eq!(found(registers(said), &[]), [DID_NOT_FIRE], "{text}");
        let other_level = (level + 1, ACTOR, text);
        assert_eq!(
            found(registers(said), &[other_level]),
            [FindingKind::Altered],
            "{text}"
        );
    }
}

/// How many locks a function asserts, and how often it might sleep, is not the contract's business.
#[test]
fn some_complaints_may_come_many_times() {
    for (said, level, text, is_often) in [
        (KernelMessage::DeadBug, CRIT, DEAD_BUG, false),
        (KernelMessage::AtomicSleep, ERR, ATOMIC_SLEEP, true),
        (KernelMessage::LockWarn, WARNING, LOCK_WARN, true),
    ] {
        let due: &[FindingKind] = if is_often { &[] } else { &[FIRED; 2] };
        let lines = [(level, ACTOR, text); 3];
        assert_eq!(found(registers(said), &lines), due, "{text}");
    }
}

/// There they are trouble, which ends the run: see `is_judged`.
#[test]
fn elsewhere_they_are_left_to_whoever_watches_the_log() {
    for (level, text) in [
        (ERR, CALLER_SLEEP),
        (ERR, ATOMIC_SLEEP),
        (WARNING, LOCK_WARN),
    ] {
        assert_eq!(found(quiet(), &[(level, 1000, text)]), PASS, "{text}");
    }
}
