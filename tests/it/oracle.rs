// SPDX-License-Identifier: GPL-2.0

//! The oracle: a correct kernel passes, and every way of being wrong is found.

use crate::history::*;
use mn_inject::kmsg::Record;
use mn_inject::model::KernelMessage;
use mn_inject::model::{
    Arming, Call, Context, Count, FindingKind, Form, Injection, NotifierEvent, NotifierKind,
    ReaperMessage, Recognised, ScenarioResult, Verdict, Window,
};

use mn_inject::oracle::{Judgement, NOTHING_FAILED, is_callback_warn, is_judged, judge};
use proptest::prelude::*;

fn no_verdict(result: &ScenarioResult) -> String {
    match &result.verdict {
        Verdict::NoVerdict { reasons } => reasons.join("\n"),
        other => panic!("{} is {other:?}", result.name),
    }
}

fn expect_of(kernel: Kernel) -> Option<Form> {
    match kernel {
        Kernel::Seed => Some(Form::Seed),
        _ => Some(Form::Mainline),
    }
}

/// Whether something failed in blockable context.
fn is_recognisable(windows: &[Window]) -> bool {
    windows
        .iter()
        .flat_map(|window| &window.observations)
        .flat_map(|o| &o.calls)
        .any(|call| call.returned != 0 && call.context == Context::Blockable)
}

/// What a record says, but for its place.
fn content(record: &Record) -> (u8, &Option<String>, &str) {
    (record.level, &record.caller, &record.text)
}

/// One thing done to the messages of ours.
#[derive(Clone, Debug)]
enum Damage {
    Drop,
    Double,
    Swap,
    Level,
    Errno,
    Context,
    Symbol,
    Module,
    Prefix,
    Caller,
    Pid,
}

const ALTERATIONS: [Damage; 8] = [
    Damage::Level,
    Damage::Errno,
    Damage::Context,
    Damage::Symbol,
    Damage::Module,
    Damage::Prefix,
    Damage::Caller,
    Damage::Pid,
];

impl Damage {
    /// Does it to record `at`; says what must be found, nothing where it cannot be done there.
    fn apply(
        &self,
        window: &mut Window,
        origins: &mut Vec<Origin>,
        at: usize,
    ) -> Option<FindingKind> {
        let is_warn = matches!(origins[at], Origin::WarnHeader { .. });
        let record = window.records[at].clone();
        let is_callback = record.text.starts_with(SYMBOL);
        let mut alter = |text: String| {
            let changed = text != window.records[at].text;
            window.records[at].text = text;
            changed.then_some(FindingKind::Altered)
        };
        match self {
            Damage::Drop => {
                window.records.remove(at);
                origins.remove(at);
                adjust(window, is_warn, -1);
                Some(FindingKind::DidNotFire)
            }
            Damage::Double => {
                window.records.insert(at, record);
                origins.insert(at, origins[at].clone());
                adjust(window, is_warn, 1);
                Some(FindingKind::FiredWhenItShouldNot)
            }
            Damage::Swap => {
                let other = (at + 1..origins.len()).find(|other| {
                    matches!(
                        origins[*other],
                        Origin::Ours { .. } | Origin::WarnHeader { .. }
                    )
                })?;
                let (a, b) = (&window.records[at], &window.records[other]);
                // Tasks may overtake one another.
                let task = |origin: &Origin, record: &Record| match origin {
                    Origin::Ours { observation } | Origin::WarnHeader { observation } => {
                        (*observation, record.caller.clone())
                    }
                    _ => unreachable!(),
                };
                if content(a) == content(b) || task(&origins[at], a) != task(&origins[other], b) {
                    return None;
                }
                // Without callers, one task's disorder can be another's overtaking.
                let mut tids: Vec<i32> = window
                    .observations
                    .iter()
                    .flat_map(|o| {
                        o.calls
                            .iter()
                            .filter(|c| c.returned != 0 || o.expectation.reaper.is_some())
                    })
                    .map(|call| call.tid)
                    .collect();
                tids.sort_unstable();
                tids.dedup();
                if record.caller.is_none() && tids.len() > 1 {
                    return None;
                }
                window.records.swap(at, other);
                origins.swap(at, other);
                Some(FindingKind::OutOfOrder)
            }
            Damage::Level => {
                window.records[at].level = if record.level == 6 { 5 } else { 3 };
                Some(FindingKind::Altered)
            }
            Damage::Errno => alter(record.text.replace("failed with -", "failed with -1")),
            Damage::Context => {
                let text = if record.text.contains("non-blockable") {
                    record.text.replace("non-blockable", "blockable")
                } else {
                    record.text.replace("in blockable", "in non-blockable")
                };
                alter(text)
            }
            Damage::Symbol if is_callback => {
                alter(record.text.replace("invalidate_range_start+", "release+"))
            }
            Damage::Module if is_callback => {
                alter(record.text.replace("[mmu_notifier_inject]", "[other]"))
            }
            Damage::Prefix if is_callback => alter(format!("mmu_notifier: {}", record.text)),
            Damage::Caller => {
                // A reaper that called for nobody is not known.
                let (Origin::Ours { observation } | Origin::WarnHeader { observation }) =
                    origins[at]
                else {
                    unreachable!();
                };
                let mut calls = window.observations[observation].calls.iter();
                if record.text.starts_with("oom_reaper")
                    && !calls.any(|call| call.context == Context::NonBlockable)
                {
                    return None;
                }
                window.records[at].caller = Some(format!("T{}", 12345));
                record.caller.map(|_| FindingKind::Altered)
            }
            Damage::Pid if is_warn => alter(match record.text.rsplit_once('/') {
                Some((head, pid)) if pid.parse::<i32>().is_ok() => format!("{head}/12345"),
                _ => record.text.replace("PID: ", "PID: 9"),
            }),
            _ => None,
        }
    }
}

