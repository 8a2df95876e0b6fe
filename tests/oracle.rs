// SPDX-License-Identifier: GPL-2.0

//! The oracle: a correct kernel passes, and every way of being wrong is found.

#[path = "common/history.rs"]
#[expect(dead_code, reason = "the contract's tests need the rest")]
mod history;

use history::*;
use mn_inject::kmsg::Record;
use mn_inject::model::{
    Arming, Context, Expect, FindingKind, Form, NotifierEvent, ReaperWord, ScenarioResult, Verdict,
    Window,
};
use mn_inject::oracle::{Judgement, NOTHING_FAILED, judge};
use proptest::prelude::*;

fn kinds(result: &ScenarioResult) -> Vec<FindingKind> {
    match &result.verdict {
        Verdict::Fail { findings } => findings.iter().map(|finding| finding.kind).collect(),
        _ => Vec::new(),
    }
}

fn kind_names(judgement: &Judgement) -> Vec<Vec<FindingKind>> {
    judgement.results.iter().map(kinds).collect()
}

fn no_verdict(result: &ScenarioResult) -> String {
    match &result.verdict {
        Verdict::NoVerdict { reasons } => reasons.join("\n"),
        other => panic!("{} is {other:?}", result.name),
    }
}

fn expect_of(kernel: Kernel) -> Expect {
    match kernel {
        Kernel::Seed => Expect::Seed,
        _ => Expect::Mainline,
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
    fn apply(&self, window: &mut Window, roles: &mut Vec<Role>, at: usize) -> Option<FindingKind> {
        let is_warn = matches!(roles[at], Role::WarnHeader { .. });
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
                roles.remove(at);
                adjust(window, is_warn, -1);
                Some(FindingKind::DidNotFire)
            }
            Damage::Double => {
                window.records.insert(at, record);
                roles.insert(at, roles[at].clone());
                adjust(window, is_warn, 1);
                Some(FindingKind::FiredWhenItShouldNot)
            }
            Damage::Swap => {
                let other = (at + 1..roles.len()).find(|other| {
                    matches!(roles[*other], Role::Ours { .. } | Role::WarnHeader { .. })
                })?;
                let (a, b) = (&window.records[at], &window.records[other]);
                // Tasks may overtake one another.
                let task = |role: &Role, record: &Record| match role {
                    Role::Ours { observation } | Role::WarnHeader { observation } => {
                        (*observation, record.caller.clone())
                    }
                    _ => unreachable!(),
                };
                if content(a) == content(b) || task(&roles[at], a) != task(&roles[other], b) {
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
                roles.swap(at, other);
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
                let (Role::Ours { observation } | Role::WarnHeader { observation }) = roles[at]
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

fn adjust(window: &mut Window, is_warn: bool, by: i64) {
    if let Some((_, after)) = &mut window.warn_count
        && is_warn
    {
        *after = after.checked_add_signed(by).unwrap();
    }
}

fn renumber(window: &mut Window) {
    let first = window.records.first().map_or(0, |record| record.seq);
    for (seq, record) in (first..).zip(&mut window.records) {
        record.seq = seq;
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
        .roles
        .iter()
        .enumerate()
        .flat_map(|(window, roles)| {
            roles
                .iter()
                .enumerate()
                .filter_map(move |(at, role)| match role {
                    Role::Ours { observation } | Role::WarnHeader { observation } => {
                        Some((window, at, *observation))
                    }
                    _ => None,
                })
        })
        .collect();
    prop_assume!(!places.is_empty());
    let (w, at, observation) = places[pick.index(places.len())];
    let was_recognisable = is_recognisable(&history.windows);
    let kind = damage.apply(&mut history.windows[w], &mut history.roles[w], at);
    prop_assume!(kind.is_some());
    let kind = kind.unwrap();
    renumber(&mut history.windows[w]);

    let index: usize = history.windows[..w]
        .iter()
        .map(|window| window.observations.len())
        .sum::<usize>()
        + observation;
    for demanded in [Expect::Auto, expect_of(style.kernel)] {
        if demanded == Expect::Auto && !was_recognisable {
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
        if judgement.form_verdict == Verdict::Pass || demanded != Expect::Auto {
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
        for demanded in [Expect::Auto, expect_of(style.kernel)] {
            let judgement = judge(&history.windows, demanded);
            if is_recognisable(&history.windows) {
                prop_assert_eq!(&judgement.form_verdict, &Verdict::Pass);
                prop_assert_eq!(judgement.form, match style.kernel {
                    Kernel::Seed => Form::Seed,
                    _ => Form::Mainline,
                });
            } else {
                prop_assert_eq!(judgement.form, Form::Unknown);
            }
            for result in &judgement.results {
                let o = result.observation.as_ref().unwrap();
                let depends = o.calls.iter().any(|call| {
                    call.context == Context::NonBlockable
                        && call.returned != 0
                        && call.returned != EAGAIN
                });
                if demanded == Expect::Auto && judgement.form == Form::Unknown && depends {
                    let is_open = matches!(result.verdict, Verdict::NoVerdict { .. });
 prop_assert!(is_open);
                } else {
                    prop_assert_eq!(&result.verdict, &Verdict::Pass);
                }
            }
            // Nothing of ours is left over, and nothing is matched twice.
            let ours: usize = history.roles.iter().flatten()
                .filter(|role| matches!(role, Role::Ours { .. } | Role::WarnHeader { .. }))
                .count();
            let matched: Vec<u64> = judgement.results.iter()
                .flat_map(|result| &result.matched)
                .map(|matched| matched.kmsg_seq)
                .collect();
            if judgement.form != Form::Unknown || demanded != Expect::Auto {
                prop_assert_eq!(matched.len(), ours);
            }
        }
    }

    #[test]
    fn the_other_form_is_not_accepted((style, history) in any_history()) {
        prop_assume!(is_recognisable(&history.windows));
        let other = match style.kernel {
            Kernel::Seed => Expect::Mainline,
            _ => Expect::Seed,
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
        let judgement = judge(&windows, Expect::Auto);
        let first: usize = windows[..at].iter().map(|window| window.observations.len()).sum();
        let verdict = &judgement.results[first].verdict;
        prop_assert_eq!(matches!(verdict, Verdict::NoVerdict { .. }), !is_sound || {
            judgement.form == Form::Unknown && matches!(verdict, Verdict::NoVerdict { .. })
        }, "{:?}", verdict);
    }
}

fn one(deed: Deed, calls: u64) -> Vec<Plan> {
    vec![Plan {
        deed,
        calls,
        elsewhere: 1,
    }]
}

/// A failing unmap, its two negative twins, and a reaper that is refused and one that is not.
fn suite() -> Vec<Vec<Plan>> {
    vec![
        one(Deed::Unmap(Arming::Inject(EAGAIN)), 2),
        one(Deed::Unmap(Arming::Filtered(EAGAIN)), 2),
        one(Deed::Unmap(Arming::Unarmed), 2),
        one(Deed::Mrelease(Arming::Inject(EAGAIN)), 3),
        [
            one(Deed::Oom(Arming::Inject(EAGAIN)), 20),
            one(Deed::Oom(Arming::Unarmed), 2),
        ]
        .concat(),
        one(Deed::Mrelease(Arming::Inject(-16)), 1),
    ]
}

fn run_suite(kernel: Kernel, demanded: Expect) -> Judgement {
    judge(&history(Style::of(kernel), &suite(), &[]).windows, demanded)
}

const DID_NOT_FIRE: FindingKind = FindingKind::DidNotFire;
const FIRED: FindingKind = FindingKind::FiredWhenItShouldNot;

#[test]
fn a_kernel_without_a_check_fails() {
    let judgement = run_suite(Kernel::NoCheck, Expect::Auto);
    assert_eq!(judgement.form, Form::InfoOnly);
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
    let judgement = run_suite(Kernel::Inverted, Expect::Auto);
    assert_eq!(judgement.form, Form::InfoOnly);
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
    for demanded in [Expect::Auto, Expect::Mainline] {
        let judgement = run_suite(Kernel::WrongVariable, demanded);
        assert_eq!(judgement.form, Form::Mainline);
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
    let judgement = run_suite(Kernel::Both, Expect::Auto);
    assert_eq!(judgement.form, Form::Mixed);
    assert!(matches!(judgement.form_verdict, Verdict::Fail { .. }));
    assert_eq!(kinds(&judgement.results[0]), [FIRED; 2]);
}

#[test]
fn a_check_that_fires_once_only_is_found() {
    let mut history = history(Style::of(Kernel::Mainline), &suite(), &[]);
    let last = history.roles[0]
        .iter()
        .rposition(|role| matches!(role, Role::WarnHeader { .. }))
        .unwrap();
    Damage::Drop.apply(&mut history.windows[0], &mut history.roles[0], last);
    renumber(&mut history.windows[0]);
    let judgement = judge(&history.windows, Expect::Auto);
    assert_eq!(judgement.form, Form::Mainline);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE]);
}

/// Appends a WARN of another line of the same function, as for a notifier with an end callback.
#[test]
fn the_other_warn_on_is_not_due() {
    let mut writer = Writer::new(Style::of(Kernel::Mainline), &[]);
    let plan = one(Deed::Unmap(Arming::Inject(EAGAIN)), 0)[0];
    let mut o = observation(&plan, 1000);
    o.expectation.calls = mn_inject::model::Count::Exactly(2);
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    for _ in 0..2 {
        let call = call(plan.deed, 1000, o.notifiers[0].role.arming);
        writer.call(&mut o, 0, call);
        let symbol = "mn_hlist_invalidate_range_start+0xed/0x1a0";
        let role = Role::WarnHeader { observation: 0 };
        writer.warn(role, "mm/mmu_notifier.c:542", symbol, 1000, "victim (1)");
    }
    let (window, _) = writer.end(vec![o], warns, calls);
    let judgement = judge(&[window], Expect::Auto);
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
            one(Deed::Mrelease(Arming::Inject(EAGAIN)), 3),
            one(Deed::Unmap(Arming::Unarmed), 3),
            one(Deed::Mrelease(Arming::Inject(-16)), 3),
        ],
        &[],
    )
    .windows;
    let judgement = judge(&windows, Expect::Auto);
    assert_eq!(judgement.form, Form::Unknown);
    assert_eq!(
        judgement.form_verdict,
        Verdict::Skip {
            reason: NOTHING_FAILED.into()
        }
    );
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[1].verdict, Verdict::Pass);
    assert!(no_verdict(&judgement.results[2]).contains("form of the check"));
    let judgement = judge(&windows, Expect::Seed);
    assert_eq!(judgement.results[2].verdict, Verdict::Pass);
}

#[test]
fn the_form_is_not_known_from_evidence_in_doubt() {
    let mut windows = history(Style::of(Kernel::NoCheck), &suite()[..1], &[]).windows;
    windows[0].lost = Some("overrun".into());
    let judgement = judge(&windows, Expect::Auto);
    assert!(matches!(judgement.form_verdict, Verdict::NoVerdict { .. }));
    assert!(no_verdict(&judgement.results[0]).contains("overrun"));
}

#[test]
fn disagreeing_witnesses_are_all_printed() {
    let mut windows = history(Style::of(Kernel::Mainline), &suite()[..1], &[]).windows;
    windows[0].warn_count = Some((7, 7));
    let reasons = no_verdict(&judge(&windows, Expect::Auto).results[0]);
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
    assert_eq!(
        judge(&windows, Expect::Auto).results[0].verdict,
        Verdict::Pass
    );
}

#[test]
fn another_driver_is_reported_and_not_counted() {
    let mut history = history(Style::of(Kernel::Seed), &suite()[..1], &[]);
    let mut line = history.windows[0].records.last().unwrap().clone();
    line.seq += 1;
    line.caller = Some("T900".into());
    line.text = "gpu_mn+0x0/0x10 [gpu] callback failure not allowed".into();
    history.windows[0].records.push(line);
    let result = &judge(&history.windows, Expect::Auto).results[0];
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
    let judgement = judge(&history.windows, Expect::Auto);
    assert_eq!(judgement.form, Form::InfoOnly);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE; 2]);
}

#[test]
fn the_wrong_word_of_the_reaper_is_found() {
    let plans = [one(Deed::Oom(Arming::Inject(EAGAIN)), 3)];
    let mut windows = history(Style::of(Kernel::Seed), &plans, &[]).windows;
    windows[0].observations[0].expectation.reaper = Some(ReaperWord::Reaped);
    let judgement = judge(&windows, Expect::Seed);
    assert_eq!(kinds(&judgement.results[0]), [DID_NOT_FIRE, FIRED]);
    // And one where none was due.
    windows[0].observations[0].expectation.reaper = None;
    assert_eq!(kinds(&judge(&windows, Expect::Seed).results[0]), [FIRED]);
}

#[test]
fn calls_and_outcome_are_as_demanded() {
    let windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    let damaged = |change: &dyn Fn(&mut mn_inject::model::Observation)| {
        let mut windows = windows.clone();
        change(&mut windows[0].observations[0]);
        kinds(&judge(&windows, Expect::Seed).results[0])
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

/// How many pages reclaim finds is not the check's business: too few prove nothing.
#[test]
fn too_few_calls_of_reclaim_are_no_verdict() {
    let mut windows = history(Style::of(Kernel::Seed), &suite()[2..3], &[]).windows;
    windows[0].observations[0].expectation.calls = mn_inject::model::Count::AtLeast(100);
    let verdict = &judge(&windows, Expect::Seed).results[0].verdict;
    assert!(
        matches!(verdict, Verdict::NoVerdict { reasons } if reasons[0].contains("at least 100")),
        "{verdict:?}"
    );
}

/// Two targets fail at the same time: calls A B, then the lines in the order that is given.
fn concurrent(callers: bool, order: &[(usize, usize)]) -> Judgement {
    let mut style = Style::of(Kernel::Seed);
    style.callers = callers;
    let mut writer = Writer::new(style, &[]);
    let plan = |errno| Plan {
        deed: Deed::Unmap(Arming::Inject(errno)),
        calls: 2,
        elsewhere: 0,
    };
    let plans = [plan(EAGAIN), plan(-16)];
    let mut observations: Vec<_> = (0..2)
        .map(|i| observation(&plans[i], 1000 + i as i32))
        .collect();
    for _ in 0..2 {
        for (index, o) in observations.iter_mut().enumerate() {
            writer.log(
                o,
                call(plans[index].deed, o.pid, o.notifiers[0].role.arming),
            );
        }
    }
    for (index, o) in observations.iter().enumerate() {
        for call in &o.calls {
            writer.print(index, call);
        }
    }
    let (mut window, _) = writer.end(observations, 3, 0);
    // Printed as A1i A1w A2i A2w B1i B1w B2i B2w; now in the order asked for.
    let lines = window.records.clone();
    window.records = order
        .iter()
        .map(|(o, n)| lines[o * 4 + n].clone())
        .collect();
    renumber(&mut window);
    judge(&[window], Expect::Seed)
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
        one(Deed::Mrelease(Arming::Inject(EAGAIN)), 3),
        one(Deed::Mrelease(Arming::Inject(EAGAIN)), 3),
    ]
    .concat()];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    Damage::Drop.apply(&mut history.windows[0], &mut history.roles[0], 1);
    renumber(&mut history.windows[0]);
    for result in judge(&history.windows, Expect::Seed).results {
        assert_eq!(kinds(&result), [DID_NOT_FIRE]);
    }
}

#[test]
fn a_million_events_are_no_burden() {
    let plans = [one(Deed::Unmap(Arming::Inject(EAGAIN)), 500_000)];
    let mut history = history(Style::of(Kernel::Seed), &plans, &[]);
    let started = std::time::Instant::now();
    let judgement = judge(&history.windows, Expect::Auto);
    assert_eq!(judgement.results[0].verdict, Verdict::Pass);
    assert_eq!(judgement.results[0].matched.len(), 1_000_000);
    println!("all right: {:?}", started.elapsed());

    // All wrong is not slower by an order of magnitude.
    for record in &mut history.windows[0].records {
        record.level += 1;
    }
    let found = kinds(&judge(&history.windows, Expect::Auto).results[0]);
    assert!(found.iter().all(|kind| *kind == FindingKind::Altered));
    println!("all wrong: {:?}", started.elapsed());
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
