// SPDX-License-Identifier: GPL-2.0

//! The order of messages of several tasks.

use super::*;

/// Two tasks A and B whose calls all fail, logged as A B A B ..., with the lines in `order`: pairs
/// of a task and the number of its line.
fn concurrent(callers: bool, order: &[(usize, usize)]) -> Judgement {
    let mut style = Style::of(Kernel::Seed);
    style.callers = callers;
    let mut writer = Writer::new(style, &[]);
    // Each call has two lines.
    let calls = order.iter().map(|(_, line)| line / 2 + 1).max().unwrap();
    let plan = |errno| Plan {
        trigger: Trigger::Unmap(Arming::Fail(errno)),
        calls: calls as u64,
        elsewhere: 0,
    };
    let plans = [plan(EAGAIN), plan(-16)];
    let mut observations: Vec<_> = (0..2)
        .map(|i| observation(&plans[i], 1000 + i as i32))
        .collect();
    for _ in 0..calls {
        for (index, o) in observations.iter_mut().enumerate() {
            writer.log(
                o,
                call(plans[index].trigger, o.pid, o.notifiers[0].notifier.arming),
            );
        }
    }
    for (index, o) in observations.iter().enumerate() {
        for call in &o.calls {
            writer.print(index, call);
        }
    }
    let (mut window, _) = writer.end(observations, 3, 0);
    // They were printed in the order A1i A1w A2i A2w ... B1i B1w B2i B2w ...
    let lines = window.records.clone();
    window.records = order
        .iter()
        .map(|(o, n)| lines[o * 2 * calls + n].clone())
        .collect();
    renumber(&mut window);
    judge(&[window], Some(Form::Seed))
}

#[test]
fn tasks_may_overtake_one_another_until_their_next_call() {
    // The log is A1 B1 A2 B2. The lines of a call must come before the task's own next call.
    let legal: [&[(usize, usize)]; 3] = [
        &[
            (0, 0),
            (1, 0),
            (0, 1),
            (1, 1),
            (0, 2),
            (1, 2),
            (0, 3),
            (1, 3),
        ],
        &[
            (1, 0),
            (1, 1),
            (0, 0),
            (0, 1),
            (1, 2),
            (1, 3),
            (0, 2),
            (0, 3),
        ],
        &[
            (0, 0),
            (0, 1),
            (0, 2),
            (0, 3),
            (1, 0),
            (1, 1),
            (1, 2),
            (1, 3),
        ],
    ];
    for callers in [true, false] {
        for order in legal {
            for result in concurrent(callers, order).results {
                assert_eq!(result.verdict, Verdict::Pass, "{callers} {order:?}");
            }
        }
    }
    // The first lines of A come behind those of B's second call, which was logged after A's second.
    let forced = [
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
    ];
    let judgement = concurrent(true, &forced);
    assert!(kinds(&judgement.results[0]).contains(&FindingKind::OutOfOrder));
    assert_eq!(judgement.results[1].verdict, Verdict::Pass);
}

#[test]
fn without_callers_an_impossible_order_does_not_pass() {
    let order = [
        (0, 1),
        (0, 0),
        (1, 0),
        (1, 1),
        (0, 2),
        (1, 2),
        (0, 3),
        (1, 3),
    ];
    for result in concurrent(false, &order).results {
        assert_ne!(result.verdict, Verdict::Pass);
    }
}

/// The first lines of A come behind those of B's second call, which was logged after A's second.
#[test]
fn a_line_must_come_before_the_earliest_call_behind_its_own() {
    let lines = |task: usize, call: usize| [(task, 2 * call), (task, 2 * call + 1)];
    let order = [
        lines(1, 0),
        lines(1, 1),
        lines(0, 0),
        lines(0, 1),
        lines(0, 2),
        lines(1, 2),
    ]
    .concat();
    let judgement = concurrent(true, &order);
    assert_eq!(
        all_kinds(&judgement),
        [vec![FindingKind::OutOfOrder], vec![]]
    );
    // Of the two lines about that call, the finding has the last.
    let due = findings(&judgement.results[0]).remove(0).due.unwrap();
    assert!(due.ends_with("callback failure not allowed"), "{due}");
}

/// Without callers and with a line missing, a line in another place can be of a task that overtook.
#[test]
fn without_callers_a_missing_line_is_not_out_of_order() {
    // All lines of B come first, and the last line of A is missing.
    let order = [(1, 0), (1, 1), (1, 2), (1, 3), (0, 0), (0, 1), (0, 2)];
    let found = all_kinds(&concurrent(false, &order)).concat();
    assert!(found.contains(&DID_NOT_FIRE), "{found:?}");
    assert!(!found.contains(&FindingKind::OutOfOrder), "{found:?}");
}

#[test]
fn a_single_task_without_callers_has_an_order() {
    let mut style = Style::of(Kernel::Seed);
    style.callers = false;
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 3)];
    let mut window = history(style, &plans, &[]).windows.remove(0);
    // Info, pr_warn, ...: the last is missing, and the first two are swapped.
    window.records.pop();
    window.records.swap(0, 1);
    renumber(&mut window);
    let found = kinds(&judge(&[window], Some(Form::Seed)).results[0]);
    assert!(found.contains(&DID_NOT_FIRE), "{found:?}");
    assert!(found.contains(&FindingKind::OutOfOrder), "{found:?}");
}

#[test]
fn without_callers_an_order_that_no_interleaving_explains_is_found() {
    // The second complaint of A comes before its info line.
    let order = [
        (0, 0),
        (0, 1),
        (0, 3),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
    ];
    let judgement = concurrent(false, &order);
    let found = all_kinds(&judgement).concat();
    assert!(found.contains(&FindingKind::OutOfOrder), "{found:?}");
}

/// A fails with -EAGAIN, and B with -EAGAIN and then with -EBUSY: the task of the first line shows
/// only with the third.
#[test]
fn without_callers_equal_lines_of_two_tasks_give_no_verdict() {
    let mut style = Style::of(Kernel::Seed);
    style.callers = false;
    let mut writer = Writer::new(style, &[]);
    let fails = |errno| attached(NotifierKind::Plain, Arming::Fail(errno));
    let plan = one(Trigger::Unmap(Arming::Fail(EAGAIN)), 1)[0];
    let mut a = observation(&plan, 1000);
    let mut b = observation(&plan, 1001);
    // The last that is attached is called first.
    b.notifiers = vec![fails(-16), fails(EAGAIN)];
    writer.log(&mut a, call(plan.trigger, 1000, Arming::Fail(EAGAIN)));
    for (notifier, errno) in [(1, EAGAIN), (0, -16)] {
        let call = call(plan.trigger, 1001, Arming::Fail(errno));
        writer.log(&mut b, Call { notifier, ..call });
    }
    for (index, call) in [(1, &b.calls[0]), (1, &b.calls[1]), (0, &a.calls[0])] {
        writer.print(index, call);
    }
    let (window, _) = writer.end(vec![a, b], 3, 0);
    for result in judge(&[window], Some(Form::Seed)).results {
        assert!(no_verdict(&result).contains("cannot be told without caller="));
    }
}