/// Damages one message of the run and checks that it is found, in every way of asking.
fn is_found(
    style: Style,
    mut history: History,
    damage: &Damage,
    pick: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let places: Vec<(usize, usize, usize)> = history
        .origins
        .iter()
        .enumerate()
        .flat_map(|(window, origins)| {
            origins
                .iter()
                .enumerate()
                .filter_map(move |(at, origin)| match origin {
                    Origin::Ours { observation } | Origin::WarnHeader { observation } => {
                        Some((window, at, *observation))
                    }
                    _ => None,
                })
        })
        .collect();
    prop_assume!(!places.is_empty());
    let (w, at, observation) = places[pick.index(places.len())];
    let was_recognisable = is_recognisable(&history.windows);
    let kind = damage.apply(&mut history.windows[w], &mut history.origins[w], at);
    prop_assume!(kind.is_some());
    let kind = kind.unwrap();
    renumber(&mut history.windows[w]);

    let index: usize = history.windows[..w]
        .iter()
        .map(|window| window.observations.len())
        .sum::<usize>()
        + observation;
    for demanded in [None, expect_of(style.kernel)] {
        if demanded == None && !was_recognisable {
            continue;
        }
        let judgement = judge(&history.windows, demanded);
        if !judgement.doubts.is_empty() {
            // It could as well be the module that is wrong: see trust.rs.
            let could_be = matches!(damage, Damage::Drop | Damage::Errno | Damage::Caller);
            prop_assert!(could_be, "{damage:?}: {:?}", judgement.doubts);
            continue;
        }
        let found = kinds(&judgement.results[index]);
        prop_assert!(
            found.contains(&kind),
            "{damage:?} in {index} of {demanded:?}: {:?}",
            judgement.results[index].verdict
        );
        // Other windows are none of its business, unless the form itself cannot be told any more.
        if judgement.form_verdict == Verdict::Pass || demanded != None {
            let mut other = 0;
            for (number, window) in history.windows.iter().enumerate() {
                for _ in &window.observations {
                    if number != w {
                        prop_assert_eq!(&judgement.results[other].verdict, &Verdict::Pass);
                    }
                    other += 1;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 1_000_000, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_correct_kernel_passes((style, history) in any_history()) {
        for demanded in [None, expect_of(style.kernel)] {
            let judgement = judge(&history.windows, demanded);
            if is_recognisable(&history.windows) {
                prop_assert_eq!(&judgement.form_verdict, &Verdict::Pass);
                prop_assert_eq!(judgement.form, match style.kernel {
                    Kernel::Seed => Recognised::Seed,
                    _ => Recognised::Mainline,
                });
            } else {
                prop_assert_eq!(judgement.form, Recognised::Unknown);
            }
            for result in &judgement.results {
                let o = result.observation.as_ref().unwrap();
                let depends = o.calls.iter().any(|call| {
                    call.context == Context::NonBlockable
                        && call.returned != 0
                        && call.returned != EAGAIN
                });
                if demanded == None && judgement.form == Recognised::Unknown && depends {
                    let is_open = matches!(result.verdict, Verdict::NoVerdict { .. });
 prop_assert!(is_open);
                } else {
                    prop_assert_eq!(&result.verdict, &Verdict::Pass);
                }
            }
            // Nothing of ours is left over, and nothing is matched twice.
            let ours: usize = history.origins.iter().flatten()
                .filter(|origin| matches!(origin, Origin::Ours { .. } | Origin::WarnHeader { .. }))
                .count();
            let matched: Vec<u64> = judgement.results.iter()
                .flat_map(|result| &result.matched)
                .map(|matched| matched.kmsg_seq)
                .collect();
            if judgement.form != Recognised::Unknown || demanded != None {
                prop_assert_eq!(matched.len(), ours);
            }
        }
    }

    #[test]
    fn the_other_form_is_not_accepted((style, history) in any_history()) {
        prop_assume!(is_recognisable(&history.windows));
        let other = match style.kernel {
            Kernel::Seed => Some(Form::Mainline),
            _ => Some(Form::Seed),
        };
        let judgement = judge(&history.windows, other);
        let is_refused = matches!(judgement.form_verdict, Verdict::Fail { .. });
 prop_assert!(is_refused);
        for result in &judgement.results {
            let o = result.observation.as_ref().unwrap();
            if o.calls.iter().any(|call| call.returned != 0 && call.context == Context::Blockable) {
                let found = kinds(result);
                prop_assert!(found.contains(&FindingKind::DidNotFire));
                prop_assert!(found.contains(&FindingKind::FiredWhenItShouldNot));
            }
        }
    }

    #[test]
    fn a_dropped_message_is_found((style, history) in any_history(), pick: prop::sample::Index) {
        is_found(style, history, &Damage::Drop, pick)?;
    }

    #[test]
    fn a_doubled_message_is_found((style, history) in any_history(), pick: prop::sample::Index) {
        is_found(style, history, &Damage::Double, pick)?;
    }

    #[test]
    fn swapped_messages_are_found((style, history) in any_history(), pick: prop::sample::Index) {
        is_found(style, history, &Damage::Swap, pick)?;
    }

    #[test]
    fn an_altered_message_is_found(
        (style, history) in any_history(),
        pick: prop::sample::Index,
        damage in prop::sample::select(ALTERATIONS.to_vec()),
    ) {
        is_found(style, history, &damage, pick)?;
    }

    #[test]
    fn a_witness_that_disagrees_is_no_verdict(
        (_, history) in any_history(),
        w: prop::sample::Index,
        which in 0..13,
    ) {
        let mut windows = history.windows;
        let at = w.index(windows.len());
        let window = &mut windows[at];
        let o = &mut window.observations[0];
        match which {
            0 => window.lost = Some("overrun".into()),
            1 => window.warn_count = window.warn_count.map(|(a, b)| (a, b + 1)),
            2 => window.warn_count = window.warn_count.map(|(a, b)| (a + 1, b + 1)),
            3 => window.total_entries.1 += 1,
            4 => o.notifiers[0].counters.calls += 1,
            5 => o.notifiers[0].counters.injected += 1,
            6 => o.notifiers[0].counters.overwritten = 1,
            7 => o.trouble = Some("the target died".into()),
            8 => {
                // Somebody else's call on the same addresses, say kswapd's.
                let (start, end) = o.watched;
                let Some(call) = o.calls.iter_mut().find(|c| c.start < end && start < c.end) else {
                    return Ok(());
                };
                (call.tid, call.comm) = (77, "kswapd0".into());
            }
            9 => o.later.push(later()),
            11 => o.notifiers[0].counters.ends += 1,
            10 => {
                // What the log says of the injector is not what the callback returned.
                let Some(call) = o.calls.first_mut() else { return Ok(()) };
                call.injected = !call.injected;
            }
            _ => {
                // A call that the injector should have let through.
                let Some(call) = o.calls.first_mut() else { return Ok(()) };
                call.returned = -99;
            }
        }
        // A shift of both ends is no disagreement.
        let is_sound = which == 2;
        let judgement = judge(&windows, None);
        let first: usize = windows[..at].iter().map(|window| window.observations.len()).sum();
        let verdict = &judgement.results[first].verdict;
        prop_assert_eq!(matches!(verdict, Verdict::NoVerdict { .. }), !is_sound || {
            judgement.form == Recognised::Unknown && matches!(verdict, Verdict::NoVerdict { .. })
        }, "{:?}", verdict);
    }
}

/// A failing unmap, its two negative twins, and a reaper that is refused and one that is not.
fn suite() -> Vec<Vec<Plan>> {
    vec![
        one(Deed::Unmap(Arming::Fail(EAGAIN)), 2),
        one(Deed::Unmap(Arming::Filtered(EAGAIN)), 2),
        one(Deed::Unmap(Arming::Unarmed), 2),
        one(Deed::Mrelease(Arming::Fail(EAGAIN)), 3),
        [
            one(Deed::Oom(Arming::Fail(EAGAIN)), 20),
            one(Deed::Oom(Arming::Unarmed), 2),
        ]
        .concat(),
        one(Deed::Mrelease(Arming::Fail(-16)), 1),
    ]
}

fn run_suite(kernel: Kernel, demanded: Option<Form>) -> Judgement {
    judge(&history(Style::of(kernel), &suite(), &[]).windows, demanded)
}

const DID_NOT_FIRE: FindingKind = FindingKind::DidNotFire;
const FIRED: FindingKind = FindingKind::FiredWhenItShouldNot;

#[test]
fn a_kernel_without_a_check_fails() {
    let judgement = run_suite(Kernel::NoCheck, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    let Verdict::Fail { findings } = &judgement.form_verdict else {
        panic!("{:?}", judgement.form_verdict);
    };
    assert!(findings[0].text.contains("the kernel has no check"));
    let Verdict::Fail { findings } = &judgement.results[0].verdict else {
        panic!("{:?}", judgement.results[0]);
    };
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
    assert!(findings[0].text.contains("neither a pr_warn nor a WARN"));
    for result in &judgement.results[1..] {
        assert_eq!(result.verdict, Verdict::Pass);
    }
}

#[test]
fn the_inverted_check_is_told_in_both_ways() {
    let judgement = run_suite(Kernel::Inverted, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    assert_eq!(
        kind_names(&judgement),
        [
            vec![DID_NOT_FIRE; 2],
            vec![],
            vec![],
            vec![FIRED; 3],
            vec![FIRED; 20],
            vec![],
            vec![FIRED],
        ]
    );
}

#[test]
fn the_wrong_variable_warns_of_legal_refusals() {
    for demanded in [None, Some(Form::Mainline)] {
        let judgement = run_suite(Kernel::WrongVariable, demanded);
        assert_eq!(judgement.form, Recognised::Mainline);
        assert_eq!(judgement.form_verdict, Verdict::Pass);
        assert_eq!(
            kind_names(&judgement),
            [
                vec![],
                vec![],
                vec![],
                vec![FIRED; 3],
                vec![FIRED; 20],
                vec![],
                vec![],
            ]
        );
    }
}

#[test]
fn a_mixture_fails() {
    let judgement = run_suite(Kernel::Both, None);
    assert_eq!(judgement.form, Recognised::Mixed);
    assert!(matches!(judgement.form_verdict, Verdict::Fail { .. }));
    assert_eq!(kinds(&judgement.results[0]), [FIRED; 2]);
}

#[test]
fn a_check_that_fires_once_only_is_found() {
    let mut history = history(Style::of(Kernel::Mainline), &suite(), &[]);
    let last = history.origins[0]
        .iter()
        .rposition(|origin| matches!(origin, Origin::WarnHeader { .. }))
        .unwrap();
    Damage::Drop.apply(&mut history.windows[0], &mut history.origins[0], last);
    renumber(&mut history.windows[0]);
    let judgement = judge(&history.windows, None);
    assert_eq!(judgement.form, Recognised::Mainline);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE]);
}

/// Appends a WARN of another line of the same function, as for a notifier with an end callback.
#[test]
fn the_other_warn_on_is_not_due() {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let plan = one(Deed::Unmap(Arming::Fail(EAGAIN)), 0)[0];
    let mut o = observation(&plan, 1000);
    o.expectation.calls = mn_inject::model::Count::Exactly(2);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    for _ in 0..2 {
        let call = call(plan.deed, 1000, o.notifiers[0].notifier.arming);
        writer.call(&mut o, 0, call);
        let symbol = "mn_hlist_invalidate_range_start+0xed/0x1a0";
        let origin = Origin::WarnHeader { observation: 0 };
        writer.warn(origin, "mm/mmu_notifier.c:542", symbol, 1000, "victim (1)");
    }
    let (window, _) = writer.end(vec![o], warns, calls);
    let judgement = judge(&[window], None);
    assert_eq!(judgement.form_verdict, Verdict::Pass);
    assert_eq!(kinds(&judgement.results[0]), [FIRED; 2]);
    let Verdict::Fail { findings } = &judgement.results[0].verdict else {
        unreachable!();
    };
    assert!(
        findings
            .iter()
            .all(|f| f.seen.as_ref().unwrap().contains(":542"))
    );
}

#[test]
fn what_the_form_does_not_change_is_judged_without_it() {
    let windows = history(
        Style::of(Kernel::Seed),
        &[
            one(Deed::Mrelease(Arming::Fail(EAGAIN)), 3),
            one(Deed::Unmap(Arming::Unarmed), 3),
            one(Deed::Mrelease(Arming::Fail(-16)), 3),
        ],
        &[],
    )
    .windows;
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Unknown);
    assert_eq!(
        judgement.form_verdict,
        Verdict::Skip {
            reason: NOTHING_FAILED.into()
        }
    );
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[1].verdict, Verdict::Pass);
    assert!(no_verdict(&judgement.results[2]).contains("form of the check"));
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(judgement.results[2].verdict, Verdict::Pass);
}

#[test]
fn the_form_is_not_known_from_evidence_in_doubt() {
    let mut windows = history(Style::of(Kernel::NoCheck), &suite()[..1], &[]).windows;
    windows[0].lost = Some("overrun".into());
    let judgement = judge(&windows, None);
    assert!(matches!(judgement.form_verdict, Verdict::NoVerdict { .. }));
    assert!(no_verdict(&judgement.results[0]).contains("overrun"));
}

#[test]
fn disagreeing_witnesses_are_all_printed() {
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
fn another_driver_is_reported_and_not_counted() {
    let mut history = history(Style::of(Kernel::Seed), &suite()[..1], &[]);
    let mut line = history.windows[0].records.last().unwrap().clone();
    line.seq += 1;
    line.caller = Some("T900".into());
    line.text = "gpu_mn+0x0/0x10 [gpu] callback failure not allowed".into();
    history.windows[0].records.push(line);
    let result = &judge(&history.windows, None).results[0];
    assert_eq!(result.verdict, Verdict::Pass);
    assert_eq!(
        result.foreign,
        ["<4>[T900] gpu_mn+0x0/0x10 [gpu] callback failure not allowed"]
    );
}

#[test]
fn user_space_cannot_stand_in_for_the_kernel() {
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
fn the_wrong_word_of_the_reaper_is_found() {
    let plans = [one(Deed::Oom(Arming::Fail(EAGAIN)), 3)];
    let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
    windows[0].observations[0].expectation.reaper = Some(ReaperMessage::Reaped);
    let judgement = judge(&windows, Some(Form::Seed));
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE, FIRED]);
    // And one where none was due.
    windows[0].observations[0].expectation.reaper = None;
    assert_eq!(
        kinds(&judge(&windows, Some(Form::Seed)).results[0]),
        [FIRED]
    );
}

#[test]
fn calls_and_outcome_are_as_demanded() {
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

const NOTIFIER_WARN: &str =
    "WARNING: mm/mmu_notifier.c:534 at mn_hlist_invalidate_range_start+0xcd/0x1a0, CPU#1: a/1";
const LOCK_WARN: &str = "WARNING: include/linux/rwsem.h:85 at find_vma+0x1/0x2, CPU#1: a/1";
const LOCKDEP: &str = "WARNING: possible circular locking dependency detected";
const OOPS: &str = "Oops: invalid opcode: 0000 [#1] SMP";

/// What is not judged is trouble, so that a complaint that nobody judges does not get lost.
#[test]
fn only_complaints_that_a_scenario_is_about_are_judged() {
    let mut window = history(Style::of(Kernel::Seed), &suite()[..1], &[])
        .windows
        .remove(0);
    let judged = |window: &Window| {
        [
            NOTIFIER_WARN,
            LOCK_WARN,
            "WARNING: drivers/some.c:7 at some+0x1/0x2, CPU#1: a/1",
            LOCKDEP,
            OOPS,
            "BUG: KASAN: slab-use-after-free in x+0x1/0x2",
            &format!("{SYMBOL} callback failure not allowed"),
        ]
        .map(|text| is_judged(&line(text), window))
    };
    let callback_warns_only = [true, false, false, false, false, false, false];
    assert_eq!(judged(&window), callback_warns_only);
    window.observations[0].expectation.judges_symptoms = true;
    assert_eq!(
        judged(&window),
        [true, true, false, true, false, false, false]
    );
    window.observations[0].expectation.said = vec![KernelMessage::DeadBug];
    assert_eq!(
        judged(&window),
        [true, true, false, true, true, false, false]
    );
    // User space can write what it likes.
    let mut fake = line(NOTIFIER_WARN);
    fake.facility = 1;
    assert!(!is_judged(&fake, &window));
}

#[test]
fn warns_about_callbacks_are_told_from_others() {
    for name in [
        "mn_hlist_invalidate_range_start",
        "mn_itree_invalidate",
        "mn_itree_release",
        "__mmu_notifier_invalidate_range_start",
        "__mmu_notifier_release",
    ] {
        let text = format!("WARNING: mm/mmu_notifier.c:534 at {name}+0x1/0x2, CPU#1: a/1");
        assert!(is_callback_warn(&line(&text)), "{text}");
    }
    for text in [
        "WARNING: mm/mmu_notifier.c:900 at __mmu_interval_notifier_insert+0x1/0x2, CPU#1: a/1",
        LOCK_WARN,
        LOCKDEP,
        &format!("{SYMBOL} callback failure not allowed"),
    ] {
        assert!(!is_callback_warn(&line(text)), "{text}");
    }
}

/// How many pages reclaim finds is not the check's business: too few prove nothing.
#[test]
fn too_few_calls_of_reclaim_are_no_verdict() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    windows[0].observations[0].expectation.calls = mn_inject::model::Count::AtLeast(100);
    let verdict = &judge(&windows, Some(Form::Seed)).results[0].verdict;
    assert!(
        matches!(verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("at least 100")),
        "{verdict:?}"
    );
}

/// Two targets fail at the same time: calls A B A B ..., then the lines in the order that is given.
fn concurrent(callers: bool, order: &[(usize, usize)]) -> Judgement {
    let mut style = Style::of(Kernel::Seed);
    style.callers = callers;
    let mut writer = Writer::new(style, &[]);
    // Two lines of each call.
    let calls = order.iter().map(|(_, line)| line / 2 + 1).max().unwrap();
    let plan = |errno| Plan {
        deed: Deed::Unmap(Arming::Fail(errno)),
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
                call(plans[index].deed, o.pid, o.notifiers[0].notifier.arming),
            );
        }
    }
    for (index, o) in observations.iter().enumerate() {
        for call in &o.calls {
            writer.print(index, call);
        }
    }
    let (mut window, _) = writer.end(observations, 3, 0);
    // Printed as A1i A1w A2i A2w ... B1i B1w B2i B2w ...; now in the order asked for.
    let lines = window.records.clone();
    window.records = order
        .iter()
        .map(|(o, n)| lines[o * 2 * calls + n].clone())
        .collect();
    renumber(&mut window);
    judge(&[window], Some(Form::Seed))
}

