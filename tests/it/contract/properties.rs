// SPDX-License-Identifier: GPL-2.0

//! Properties of all settings.

use proptest::prelude::*;

use super::*;

fn setting() -> impl Strategy<Value = Setting> {
    let context = prop_oneof![Just(Context::Blockable), Just(Context::NonBlockable)];
    let kind = prop::sample::select(NotifierKind::WITH_START.to_vec());
    let notifier = (kind, prop::sample::select(vec![0, 0, -11, -16])).prop_map(|(kind, errno)| {
        let arming = match errno {
            0 => Arming::Unarmed,
            // An interval notifier has no other error.
            _ if kind.is_interval() => Arming::Fail(EAGAIN),
            errno => Arming::Fail(errno),
        };
        (kind, arming)
    });
    (context, prop::collection::vec(notifier, 1..5), 1u64..3).prop_map(
        |(context, notifiers, invalidations)| Setting {
            context,
            notifiers,
            invalidations,
        },
    )
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![Just(Kernel::Seed), Just(Kernel::Mainline)]
}

proptest! {
    #[test]
    fn a_correct_kernel_passes(kernel in kernels(), setting in setting()) {
        let windows = run_of(kernel, &setting);
        let judgement = judge(&windows, None);
        prop_assert_eq!(&judgement.form_verdict, &Verdict::Pass);
        let form = if kernel == Kernel::Seed { Recognised::Seed } else { Recognised::Mainline };
        prop_assert_eq!(judgement.form, form);
        for result in judgement.results {
            prop_assert_eq!(result.verdict, Verdict::Pass, "{}", result.name);
        }
    }

    #[test]
    fn a_wrong_form_is_found(setting in setting()) {
        let windows = run_of(Kernel::Seed, &setting);
        let fails = setting.notifiers.iter().any(|(kind, arming)| {
            matches!(arming, Arming::Fail(errno) if !kind.is_interval()
                && (setting.context == Context::Blockable || *errno != EAGAIN))
        });
        let reaches_plain = setting.context == Context::Blockable
            || !setting.notifiers.iter().any(|(kind, arming)| {
                kind.is_interval() && matches!(arming, Arming::Fail(_))
            });
        let verdict = verdict_of(&windows, Some(Form::Mainline));
        prop_assert_eq!(verdict == Verdict::Pass, !(fails && reaches_plain), "{:?}", verdict);
    }

    #[test]
    fn a_missing_or_surplus_or_moved_callback_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
        how in 0..3,
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let o = &mut window.observations[0];
        prop_assume!(!o.later.is_empty());
        let at = pick.index(o.later.len());
        match how {
            0 => {
                let missing = o.later.remove(at);
                o.notifiers[missing.notifier].counters.ends -= 1;
                window.total_entries.1 -= 1;
                close_gaps(o, window.total_entries.0);
            }
            1 => {
                let mut more = o.later[at].clone();
                more.seq = window.total_entries.1;
                o.notifiers[more.notifier].counters.ends += 1;
                o.later.push(more);
                window.total_entries.1 += 1;
            }
            _ => {
                // To the place before the first start.
                let first = o.calls[0].seq;
                for seq in o.calls.iter_mut().map(|call| &mut call.seq) {
                    *seq += 1;
                }
                let moved = o.later[at].seq;
                for later in &mut o.later {
                    if later.seq < moved {
                        later.seq += 1;
                    }
                }
                o.later[at].seq = first;
                o.later.sort_by_key(|later| later.seq);
                for call in o.calls.iter_mut().filter(|call| call.seq > moved) {
                    call.seq -= 1;
                }
                // A move from behind the last entry can use a number twice.
                prop_assume!(is_numbered(o));
            }
        }
        let verdict = verdict_of(&windows, None);
        prop_assert!(found(&verdict).contains(&FindingKind::Calls), "{:?}", verdict);
    }

    #[test]
    fn a_notifier_that_is_not_called_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let o = &mut window.observations[0];
        let quiet: Vec<usize> = (0..o.calls.len()).filter(|&at| o.calls[at].returned == 0).collect();
        prop_assume!(!quiet.is_empty());
        let call = o.calls.remove(quiet[pick.index(quiet.len())]);
        o.notifiers[call.notifier].counters.calls -= 1;
        window.total_entries.1 -= 1;
        close_gaps(o, window.total_entries.0);
        let verdict = verdict_of(&windows, None);
        prop_assert!(found(&verdict).contains(&FindingKind::Calls), "{:?}", verdict);
    }

    #[test]
    fn a_missing_message_is_found(
        kernel in kernels(),
        setting in setting(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut windows = run_of(kernel, &setting);
        let window = windows.last_mut().unwrap();
        let ours: Vec<usize> = (0..window.records.len())
            .filter(|&at| {
                let text = &window.records[at].text;
                text.starts_with("mmu_notifier_inject") || text.starts_with("WARNING: ")
            })
            .collect();
        prop_assume!(!ours.is_empty());
        let record = window.records.remove(ours[pick.index(ours.len())]);
        if record.text.starts_with("WARNING: ")
            && let Some((_, after)) = &mut window.warn_count
        {
            *after -= 1;
        }
        let first = window.records.first().map_or(0, |record| record.seq);
        for (seq, record) in (first..).zip(&mut window.records) {
            record.seq = seq;
        }
        let verdict = verdict_of(&windows, None);
        prop_assert!(matches!(verdict, Verdict::Fail { .. }), "{:?}", verdict);
    }
}

/// Numbers the log entries from `first` without a gap, in their order.
fn close_gaps(o: &mut Observation, first: u64) {
    let mut all: Vec<&mut u64> = o
        .calls
        .iter_mut()
        .map(|call| &mut call.seq)
        .chain(o.later.iter_mut().map(|later| &mut later.seq))
        .collect();
    all.sort();
    for (number, seq) in (first..).zip(all) {
        *seq = number;
    }
}

fn is_numbered(o: &Observation) -> bool {
    let mut all: Vec<u64> = o
        .calls
        .iter()
        .map(|call| call.seq)
        .chain(o.later.iter().map(|later| later.seq))
        .collect();
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    all.len() == before
}
