// SPDX-License-Identifier: GPL-2.0

//! Evidence in doubt gives no verdict.

use super::*;

#[test]
fn disagreeing_witnesses_are_all_named() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite()[..1], &[]).windows;
    windows[0].warn_count = Some((7, 7));
    let reasons = no_verdict(&judge(&windows, None).results[0]);
    for words in [
        "warn_count went from 7 to 7",
        "2 headers of WARNs",
        "the module counted 3 calls and made 2 fail",
        "2 info lines, 0 pr_warns and 2 WARNs",
    ] {
        assert!(reasons.contains(words), "{words}: {reasons}");
    }
    // A kernel without warn_count has one witness less.
    windows[0].warn_count = None;
    assert_eq!(judge(&windows, None).results[0].verdict, Verdict::Pass);
}

#[test]
fn records_of_user_space_do_not_count() {
    let mut history = history(Style::of(Kernel::Seed), &suite()[..1], &[]);
    for record in &mut history.windows[0].records {
        if record.text.contains("not allowed") {
            record.facility = 1;
        }
    }
    let judgement = judge(&history.windows, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
}

#[test]
fn a_clock_that_runs_back_gives_no_verdict() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[..1], &[]).windows;
    let calls = &mut windows[0].observations[0].calls;
    calls[2].time_ns = calls[1].time_ns;
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    windows[0].observations[0].calls[2].time_ns -= 1;
    let judgement = judge(&windows, None);
    assert!(no_verdict(&judgement.results[0]).contains("back in time"));
}

/// A log that disagrees with the setting of the injector is no evidence.
#[test]
fn an_injector_that_ignores_its_setting_gives_no_verdict() {
    const CLEAR: NotifierEvent = NotifierEvent::Clear;
    const UNMAP: NotifierEvent = NotifierEvent::Unmap;
    let fails = Arming::Fail(EAGAIN);
    let sleeps = Arming::AtStart(Injection::Sleep);
    for (arming, event, returned, injected, is_as_set) in [
        (fails, UNMAP, EAGAIN, true, true),
        (fails, UNMAP, EAGAIN, false, false),
        (fails, UNMAP, 0, false, false),
        (fails, UNMAP, -16, true, false),
        // The error is set for one event.
        (fails, CLEAR, 0, false, true),
        (fails, CLEAR, 0, true, false),
        (fails, CLEAR, -16, true, false),
        (sleeps, UNMAP, 0, true, true),
        (sleeps, UNMAP, 0, false, false),
        (sleeps, UNMAP, EAGAIN, true, false),
        (sleeps, UNMAP, EAGAIN, false, false),
        (Arming::Unarmed, UNMAP, 0, true, false),
    ] {
        let plans = [one(Trigger::Unmap(arming), 1)];
        let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
        let o = &mut windows[0].observations[0];
        let call = o.calls.last_mut().unwrap();
        (call.event, call.returned, call.injected) = (event, returned, injected);
        recount(o);
        let result = &judge(&windows, Some(Form::Seed)).results[0];
        let is_doubted = matches!(
            &result.verdict,
            Verdict::NoVerdict { reasons } if reasons.iter().any(|r| r.contains("as it was told"))
        );
        assert_eq!(
            is_doubted, !is_as_set,
            "{arming:?} {event} {returned} {injected}: {:?}",
            result.verdict
        );
    }
    // On other addresses the injector does nothing, whatever its setting.
    for injected in [false, true] {
        let plans = [one(Trigger::Unmap(sleeps), 0)];
        let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
        let o = &mut windows[0].observations[0];
        o.calls[0].injected = injected;
        recount(o);
        let verdict = &judge(&windows, Some(Form::Seed)).results[0].verdict;
        assert_eq!(*verdict == Verdict::Pass, !injected, "{verdict:?}");
    }
}
