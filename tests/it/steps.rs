// SPDX-License-Identifier: GPL-2.0

//! The steps of scripts: for each kind the results that are as they should be, and the finding that
//! every other result makes.

use mn_inject::model::{
    Arming, Between, Context, End, ExitCallback, FindingKind, FollowUp, Form, NotifierEvent,
    NotifierKind, Observation, Registration, Seen, Step, StepKind, Verdict, Way,
};
use mn_inject::oracle::judge;

use crate::history::*;

/// Watched pages of the observation.
const PAGES: u64 = 16;

/// The verdict on an observation that has nothing wrong besides that step.
fn verdict_of(kind: StepKind, seen: &Seen, change: fn(&mut Observation)) -> Verdict {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let plan = Plan {
        trigger: Trigger::Unmap(Arming::Unarmed),
        calls: 0,
        elsewhere: 0,
    };
    let mut o = observation(&plan, 100);
    o.watched = (0x10000, 0x10000 + PAGES * 4096);
    o.notifiers = NotifierKind::ALL
        .map(|kind| attached(kind, Arming::Unarmed))
        .to_vec();
    let seen = seen.clone();
    o.steps.push(Step { kind, seen });
    change(&mut o);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    let (mut window, _) = writer.end(vec![o], warns, calls);
    // The notifier that is removed then is released, which only the module's total tells.
    window.total_entries.1 += u64::from(kind == StepKind::RemoveAtExit);
    let mut results = judge(&[window], Some(Form::Mainline)).results;
    results.pop().unwrap().verdict
}

fn passes_if(kind: StepKind, seen: &Seen, change: fn(&mut Observation)) {
    let verdict = verdict_of(kind, seen, change);
    assert_eq!(verdict, Verdict::Pass, "{kind:?} {seen:?}");
}

fn passes(kind: StepKind, seen: Seen) {
    passes_if(kind, &seen, |_| {});
}

fn fails_if(kind: StepKind, seen: &Seen, change: fn(&mut Observation), finding: [&str; 3]) {
    let verdict = verdict_of(kind, seen, change);
    let Verdict::Fail { findings } = &verdict else {
        panic!("{kind:?} {seen:?}: {verdict:?}");
    };
    let [found] = &findings[..] else {
        panic!("{kind:?} {seen:?}: {findings:?}");
    };
    assert_eq!(found.kind, FindingKind::Step);
    let lines = [&found.due, &found.seen].map(|line| line.as_deref().unwrap_or_default());
    let [due, seen] = lines;
    assert_eq!([found.text.as_str(), due, seen], finding, "{kind:?}");
}

fn fails(kind: StepKind, seen: Seen, finding: [&str; 3]) {
    fails_if(kind, &seen, |_| {}, finding);
}

#[test]
fn a_read_side_has_an_odd_number() {
    let what = "the number of a read side is";
    passes(StepKind::ReadBegin, Seen::Number(1));
    passes(StepKind::ReadBegin, Seen::Number(7));
    for number in [0, 8] {
        fails(
            StepKind::ReadBegin,
            Seen::Number(number),
            [what, "odd", &number.to_string()],
        );
    }
    fails(
        StepKind::ReadBegin,
        Seen::StillWaits,
        [what, "odd", "not there: it waits forever"],
    );
}

#[test]
fn a_read_side_after_an_invalidation_has_another_number() {
    passes(StepKind::NextReadBegin, Seen::Numbers(3, 5));
    fails(
        StepKind::NextReadBegin,
        Seen::Numbers(3, 3),
        [
            "the second read side begins with",
            "another number",
            "the same number",
        ],
    );
}

#[test]
fn a_read_side_is_tried_again_after_an_invalidation_of_its_addresses_only() {
    let what = "mmu_interval_read_retry() says";
    let step = |after| StepKind::ReadRetry { after };
    passes(step(Between::Invalidation), Seen::Returned(EAGAIN));
    fails(
        step(Between::Invalidation),
        Seen::Returned(0),
        [what, "retry", "undisturbed"],
    );
    for after in [
        Between::Nothing,
        Between::InvalidationElsewhere,
        Between::Refusal,
        Between::Failure,
    ] {
        passes(step(after), Seen::Returned(0));
        for (seen, word) in [
            (Seen::Returned(EAGAIN), "retry"),
            (Seen::Returned(-22), "EINVAL"),
            (Seen::StillWaits, "waits forever"),
            (Seen::CallerKilled, "the caller is killed"),
        ] {
            fails(step(after), seen, [what, "undisturbed", word]);
        }
    }
}

