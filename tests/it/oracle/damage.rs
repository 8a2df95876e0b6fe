// SPDX-License-Identifier: GPL-2.0

//! One message of a correct run is dropped, doubled, swapped or altered, and is found.

use proptest::prelude::*;

use super::*;

/// A change to one message.
#[derive(Clone, Debug)]
enum Damage {
    Drop,
    Double,
    /// With the next message.
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
    /// Changes record `at`. Returns the kind of the finding that is due, and [`None`] where the
    /// change is impossible or leaves a correct run.
    fn apply(
        &self,
        window: &mut Window,
        origins: &mut Vec<Origin>,
        at: usize,
    ) -> Option<FindingKind> {
        match self {
            Damage::Drop => Some(drop_message(window, origins, at)),
            Damage::Double => Some(double(window, origins, at)),
            Damage::Swap => swap(window, origins, at),
            Damage::Level => {
                let level = &mut window.records[at].level;
                *level = if *level == 6 { 5 } else { 3 };
                Some(FindingKind::Altered)
            }
            Damage::Caller => alter_caller(window, &origins[at], at),
            _ => self.alter_text(&mut window.records[at].text, &origins[at]),
        }
    }

    fn alter_text(&self, text: &mut String, origin: &Origin) -> Option<FindingKind> {
        let is_callback = text.starts_with(SYMBOL);
        let is_warn = matches!(origin, Origin::WarnHeader { .. });
        let altered = match self {
            Damage::Errno => text.replace("failed with -", "failed with -1"),
            Damage::Context if text.contains("non-blockable") => {
                text.replace("non-blockable", "blockable")
            }
            Damage::Context => text.replace("in blockable", "in non-blockable"),
            Damage::Symbol if is_callback => text.replace("invalidate_range_start+", "release+"),
            Damage::Module if is_callback => text.replace("[mmu_notifier_inject]", "[other]"),
            Damage::Prefix if is_callback => format!("mmu_notifier: {text}"),
            Damage::Pid if is_warn => match text.rsplit_once('/') {
                Some((head, pid)) if pid.parse::<i32>().is_ok() => format!("{head}/12345"),
                _ => text.replace("PID: ", "PID: 9"),
            },
            _ => return None,
        };
        let is_changed = altered != *text;
        *text = altered;
        is_changed.then_some(FindingKind::Altered)
    }
}

/// Removes a message.
pub(super) fn drop_message(
    window: &mut Window,
    origins: &mut Vec<Origin>,
    at: usize,
) -> FindingKind {
    let is_warn = matches!(origins[at], Origin::WarnHeader { .. });
    window.records.remove(at);
    origins.remove(at);
    adjust(window, is_warn, -1);
    FindingKind::DidNotFire
}

fn double(window: &mut Window, origins: &mut Vec<Origin>, at: usize) -> FindingKind {
    let is_warn = matches!(origins[at], Origin::WarnHeader { .. });
    window.records.insert(at, window.records[at].clone());
    origins.insert(at, origins[at].clone());
    adjust(window, is_warn, 1);
    FindingKind::FiredWhenItShouldNot
}

fn swap(window: &mut Window, origins: &mut [Origin], at: usize) -> Option<FindingKind> {
    let mut rest = at + 1..origins.len();
    let other = rest.find(|other| observation_of(&origins[*other]).is_some())?;
    let (a, b) = (&window.records[at], &window.records[other]);
    // Tasks may overtake one another.
    let is_same_task =
        observation_of(&origins[at]) == observation_of(&origins[other]) && a.caller == b.caller;
    if !is_same_task || (a.level, &a.text) == (b.level, &b.text) {
        return None;
    }
    // Without callers, a disorder of one task can be an overtaking by another.
    if a.caller.is_none() && threads_with_messages(window) > 1 {
        return None;
    }
    window.records.swap(at, other);
    origins.swap(at, other);
    Some(FindingKind::OutOfOrder)
}

fn alter_caller(window: &mut Window, origin: &Origin, at: usize) -> Option<FindingKind> {
    let observation = observation_of(origin).expect("a message");
    let record = &mut window.records[at];
    // The thread of a reaper that made no call is not known.
    let mut calls = window.observations[observation].calls.iter();
    if record.text.starts_with("oom_reaper")
        && !calls.any(|call| call.context == Context::NonBlockable)
    {
        return None;
    }
    let before = record.caller.replace("T12345".to_owned());
    before.map(|_| FindingKind::Altered)
}

/// The observation that a record is a message of.
fn observation_of(origin: &Origin) -> Option<usize> {
    match origin {
        Origin::Ours { observation } | Origin::WarnHeader { observation } => Some(*observation),
        Origin::Noise | Origin::ForeignWarnHeader => None,
    }
}

/// The number of threads that messages are due of.
fn threads_with_messages(window: &Window) -> usize {
    let due = |o: &Observation, call: &Call| call.returned != 0 || o.expectation.reaper.is_some();
    let mut tids: Vec<i32> = window
        .observations
        .iter()
        .flat_map(|o| o.calls.iter().filter(|call| due(o, call)))
        .map(|call| call.tid)
        .collect();
    tids.sort_unstable();
    tids.dedup();
    tids.len()
}

/// A message of a run.
struct Place {
    window: usize,
    record: usize,
    observation: usize,
}

fn places(history: &History) -> Vec<Place> {
    let windows = history.origins.iter().enumerate();
    windows
        .flat_map(|(window, origins)| {
            let origins = origins.iter().enumerate();
            origins.filter_map(move |(record, origin)| {
                Some(Place {
                    window,
                    record,
                    observation: observation_of(origin)?,
                })
            })
        })
        .collect()
}

/// Damages one message of the run and checks that it is found, whether the form is demanded or not.
fn is_found(
    style: Style,
    mut history: History,
    damage: &Damage,
    pick: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let places = places(&history);
    prop_assume!(!places.is_empty());
    let place = &places[pick.index(places.len())];
    let was_recognisable = is_recognisable(&history.windows);
    let window = &mut history.windows[place.window];
    let kind = damage.apply(window, &mut history.origins[place.window], place.record);
    prop_assume!(kind.is_some());
    let kind = kind.unwrap();
    renumber(window);

    let before = &history.windows[..place.window];
    let index = before.iter().map(|window| window.observations.len());
    let index = index.sum::<usize>() + place.observation;
    for demanded in [None, style.kernel.form()] {
        if demanded.is_none() && !was_recognisable {
            continue;
        }
        let judgement = judge(&history.windows, demanded);
        if !judgement.doubts.is_empty() {
            // The module's log can be wrong instead: see trust.rs.
            let can_be = matches!(damage, Damage::Drop | Damage::Errno | Damage::Caller);
            prop_assert!(can_be, "{damage:?}: {:?}", judgement.doubts);
            continue;
        }
        let found = kinds(&judgement.results[index]);
        prop_assert!(
            found.contains(&kind),
            "{damage:?} in {index} of {demanded:?}: {:?}",
            judgement.results[index].verdict
        );
        // Other windows pass, unless the form cannot be recognised any more.
        if judgement.form_verdict == Verdict::Pass || demanded.is_some() {
            let observations = history.windows.iter().enumerate();
            let windows = observations.flat_map(|(at, w)| w.observations.iter().map(move |_| at));
            for (result, window) in judgement.results.iter().zip(windows) {
                if window != place.window {
                    prop_assert_eq!(&result.verdict, &Verdict::Pass);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_global_rejects: 1_000_000,
        ..ProptestConfig::with_cases(256)
    })]

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
}