#[test]
fn tasks_may_overtake_one_another_as_far_as_they_can() {
    // The module logged A1 B1 A2 B2; only a task's own next call sets a limit to its lines.
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
    // A's first lines behind B's second call, before which A called again.
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
fn without_callers_an_order_that_cannot_be_is_no_pass() {
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

#[test]
fn a_missing_line_that_can_be_of_two_scenarios_passes_in_neither() {
    // Two mrelease scenarios in one window: same task, same lines.
    let plans = [[
        one(Deed::Mrelease(Arming::Fail(EAGAIN)), 3),
        one(Deed::Mrelease(Arming::Fail(EAGAIN)), 3),
    ]
    .concat()];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    Damage::Drop.apply(&mut history.windows[0], &mut history.origins[0], 1);
    renumber(&mut history.windows[0]);
    for result in judge(&history.windows, Some(Form::Seed)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE]);
    }
}

/// What two scenarios in one window do, the one after the other.
fn both(style: Style, first: Deed, second: Deed) -> Window {
    let plans = [[one(first, 1), one(second, 1)].concat()];
    history(style, &plans, &[]).windows.remove(0)
}

#[test]
fn a_surplus_message_is_blamed_on_its_task_alone() {
    let (fails, agrees) = (
        Deed::Unmap(Arming::Fail(EAGAIN)),
        Deed::Unmap(Arming::Unarmed),
    );
    let mut window = both(Style::of(Kernel::Seed), fails, agrees);
    let end = window.records.len();
    let text = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, end, 4, 1001, &text);
    assert_eq!(
        kind_names(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FIRED]]
    );

    // Where lines do not name their task, a WARN does.
    let mut style = Style::of(Kernel::Mainline);
    style.callers = false;
    let mut window = both(style, fails, agrees);
    let end = window.records.len();
    let text = NOTIFIER_WARN.replace(": a/1", ": victim (1)/1001");
    insert(&mut window, end, 4, 1001, &text);
    assert_eq!(
        kind_names(&judge(&[window], Some(Form::Mainline))),
        [vec![], vec![FIRED]]
    );
}

