// SPDX-License-Identifier: GPL-2.0

//! The demands of a scenario besides the messages about its callbacks.

use super::*;

#[test]
fn a_wrong_closing_line_of_the_reaper_is_found() {
    let plans = [one(Trigger::Oom(Arming::Fail(EAGAIN)), 3)];
    let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
    windows[0].observations[0].expectation.reaper = Some(ReaperMessage::Reaped);
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE, FIRED]);
    // No closing line was due.
    windows[0].observations[0].expectation.reaper = None;
    assert_eq!(
        kinds(&judge(&windows, Some(Form::Seed)).results[0]),
        [FIRED]
    );
}

#[test]
fn calls_and_the_outcome_are_compared_with_the_expectation() {
    let windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    let damaged = |change: &dyn Fn(&mut mn_inject::model::Observation)| {
        let mut windows = windows.clone();
        change(&mut windows[0].observations[0]);
        kinds(&judge(&windows, Some(Form::Seed)).results[0])
    };
    assert_eq!(damaged(&|_| {}), []);
    assert_eq!(damaged(&|o| o.outcome = -11), [FindingKind::Outcome]);
    assert_eq!(
        damaged(&|o| o.calls[1].event = NotifierEvent::Clear),
        [FindingKind::Calls]
    );
    assert_eq!(
        damaged(&|o| o.calls[1].context = Context::NonBlockable),
        [FindingKind::Calls]
    );
    assert_eq!(
        damaged(&|o| o.expectation.calls = mn_inject::model::Count::Exactly(3)),
        [FindingKind::Calls]
    );
    assert_eq!(
        damaged(&|o| o.expectation.calls = mn_inject::model::Count::AtLeast(1)),
        []
    );
}

/// The number of pages that reclaim finds depends on the machine, so too few prove nothing.
#[test]
fn too_few_calls_of_reclaim_give_no_verdict() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    windows[0].observations[0].expectation.calls = mn_inject::model::Count::AtLeast(100);
    let verdict = &judge(&windows, Some(Form::Seed)).results[0].verdict;
    assert!(
        matches!(verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("at least 100")),
        "{verdict:?}"
    );
}

/// The last call may have an event of its own, and no other one may.
#[test]
fn the_last_call_has_the_event_that_is_due_of_it() {
    use mn_inject::model::NotifierEvent::{Clear, Unmap};
    let plan = one(Trigger::Unmap(Arming::Unarmed), 3);
    let verdict = |events: [_; 3]| {
        let mut windows =
            history(Style::of(Kernel::Seed), std::slice::from_ref(&plan), &[]).windows;
        let o = &mut windows[0].observations[0];
        (o.expectation.event, o.expectation.last_event) = (Clear, Some(Unmap));
        let watched = o.calls.iter_mut().filter(|call| call.start < 0x4000);
        for (call, event) in watched.zip(events) {
            call.event = event;
        }
        kinds(&judge(&windows, Some(Form::Seed)).results[0])
    };
    assert_eq!(verdict([Clear, Clear, Unmap]), []);
    for events in [[Clear; 3], [Unmap; 3], [Clear, Unmap, Clear]] {
        assert!(verdict(events).contains(&FindingKind::Calls), "{events:?}");
    }
}

/// Where the kernel may have to try again, it has done so at least once.
#[test]
fn too_few_attempts_are_a_finding() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    for (least, findings) in [(1, &[][..]), (100, &[FindingKind::Calls])] {
        windows[0].observations[0].expectation.calls = mn_inject::model::Count::OrMore(least);
        let judgement = judge(&windows, Some(Form::Seed));
        assert_eq!(kinds(&judgement.results[0]), findings, "{least}");
    }
}

/// A page that has gone unannounced is a finding, however many others were announced.
#[test]
fn too_few_calls_do_not_hide_a_change_that_no_call_announces() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    let window = &mut windows[0];
    let o = &mut window.observations[0];
    o.expectation.calls = mn_inject::model::Count::AtLeast(100);
    o.notifiers[0].notifier.kind = NotifierKind::Mirror;
    let last = o.calls.last().expect("no calls").clone();
    o.later.push(mn_inject::model::Later {
        notifier: 0,
        seq: window.total_entries.1,
        time_ns: last.time_ns + 1,
        op: mn_inject::model::FollowUp::Lost,
        start: o.watched.1,
        end: o.watched.1 + 0x1000,
        context: last.context,
        tid: last.tid,
        injected: false,
    });
    window.total_entries.1 += 1;
    let judgement = judge(&windows, Some(Form::Seed));
    assert!(kinds(&judgement.results[0]).contains(&FindingKind::Untold));
}

#[test]
fn calls_on_other_addresses_do_not_count() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    let (start, end) = windows[0].observations[0].watched;
    for range in [(0, start), (end, end + 0x1000), (0, 1 << 63), (0, u64::MAX)] {
        let call = &mut windows[0].observations[0].calls[0];
        (call.start, call.end) = range;
        (call.tid, call.comm) = (77, "kswapd0".into());
        let judgement = judge(&windows, Some(Form::Seed));
        assert_eq!(judgement.results[0].verdict, Verdict::Pass, "{range:x?}");
    }
    // A range that overlaps them by one byte counts.
    for range in [(0, start + 1), (end - 1, end + 0x1000)] {
        let call = &mut windows[0].observations[0].calls[0];
        (call.start, call.end) = range;
        let judgement = judge(&windows, Some(Form::Seed));
        assert!(no_verdict(&judgement.results[0]).contains("somebody else"));
    }
}