#[test]
fn a_call_that_begins_in_an_invalidation_returns_after_its_end() {
    for (kind, what) in [
        (
            StepKind::ReadBeginInInvalidation,
            "a read side that begins in an invalidation",
        ),
        (
            StepKind::ReturnOfRemoval,
            "a removal that begins in an invalidation",
        ),
        (
            StepKind::ReturnOfRegistration,
            "a registration that begins in an invalidation",
        ),
    ] {
        let at = |time_ns| Seen::ReturnedAt {
            time_ns,
            asleep_until_ns: 500,
        };
        passes(kind, at(500));
        passes(kind, at(501));
        fails(kind, at(499), [what, "waits for its end", "does not wait"]);
    }
}

#[test]
fn starts_and_ends_of_a_notifier_that_comes_in_an_invalidation_pair() {
    let kind = StepKind::CallsOfRegistered;
    passes(kind, Seen::Unpaired(0));
    fails(
        kind,
        Seen::Unpaired(1),
        ["ends without a start, or the reverse", "0", "1"],
    );
}

#[test]
fn a_notifier_is_asked_about_pages_that_age() {
    let kind = StepKind::Aging;
    passes(kind, Seen::Asked(1));
    passes(kind, Seen::Asked(16));
    fails(
        kind,
        Seen::Asked(0),
        [
            "whether the page was used, the notifier is",
            "asked",
            "not asked",
        ],
    );
    fails(
        kind,
        Seen::AskedOfParts(1),
        [
            "whether the page was used, the notifier is",
            "asked",
            "asked of a part of it, and of a part of the next one",
        ],
    );
}

/// All pages but the one that the process has used itself.
#[test]
fn khugepaged_asks_about_pages_before_it_announces_them() {
    let before = StepKind::AskedBeforeStart;
    passes(before, Seen::Asked(PAGES - 1));
    let after = StepKind::AskedAfterStart;
    passes(after, Seen::Asked(0));
    fails(
        before,
        Seen::Asked(1),
        ["pages that are asked about before the start", "15", "1"],
    );
    fails(
        after,
        Seen::Asked(15),
        ["pages that are asked about after it", "0", "15"],
    );
}

#[test]
fn a_legal_registration_or_removal_succeeds() {
    for (kind, what) in [
        (StepKind::InvalidateBeside, "an invalidation beside it"),
        (StepKind::RegisterBefore, "registering before"),
        (
            StepKind::RegisterInInvalidation,
            "registering in an invalidation",
        ),
        (StepKind::Remove, "removing"),
        (
            StepKind::RemoveInInvalidation,
            "removing in an invalidation",
        ),
        (StepKind::RemoveAfter, "removing after"),
        (StepKind::RemoveAtExit, "removing while the process exits"),
    ] {
        passes(kind, Seen::Returned(0));
        fails(kind, Seen::Returned(-22), [what, "done", "EINVAL"]);
        fails(kind, Seen::StillWaits, [what, "done", "waits forever"]);
        fails(
            kind,
            Seen::CallerKilled,
            [what, "done", "the caller is killed"],
        );
    }
}

#[test]
fn a_registration_ends_as_its_way_demands() {
    use NotifierKind::{Interval, IntervalTwoPass, Plain, PlainEnd};
    let results = [
        (Seen::Returned(0), "done"),
        (Seen::Returned(-22), "EINVAL"),
        (Seen::StillWaits, "waits forever"),
        (Seen::CallerKilled, "the caller is killed"),
    ];
    for (way, of_plain, of_interval) in [
        (Way::Locked, "done", "done"),
        (Way::Unlocked, "done", "done"),
        (Way::Recursive, "waits forever", "done"),
        (Way::Atomic, "done", "done"),
        (Way::Twice, "done", "done"),
        (Way::AfterExit, "the caller is killed", "EINVAL"),
    ] {
        for (kind, due) in [
            (Plain, of_plain),
            (PlainEnd, of_plain),
            (Interval, of_interval),
            (IntervalTwoPass, of_interval),
        ] {
            let step = StepKind::Register(Registration { kind, way });
            for (seen, word) in results.clone() {
                if word == due {
                    passes(step, seen);
                } else {
                    fails(step, seen, ["registering", due, word]);
                }
            }
        }
    }
}

#[test]
fn the_pages_are_there_in_a_start_and_gone_in_an_end() {
    let half = PAGES / 2;
    let in_start = "while a start runs, the pages are";
    let in_end = "while an end runs, the pages are";
    for zapped in [0, half - 1] {
        passes(StepKind::PagesInStart, Seen::Zapped(zapped));
        fails(
            StepKind::PagesInEnd,
            Seen::Zapped(zapped),
            [in_end, "gone", "there"],
        );
    }
    for zapped in [half, PAGES] {
        passes(StepKind::PagesInEnd, Seen::Zapped(zapped));
        fails(
            StepKind::PagesInStart,
            Seen::Zapped(zapped),
            [in_start, "there", "gone"],
        );
    }
}