/// Both lines of a failure are missing, and those of the one before and after it are the same.
#[test]
fn missing_lines_that_can_be_of_two_scenarios_are_missing_in_both() {
    let refused = Deed::Mrelease(Arming::Fail(-16));
    let mut history = history(
        Style::of(Kernel::Mainline),
        &[[one(refused, 1), one(refused, 1)].concat()],
        &[],
    );
    let (window, origins) = (&mut history.windows[0], &mut history.origins[0]);
    for _ in 0..2 {
        let at = origins.iter().rposition(|origin| *origin != Origin::Noise);
        Damage::Drop.apply(window, origins, at.unwrap());
    }
    renumber(window);
    for result in judge(&history.windows, Some(Form::Mainline)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE; 2]);
    }
}

/// The first of two equal lines is missing, or the second, which is in the next scenario.
#[test]
fn a_line_that_is_missing_before_an_equal_one_can_be_of_either_scenario() {
    let refused = Deed::Mrelease(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    window.records[0].text = format!("{SYMBOL} callback failure not allowed");
    window.records[0].level = 4;
    for result in judge(&[window], Some(Form::Seed)).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE, FIRED]);
    }
}

#[test]
fn what_comes_behind_a_closing_line_is_of_the_next_victim() {
    let refused = Deed::Oom(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    let complaint = format!("{SYMBOL} callback failure not allowed");
    // Behind the first victim's info line and closing line.
    insert(&mut window, 2, 4, REAPER_TID, &complaint);
    assert_eq!(
        kind_names(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FIRED]]
    );
}

