// SPDX-License-Identifier: GPL-2.0

//! Many differences, and many events.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::*;

/// Six hundred failures, with all info lines first and all complaints behind them.
fn shuffled() -> Window {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 600)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    window.records.sort_by_key(|record| record.level == 4);
    renumber(&mut window);
    window
}

#[test]
fn a_complete_disorder_is_one_finding() {
    let found = |window| kinds(&judge(&[window], Some(Form::Seed)).results[0]);
    assert_eq!(found(shuffled()), [FindingKind::OutOfOrder]);
    // If a line is missing or surplus besides, that is the finding.
    let mut window = shuffled();
    window.records.pop();
    assert_eq!(found(window), [DID_NOT_FIRE]);
    let mut window = shuffled();
    let text = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, 1200, 4, 1000, &text);
    assert_eq!(found(window), [FIRED]);
}

/// Every line of two tasks is wrong, and one of them has one line more or less than is due.
#[test]
fn many_wrong_lines_are_compared_task_by_task() {
    let trigger = Trigger::Unmap(Arming::Fail(EAGAIN));
    let plans = [[one(trigger, 600), one(trigger, 600)].concat()];
    let mut whole = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    for record in &mut whole.records {
        record.level += 1;
    }
    let mut surplus = whole.clone();
    let text = format!("{SYMBOL} callback failure not allowed");
    insert(&mut surplus, 0, 5, 1000, &text);
    let mut missing = whole;
    // The first task's last line.
    missing.records.remove(1199);
    for (window, more) in [(surplus, FIRED), (missing, DID_NOT_FIRE)] {
        let results = judge(&[window], Some(Form::Seed)).results;
        let count = |result: &ScenarioResult, kind| {
            let found = kinds(result).into_iter();
            found.filter(|found| *found == kind).count()
        };
        for result in &results {
            assert_eq!(count(result, FindingKind::Altered), 101);
            for finding in findings(result).iter().take(100) {
                let is_right = finding.kind != FindingKind::Altered
                    || ["the level is 7, not 6", "the level is 5, not 4"]
                        .contains(&finding.text.as_str());
                assert!(is_right, "{finding:?}");
            }
        }
        assert_eq!(count(&results[0], more), 1);
        assert_eq!(count(&results[1], more), 0);
    }
}

/// Processor time of this thread, which does not depend on what else the machine does.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("no clock")
        .into()
}

#[test]
fn a_million_events_are_judged_in_linear_time() {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 500_000)];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    let started = processor_time();
    let judgement = judge(&history.windows, None);
    let all_right = processor_time() - started;
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[0].matched.len(), 1_000_000);
    assert!(all_right < Duration::from_secs(60), "{all_right:?}");

    for record in &mut history.windows[0].records {
        record.level += 1;
    }
    let started = processor_time();
    let found = kinds(&judge(&history.windows, None).results[0]);
    let all_wrong = processor_time() - started;
    assert!(found.iter().all(|kind| *kind == FindingKind::Altered));
    // No slower by an order of magnitude.
    assert!(all_wrong < 10 * all_right, "{all_wrong:?} {all_right:?}");
}