#[test]
fn a_refused_mrelease_fails_and_leaves_the_watched_pages() {
    passes(StepKind::Mrelease, Seen::Returned(EAGAIN));
    for errno in [0, -16] {
        fails(
            StepKind::Mrelease,
            Seen::Returned(errno),
            ["process_mrelease returns", "-11", &errno.to_string()],
        );
    }
    passes(StepKind::PagesLeft, Seen::Left(PAGES));
    for left in [0, PAGES - 1, PAGES + 1] {
        fails(
            StepKind::PagesLeft,
            Seen::Left(left),
            ["pages that are left", "16", &left.to_string()],
        );
    }
}

#[test]
fn a_callback_that_removes_its_notifier_waits_for_itself() {
    passes(StepKind::MunmapWithRemoval, Seen::StillWaits);
    for (errno, word) in [(0, "returns 0"), (-22, "returns -22")] {
        fails(
            StepKind::MunmapWithRemoval,
            Seen::Returned(errno),
            ["munmap", "waits forever", word],
        );
    }
}

#[test]
fn each_kind_of_notifier_has_its_callbacks_at_exit() {
    let start = |event| ExitCallback::Start {
        event,
        context: Context::Blockable,
    };
    let (release, unmap) = (start(NotifierEvent::Release), start(NotifierEvent::Unmap));
    let finish = ExitCallback::FollowUp(FollowUp::Finish);
    let end = ExitCallback::FollowUp(FollowUp::End);
    let released = ExitCallback::FollowUp(FollowUp::Release);
    let results = [
        (vec![released], "release"),
        (
            vec![release, unmap],
            "start (RELEASE, blockable), start (UNMAP, blockable)",
        ),
        (
            vec![release, finish, unmap, finish],
            "start (RELEASE, blockable), finish, start (UNMAP, blockable), finish",
        ),
        (vec![], "nothing"),
        (vec![released, released], "release, release"),
        (vec![released, end], "release, end"),
        (vec![release], "start (RELEASE, blockable)"),
    ];
    for (notifier, kind) in NotifierKind::ALL.into_iter().enumerate() {
        let due = match kind {
            NotifierKind::Plain
            | NotifierKind::PlainEnd
            | NotifierKind::PlainYoung
            | NotifierKind::Mirror
            | NotifierKind::SecondaryTlbs => 0,
            NotifierKind::Interval => 1,
            NotifierKind::IntervalTwoPass => 2,
        };
        let step = StepKind::Exit { notifier };
        let what = format!("what notifier {notifier} is told when the process exits");
        for (at, (callbacks, text)) in results.iter().enumerate() {
            let seen = Seen::Callbacks(callbacks.clone());
            if at == due {
                passes(step, seen);
            } else {
                fails(step, seen, [&what, results[due].1, text]);
            }
        }
    }
}

#[test]
fn a_release_comes_once() {
    let what = "releases when the notifier is removed";
    let is_gone = |o: &mut Observation| o.expectation.end = End::Gone;
    passes(StepKind::Removals, Seen::Releases(1));
    passes_if(StepKind::Removals, &Seen::Releases(0), is_gone);
    fails(StepKind::Removals, Seen::Releases(0), [what, "1", "0"]);
    fails(StepKind::Removals, Seen::Releases(2), [what, "1", "2"]);
    fails_if(
        StepKind::Removals,
        &Seen::Releases(1),
        is_gone,
        [what, "0", "1"],
    );
}

/// A recording that makes no sense proves nothing.
#[test]
fn a_step_that_cannot_be_is_no_verdict() {
    for (kind, seen) in [
        (StepKind::ReadBegin, Seen::Returned(0)),
        (StepKind::ReadBegin, Seen::CallerKilled),
        (StepKind::NextReadBegin, Seen::Number(3)),
        (StepKind::ReadBeginInInvalidation, Seen::StillWaits),
        (StepKind::Remove, Seen::Number(0)),
        (StepKind::PagesInStart, Seen::Left(0)),
        (StepKind::PagesLeft, Seen::Releases(PAGES)),
        (StepKind::Removals, Seen::Left(1)),
        (StepKind::Mrelease, Seen::StillWaits),
        (StepKind::MunmapWithRemoval, Seen::CallerKilled),
        // There is no such notifier.
        (
            StepKind::Exit {
                notifier: NotifierKind::ALL.len(),
            },
            Seen::Callbacks(vec![]),
        ),
    ] {
        let verdict = verdict_of(kind, &seen, |_| {});
        assert!(
            matches!(&verdict, Verdict::NoVerdict { reasons }
                if reasons.len() == 1 && reasons[0].starts_with("a step was recorded")),
            "{kind:?} {seen:?}: {verdict:?}"
        );
    }
}

#[test]
fn nothing_is_protected_beside_what_was_announced() {
    let kind = StepKind::ProtectedBeside;
    passes(kind, Seen::Protected(0));
    fails(
        kind,
        Seen::Protected(511),
        [
            "pages beside those that were announced that are write-protected",
            "0",
            "511",
        ],
    );
}