/// The first scenario has no line that the complaint could stand next to, but it called before it.
#[test]
fn a_complaint_can_be_of_a_scenario_that_no_line_is_due_in() {
    let agrees = Deed::Mrelease(Arming::Unarmed);
    let refused = Deed::Mrelease(Arming::Fail(EAGAIN));
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

/// A's first lines come behind those of B's second call, before which A called again.
#[test]
fn the_earliest_call_that_a_line_came_after_counts() {
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
        kind_names(&judgement),
        [vec![FindingKind::OutOfOrder], vec![]]
    );
    // Of the two lines about that call, the last is told.
    let due = findings(&judgement.results[0]).remove(0).due.unwrap();
    assert!(due.ends_with("callback failure not allowed"), "{due}");
}

/// Without callers it is not known whose a line is, so overtaking is none where another is missing.
#[test]
fn without_callers_a_missing_line_is_no_disorder() {
    // All of B before all of A, but for the last line of A.
    let order = [(1, 0), (1, 1), (1, 2), (1, 3), (0, 0), (0, 1), (0, 2)];
    let found = kind_names(&concurrent(false, &order)).concat();
    assert!(found.contains(&DID_NOT_FIRE), "{found:?}");
    assert!(!found.contains(&FindingKind::OutOfOrder), "{found:?}");
}

