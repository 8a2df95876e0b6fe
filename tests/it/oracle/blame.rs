// SPDX-License-Identifier: GPL-2.0

//! The scenario that a missing, surplus or altered message belongs to.

use super::damage::drop_message;
use super::*;

#[test]
fn a_missing_line_of_one_of_two_scenarios_passes_in_neither() {
    // Two scenarios with the same task and the same lines.
    let plans = [[
        one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 3),
        one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 3),
    ]
    .concat()];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    drop_message(&mut history.windows[0], &mut history.origins[0], 1);
    renumber(&mut history.windows[0]);
    for result in judge(&history.windows, Some(Form::Seed)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE]);
    }
}

#[test]
fn a_surplus_message_is_blamed_on_its_task_alone() {
    let (fails, agrees) = (
        Trigger::Unmap(Arming::Fail(EAGAIN)),
        Trigger::Unmap(Arming::Unarmed),
    );
    let mut window = both(Style::of(Kernel::Seed), fails, agrees);
    let end = window.records.len();
    let text = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, end, 4, 1001, &text);
    assert_eq!(
        all_kinds(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FIRED]]
    );

    // If lines do not name their task, the header of a WARN does.
    let mut style = Style::of(Kernel::Mainline);
    style.callers = false;
    let mut window = both(style, fails, agrees);
    let end = window.records.len();
    let text = NOTIFIER_WARN.replace(": a/1", ": victim (1)/1001");
    insert(&mut window, end, 4, 1001, &text);
    assert_eq!(
        all_kinds(&judge(&[window], Some(Form::Mainline))),
        [vec![], vec![FIRED]]
    );
}

/// Both lines of a failure are missing, next to a failure with the same lines.
#[test]
fn missing_lines_of_one_of_two_scenarios_are_missing_in_both() {
    let refused = Trigger::Mrelease(Arming::Fail(-16));
    let mut history = history(
        Style::of(Kernel::Mainline),
        &[[one(refused, 1), one(refused, 1)].concat()],
        &[],
    );
    let (window, origins) = (&mut history.windows[0], &mut history.origins[0]);
    for _ in 0..2 {
        let at = origins.iter().rposition(|origin| *origin != Origin::Noise);
        drop_message(window, origins, at.unwrap());
    }
    renumber(window);
    for result in judge(&history.windows, Some(Form::Mainline)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE; 2]);
    }
}

/// Of two equal lines in neighbouring scenarios, either can be the missing one.
#[test]
fn a_line_that_is_missing_before_an_equal_one_is_missing_in_both_scenarios() {
    let refused = Trigger::Mrelease(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    window.records[0].text = format!("{SYMBOL} callback failure not allowed");
    window.records[0].level = 4;
    for result in judge(&[window], Some(Form::Seed)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE, FIRED]);
    }
}

#[test]
fn a_line_behind_a_closing_line_belongs_to_the_next_victim() {
    let refused = Trigger::Oom(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    let complaint = format!("{SYMBOL} callback failure not allowed");
    // Behind the info line and the closing line of the first victim.
    insert(&mut window, 2, 4, REAPER_TID, &complaint);
    assert_eq!(
        all_kinds(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FIRED]]
    );
}

/// One of the scenarios has no line next to the complaint, but it made a call before it.
#[test]
fn a_complaint_can_belong_to_a_scenario_without_due_lines() {
    let agrees = Trigger::Mrelease(Arming::Unarmed);
    let refused = Trigger::Mrelease(Arming::Fail(EAGAIN));
    let complaint = format!("{SYMBOL} callback failure not allowed");
    for (first, second) in [(agrees, refused), (refused, agrees)] {
        let mut window = both(Style::of(Kernel::Seed), first, second);
        let at = if first == agrees { 0 } else { 1 };
        insert(&mut window, at, 4, RUNNER_TID, &complaint);
        for result in judge(&[window], Some(Form::Seed)).results {
            assert_eq!(kinds(&result), [FIRED]);
        }
    }
}

/// The second and the fourth of four equal lines are wrong, one in each scenario.
#[test]
fn wrong_lines_among_equal_ones_are_found_in_each_possible_scenario() {
    let refused = Trigger::Mrelease(Arming::Fail(EAGAIN));
    let plans = [[one(refused, 2), one(refused, 2)].concat()];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    for at in [1, 3] {
        window.records[at].level = 5;
    }
    for result in judge(&[window], Some(Form::Seed)).results {
        let found = kinds(&result);
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|kind| *kind == FindingKind::Altered),
            "{found:?}"
        );
    }
}

#[test]
fn a_wrong_line_in_its_own_place_belongs_to_one_scenario() {
    let refused = Trigger::Mrelease(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    window.records[1].level = 5;
    assert_eq!(
        all_kinds(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FindingKind::Altered]]
    );
}

#[test]
fn a_wrong_line_is_not_taken_for_the_next_one() {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 2)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    window.records[3].level = 5;
    window.records.remove(1);
    renumber(&mut window);
    let found = findings(&judge(&[window], Some(Form::Seed)).results[0]);
    let places: Vec<_> = found.iter().map(|f| (f.kind, f.call_seq)).collect();
    assert_eq!(
        places,
        [(DID_NOT_FIRE, Some(1)), (FindingKind::Altered, Some(2))]
    );
}

/// A missing line of one task and a surplus line of another.
#[test]
fn a_line_of_another_task_is_the_same_only_if_nothing_else_differs() {
    let fails = Trigger::Unmap(Arming::Fail(EAGAIN));
    let agrees = Trigger::Unmap(Arming::Unarmed);
    let complaint = format!("{SYMBOL} callback failure not allowed");
    let info = format!("{SYMBOL} callback failed with -11 in blockable context.");
    for (level, text, first, second) in [
        (4, &complaint, vec![FindingKind::Altered], vec![]),
        (5, &complaint, vec![DID_NOT_FIRE], vec![FIRED]),
        (4, &info, vec![DID_NOT_FIRE], vec![FIRED]),
    ] {
        let mut window = both(Style::of(Kernel::Seed), fails, agrees);
        window.records.pop();
        insert(&mut window, 1, level, 1001, text);
        assert_eq!(
            all_kinds(&judge(&[window], Some(Form::Seed))),
            [first, second],
            "{level} {text}"
        );
    }
}
