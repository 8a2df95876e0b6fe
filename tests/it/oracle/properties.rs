// SPDX-License-Identifier: GPL-2.0

//! Properties of all correct runs.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn a_correct_kernel_passes((style, history) in any_history()) {
        for demanded in [None, style.kernel.form()] {
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
                if demanded.is_none() && judgement.form == Recognised::Unknown && depends {
                    let is_open = matches!(result.verdict, Verdict::NoVerdict { .. });
                    prop_assert!(is_open);
                } else {
                    prop_assert_eq!(&result.verdict, &Verdict::Pass);
                }
            }
            // Every message is matched, and none twice.
            let ours: usize = history.origins.iter().flatten()
                .filter(|origin| matches!(origin, Origin::Ours { .. } | Origin::WarnHeader { .. }))
                .count();
            let matched: Vec<u64> = judgement.results.iter()
                .flat_map(|result| &result.matched)
                .map(|matched| matched.kmsg_seq)
                .collect();
            if judgement.form != Recognised::Unknown || demanded.is_some() {
                prop_assert_eq!(matched.len(), ours);
            }
        }
    }

    #[test]
    fn a_demand_of_the_other_form_fails((style, history) in any_history()) {
        prop_assume!(is_recognisable(&history.windows));
        let other = match style.kernel.form() {
            Some(Form::Seed) => Some(Form::Mainline),
            _ => Some(Form::Seed),
        };
        let judgement = judge(&history.windows, other);
        let has_failed = matches!(judgement.form_verdict, Verdict::Fail { .. });
        prop_assert!(has_failed);
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
    fn a_witness_that_disagrees_gives_no_verdict(
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
            7 => o.trouble = Some("the subject died".into()),
            8 => {
                // A call of another thread on the same addresses.
                let (start, end) = o.watched;
                let Some(call) = o.calls.iter_mut().find(|c| c.start < end && start < c.end) else {
                    return Ok(());
                };
                (call.tid, call.comm) = (77, "kswapd0".into());
            }
            9 => o.later.push(end_elsewhere()),
            11 => o.notifiers[0].counters.ends += 1,
            10 => {
                // The log contradicts itself about the injection.
                let Some(call) = o.calls.first_mut() else { return Ok(()) };
                call.injected = !call.injected;
            }
            _ => {
                // The injector was not set to this error.
                let Some(call) = o.calls.first_mut() else { return Ok(()) };
                call.returned = -99;
            }
        }
        // A shift of both counts is no disagreement.
        let is_sound = which == 2;
        let judgement = judge(&windows, None);
        let first: usize = windows[..at].iter().map(|window| window.observations.len()).sum();
        let verdict = &judgement.results[first].verdict;
        prop_assert_eq!(matches!(verdict, Verdict::NoVerdict { .. }), !is_sound || {
            judgement.form == Recognised::Unknown && matches!(verdict, Verdict::NoVerdict { .. })
        }, "{:?}", verdict);
    }
}