#[test]
fn one_task_does_not_overtake_itself() {
    let mut style = Style::of(Kernel::Seed);
    style.callers = false;
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 3)];
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
fn without_callers_a_disorder_that_no_choice_explains_is_found() {
    // A's first complaint twice in a row.
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
    let found = kind_names(&judgement).concat();
    assert!(found.contains(&FindingKind::OutOfOrder), "{found:?}");
}

/// A fails with -EAGAIN, and B with -EAGAIN and then -EBUSY: whose the first line is, is not known
/// until the third comes.
#[test]
fn without_callers_equal_lines_of_two_tasks_are_no_verdict() {
    let mut style = Style::of(Kernel::Seed);
    style.callers = false;
    let mut writer = Writer::new(style, &[]);
    let fails = |errno| subscriber(NotifierKind::Plain, Arming::Fail(errno));
    let plan = one(Deed::Unmap(Arming::Fail(EAGAIN)), 1)[0];
    let mut a = observation(&plan, 1000);
    let mut b = observation(&plan, 1001);
    // The last that is attached is called first.
    b.notifiers = vec![fails(-16), fails(EAGAIN)];
    writer.log(&mut a, call(plan.deed, 1000, Arming::Fail(EAGAIN)));
    for (notifier, errno) in [(1, EAGAIN), (0, -16)] {
        let call = call(plan.deed, 1001, Arming::Fail(errno));
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

/// Six hundred failures of which first all info lines come and then all complaints.
fn shuffled() -> Window {
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 600)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    window.records.sort_by_key(|record| record.level == 4);
    renumber(&mut window);
    window
}

#[test]
fn a_thorough_disorder_is_one_finding() {
    let found = |window| kinds(&judge(&[window], Some(Form::Seed)).results[0]);
    assert_eq!(found(shuffled()), [FindingKind::OutOfOrder]);
    // Where something is missing or too much besides, that is the finding.
    let mut window = shuffled();
    window.records.pop();
    assert_eq!(found(window), [DID_NOT_FIRE]);
    let mut window = shuffled();
    let text = format!("{SYMBOL} callback failure not allowed");
    insert(&mut window, 1200, 4, 1000, &text);
    assert_eq!(found(window), [FIRED]);
}

/// Two tasks of which every line is wrong, and one has one line more than is due.
#[test]
fn many_wrong_lines_are_told_task_by_task() {
    let deed = Deed::Unmap(Arming::Fail(EAGAIN));
    let plans = [[one(deed, 600), one(deed, 600)].concat()];
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

/// The second and the fourth of four equal lines are wrong: each of the scenarios has one of them.
#[test]
fn wrong_lines_among_equal_ones_are_found_in_every_scenario_they_can_be_of() {
    let refused = Deed::Mrelease(Arming::Fail(EAGAIN));
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
fn a_wrong_line_in_its_very_place_is_of_its_scenario_alone() {
    let refused = Deed::Mrelease(Arming::Fail(EAGAIN));
    let mut window = both(Style::of(Kernel::Seed), refused, refused);
    window.records[1].level = 5;
    assert_eq!(
        kind_names(&judge(&[window], Some(Form::Seed))),
        [vec![], vec![FindingKind::Altered]]
    );
}

#[test]
fn a_wrong_line_is_not_taken_for_the_next_one() {
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 2)];
    let mut window = history(Style::of(Kernel::Seed), &plans, &[])
        .windows
        .remove(0);
    window.records[3].level = 5;
    window.records.remove(1);
    renumber(&mut window);
    let found = findings(&judge(&[window], Some(Form::Seed)).results[0]);
    let told: Vec<_> = found.iter().map(|f| (f.kind, f.call_seq)).collect();
    assert_eq!(
        told,
        [(DID_NOT_FIRE, Some(1)), (FindingKind::Altered, Some(2))]
    );
}

/// What is missing of one task and too much of another is the same message only where nothing but
/// the task differs.
#[test]
fn a_line_of_another_task_is_another_line() {
    let fails = Deed::Unmap(Arming::Fail(EAGAIN));
    let agrees = Deed::Unmap(Arming::Unarmed);
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
            kind_names(&judge(&[window], Some(Form::Seed))),
            [first, second],
            "{level} {text}"
        );
    }
}

#[test]
fn a_complaint_without_its_info_line_shows_the_form() {
    for (kernel, form) in [
        (Kernel::Seed, Recognised::Seed),
        (Kernel::Mainline, Recognised::Mainline),
    ] {
        let mut windows = history(Style::of(kernel), &suite()[..1], &[]).windows;
        windows[0].records.retain(|record| record.level == 4);
        renumber(&mut windows[0]);
        let judgement = judge(&windows, None);
        assert_eq!(judgement.form, form);
        assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
    }
}

/// The module knows in which context it was called.
#[test]
fn the_form_does_not_depend_on_the_word_of_the_info_line() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[..1], &[]).windows;
    for record in &mut windows[0].records {
        record.text = record.text.replace("in blockable", "in non-blockable");
    }
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Seed);
    assert_eq!(judgement.form_verdict, Verdict::Pass);
    assert_eq!(
        kinds(&judgement.results[0]),
        [FindingKind::Altered, FindingKind::Altered]
    );
}

/// Of a check that comes from several places, the most frequent is the check's.
#[test]
fn a_single_warn_from_another_place_is_wrong() {
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 3)];
    let mut windows = history(Style::of(Kernel::Mainline), &plans, &[]).windows;
    let mut records = windows[0].records.iter_mut();
    let first = records.find(|record| record.text.starts_with("WARNING"));
    let first = first.unwrap();
    first.text = first.text.replace(":534", ":999");
    let found = findings(&judge(&windows, None).results[0]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].text,
        "the place is mm/mmu_notifier.c:999, not mm/mmu_notifier.c:534"
    );
}

/// Where nothing failed in blockable context, the check is known from -EBUSY in the other.
#[test]
fn the_check_is_not_where_legal_refusals_are_complained_about() {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let busy = one(Deed::Mrelease(Arming::Fail(-16)), 1);
    let legal = one(Deed::Mrelease(Arming::Fail(EAGAIN)), 3);
    let (busy, _) = writer.window(&busy, 1000);
    let (mut legal, _) = writer.window(&legal, 1100);
    for at in (1..=3).rev() {
        let text = NOTIFIER_WARN.replace(":534", ":999");
        let text = text.replace(": a/1", ": mn-inject/70");
        insert(&mut legal, at, 4, RUNNER_TID, &text);
    }
    let judgement = judge(&[busy, legal], Some(Form::Mainline));
    assert_eq!(kind_names(&judgement), [vec![], vec![FIRED; 3]]);
}

#[test]
fn a_mixture_is_held_to_what_it_does_more_often() {
    let mut windows = history(Style::of(Kernel::Both), &suite()[..1], &[]).windows;
    // As many of both: the WARNs are too much.
    for finding in findings(&judge(&windows, None).results[0]) {
        assert!(finding.seen.unwrap().contains("WARNING"));
    }
    // One pr_warn less: the other one is too much.
    let is_pr_warn = |record: &Record| record.text.ends_with("not allowed");
    let at = windows[0].records.iter().position(is_pr_warn).unwrap();
    windows[0].records.remove(at);
    renumber(&mut windows[0]);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::Mixed);
    let found = findings(&judgement.results[0]);
    assert_eq!(found.len(), 1);
    assert!(found[0].seen.as_ref().unwrap().contains("not allowed"));
}

/// A check that forgets the blockable context: the form shows in the other.
#[test]
fn a_check_that_is_only_in_the_other_context_is_of_its_form_there() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite(), &[]).windows;
    let window = &mut windows[0];
    window
        .records
        .retain(|record| !record.text.starts_with("WARNING: "));
    adjust(window, true, -2);
    renumber(window);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    let mut found = kind_names(&judgement);
    assert_eq!(found.remove(0), [DID_NOT_FIRE; 2]);
    assert!(found.concat().is_empty(), "{found:?}");

    // The same with pr_warns, and one WARN among them.
    let mut windows = history(Style::of(Kernel::Inverted), &suite(), &[]).windows;
    let end = windows[5].records.len();
    let text = NOTIFIER_WARN.replace(": a/1", ": mn-inject/70");
    insert(&mut windows[5], end, 4, RUNNER_TID, &text);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.form, Recognised::InfoOnly);
    assert_eq!(kind_names(&judgement)[6], [FIRED; 2]);
}

#[test]
fn the_form_is_open_where_it_could_have_been_seen() {
    let form_of = |windows: &[Window]| judge(windows, None).form_verdict;
    // Nothing was to fail, but who knows.
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    assert!(matches!(form_of(&windows), Verdict::Skip { .. }));
    windows[0].lost = Some("overrun".into());
    assert!(matches!(form_of(&windows), Verdict::NoVerdict { .. }));

    // One was to fail, and was not called.
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 0)];
    let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
    assert!(matches!(form_of(&windows), Verdict::Skip { .. }));
    windows[0].observations[0].expectation.calls = Count::Exactly(1);
    let verdict = form_of(&windows);
    assert!(
        matches!(&verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("1 scenarios")),
        "{verdict:?}"
    );
}

/// Without callers, what stands before a WARN can be of another task.
#[test]
fn without_callers_a_warn_is_of_the_task_that_it_names() {
    let mut style = Style::of(Kernel::Mainline);
    style.callers = false;
    let mut windows = history(style, &suite()[..1], &[]).windows;
    let foreign = "gpu_mn+0x0/0x10 [gpu] callback failed with -11 in blockable context.";
    insert(&mut windows[0], 1, 6, 900, foreign);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
}

/// Another driver's notifier fails in our own task: one WARN is about that, and a second is not.
#[test]
fn a_warn_is_about_the_callback_that_the_line_before_it_names() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite()[..1], &[]).windows;
    let end = windows[0].records.len();
    let foreign = "gpu_mn+0x0/0x10 [gpu] callback failed with -11 in blockable context.";
    let warn = NOTIFIER_WARN.replace(": a/1", ": victim (1)/1000");
    insert(&mut windows[0], end, 6, 1000, foreign);
    insert(&mut windows[0], end + 1, 4, 1000, &warn);
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[0].foreign.len(), 2);
    insert(&mut windows[0], end + 2, 4, 1000, &warn);
    assert_eq!(kinds(&judge(&windows, None).results[0]), [FIRED]);
}

#[test]
fn the_modules_clock_does_not_go_back() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[..1], &[]).windows;
    let calls = &mut windows[0].observations[0].calls;
    calls[2].time_ns = calls[1].time_ns;
    let judgement = judge(&windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    windows[0].observations[0].calls[2].time_ns -= 1;
    let judgement = judge(&windows, None);
    assert!(no_verdict(&judgement.results[0]).contains("back in time"));
}

#[test]
fn calls_beside_the_watched_addresses_are_nobodys_business() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    let (start, end) = windows[0].observations[0].watched;
    for range in [(0, start), (end, end + 0x1000), (0, 1 << 63), (0, u64::MAX)] {
        let call = &mut windows[0].observations[0].calls[0];
        (call.start, call.end) = range;
        (call.tid, call.comm) = (77, "kswapd0".into());
        let judgement = judge(&windows, Some(Form::Seed));
        assert_eq!(judgement.results[0].verdict, Verdict::Pass, "{range:x?}");
    }
    // One byte of them is enough.
    for range in [(0, start + 1), (end - 1, end + 0x1000)] {
        let call = &mut windows[0].observations[0].calls[0];
        (call.start, call.end) = range;
        let judgement = judge(&windows, Some(Form::Seed));
        assert!(no_verdict(&judgement.results[0]).contains("somebody else"));
    }
}

/// The log says what was done to a call; where that is not what was set, nothing can be judged.
#[test]
fn an_injector_that_does_something_else_is_no_verdict() {
    const CLEAR: NotifierEvent = NotifierEvent::Clear;
    const UNMAP: NotifierEvent = NotifierEvent::Unmap;
    let fails = Arming::Fail(EAGAIN);
    let sleeps = Arming::AtStart(Injection::Sleep);
    for (arming, event, returned, injected, is_as_told) in [
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
        let plans = [one(Deed::Unmap(arming), 1)];
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
            is_doubted, !is_as_told,
            "{arming:?} {event} {returned} {injected}: {:?}",
            result.verdict
        );
    }
    // Elsewhere it does nothing, whatever is set.
    for injected in [false, true] {
        let plans = [one(Deed::Unmap(sleeps), 0)];
        let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
        let o = &mut windows[0].observations[0];
        o.calls[0].injected = injected;
        recount(o);
        let verdict = &judge(&windows, Some(Form::Seed)).results[0].verdict;
        assert_eq!(*verdict == Verdict::Pass, !injected, "{verdict:?}");
    }
}

#[test]
fn a_million_events_are_no_burden() {
    let plans = [one(Deed::Unmap(Arming::Fail(EAGAIN)), 500_000)];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    let started = std::time::Instant::now();
    let judgement = judge(&history.windows, None);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[0].matched.len(), 1_000_000);
    println!("all right: {:?}", started.elapsed());

    // All wrong is not slower by an order of magnitude.
    for record in &mut history.windows[0].records {
        record.level += 1;
    }
    let found = kinds(&judge(&history.windows, None).results[0]);
    assert!(found.iter().all(|kind| *kind == FindingKind::Altered));
    println!("all wrong: {:?}", started.elapsed());
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
