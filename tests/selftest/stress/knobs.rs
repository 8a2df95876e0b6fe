// SPDX-License-Identifier: GPL-2.0

//! Operations that write the settings of a target.

use mn_inject::model::NotifierEvent;

use crate::fuzz::grammar;
use crate::fuzz::setting::SETTINGS;
use crate::random::Rng;
use crate::stress::class::MayReturn;
use crate::stress::target::Target;
use crate::stress::worker::Worker;

/// Maximum of `times`: each failure prints lines to the kernel's log, and on mainline a backtrace.
const MOST_TIMES: usize = 4;

/// Maximum number of values to draw until one is invalid. About half of them are.
const TRIES: usize = 20;

/// A file of a target, and a function that draws a valid value for it.
struct Knob {
    file: &'static str,
    value: fn(&mut Worker, &Target) -> String,
}

/// Settings that may be written on any target. Not `alloc_bytes` and `lock`, which exist to make
/// lockdep complain.
const KNOBS: &[Knob] = &[
    Knob {
        file: "events",
        value: |worker, _| events(&mut worker.rng),
    },
    Knob {
        file: "range",
        value: |worker, target| {
            let (start, end) = worker.range(target.victim.as_deref());
            match worker.rng.below(3) {
                0 => "all".into(),
                1 => format!("{start:x}-{end:X}"),
                _ => format!("{start:#x}-{end:#x}"),
            }
        },
    },
    Knob {
        file: "task",
        value: |worker, target| match worker.rng.below(4) {
            0 => "comm=mn-victim".into(),
            1 => format!(
                "tid={}",
                target.victim.as_ref().map_or(1, |v| v.pid.as_raw())
            ),
            _ => "all".into(),
        },
    },
    Knob {
        file: "caller",
        value: |worker, _| match worker.rng.below(4) {
            0 => "copy_page_range".into(),
            1 => "no_such_symbol".into(),
            _ => "all".into(),
        },
    },
    Knob {
        file: "probability",
        value: |worker, _| worker.rng.below(101).to_string(),
    },
    Knob {
        file: "interval",
        value: |worker, _| (1 + worker.rng.below(4)).to_string(),
    },
    Knob {
        file: "times",
        value: |worker, target| match (target.may_return, worker.rng.below(MOST_TIMES + 1)) {
            (MayReturn::Success, 0) => "-1".into(),
            (_, times) => times.to_string(),
        },
    },
    Knob {
        file: "space",
        value: |worker, _| worker.rng.below(20).to_string(),
    },
    Knob {
        file: "verbose",
        value: |worker, _| match worker.rng.one_in(20) {
            true => (1 + worker.rng.below(2)).to_string(),
            false => "0".into(),
        },
    },
    Knob {
        file: "delay_us",
        value: |worker, _| worker.rng.below(200).to_string(),
    },
    Knob {
        file: "young",
        value: |worker, _| worker.rng.below(2).to_string(),
    },
    Knob {
        file: "callback",
        value: |worker, target| match worker.rng.below(3) {
            0 if target.kind.has_ends() => "end".into(),
            1 if !target.kind.is_interval() => "release".into(),
            _ => "start".into(),
        },
    },
    Knob {
        file: "record",
        value: |worker, _| (*worker.rng.pick(&["injected", "all"])).into(),
    },
    Knob {
        file: "sleep_us",
        // The kernel complains, as it should, about a sleep in non-blockable context.
        value: |worker, target| {
            let sleep = worker.rng.below(2000);
            if target.sleeps { sleep } else { 0 }.to_string()
        },
    },
    Knob {
        file: "context",
        value: |worker, target| {
            let context = *worker.rng.pick(&["any", "blockable", "non-blockable"]);
            if target.sleeps { "blockable" } else { context }.into()
        },
    },
];

/// Draws some events, in random order.
fn events(rng: &mut Rng) -> String {
    let mut events = NotifierEvent::ALL.map(NotifierEvent::name);
    rng.shuffle(&mut events);
    match rng.below(events.len() + 1) {
        0 => "all".into(),
        count => events[..count].join(","),
    }
}

/// Errors that a target may be set to return.
fn errors(may_return: MayReturn) -> &'static [&'static str] {
    match may_return {
        MayReturn::Success => &["0"],
        MayReturn::Again => &["-11", "0"],
        MayReturn::Any => &["-11", "-1", "-12", "-4095", "0"],
    }
}

/// Writes a setting other than an error.
pub fn set(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = worker.rng.any(&targets).cloned();
    let knob = worker.rng.any(KNOBS);
    let (Some(target), Some(knob)) = (target, knob) else {
        return false;
    };
    let value = (knob.value)(worker, &target);
    worker.set(&target, knob.file, &value)
}

/// Writes several settings other than errors in one line.
pub fn set_several(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let Some(target) = worker.rng.any(&targets).cloned() else {
        return false;
    };
    let first = worker.rng.below(KNOBS.len());
    let words: Vec<_> = (0..2 + worker.rng.below(4))
        .map(|next| &KNOBS[(first + next) % KNOBS.len()])
        .map(|knob| format!("{}={}", knob.file, (knob.value)(worker, &target)))
        .collect();
    worker.set(&target, "settings", &words.join(" "))
}

/// Makes callbacks of an event fail.
pub fn arm(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = worker.rng.any(&targets).cloned();
    let event = *worker.rng.pick(&NotifierEvent::ALL);
    let times = (1 + worker.rng.below(MOST_TIMES)).to_string();
    let Some(target) = target else {
        return false;
    };
    if target.may_return == MayReturn::Success {
        return false;
    }
    let error = *worker.rng.pick(errors(target.may_return));
    worker.set(
        &target,
        "settings",
        &format!("{event}={error} times={times}"),
    )
}

/// Makes callbacks of every event succeed again.
pub fn disarm(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let Some(target) = worker.rng.any(&targets).cloned() else {
        return false;
    };
    if worker.rng.one_in(2) {
        return worker.set(&target, "settings", "error=0");
    }
    NotifierEvent::ALL
        .iter()
        .all(|event| worker.set(&target, &format!("actions/MMU_NOTIFY_{event}/error"), "0"))
}

/// Writes an invalid value, which must fail.
pub fn set_wrong(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = worker.rng.any(&targets).cloned();
    let setting = *worker.rng.pick(&SETTINGS);
    let Some(target) = target.filter(|_| setting.has_file()) else {
        return false;
    };
    let kind = Some(target.kind);
    let wrong = (0..TRIES).find_map(|_| {
        let value = grammar::value(&mut worker.rng, setting.rule, kind);
        let refusal = setting.rule.judge(&value, kind).err()?;
        Some((value, refusal))
    });
    wrong.is_some_and(|(value, refusal)| {
        worker.refused_value(&target, setting.path, &value, &refusal)
    })
}

/// Makes the next callbacks fail that reaping the memory of the target's process causes.
pub fn arm_for_reaping(worker: &Worker, target: &Target, times: usize) -> bool {
    let line = format!("context=non-blockable times={times} CLEAR=-11");
    worker.set(target, "settings", &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_each_named_once() {
        let mut rng = Rng::new(3);
        for _ in 0..200 {
            let text = events(&mut rng);
            if text == "all" {
                continue;
            }
            let names: Vec<_> = text.split(',').collect();
            for (index, name) in names.iter().enumerate() {
                assert!(NotifierEvent::from_name(name).is_some(), "{text}");
                assert!(!names[..index].contains(name), "{text}");
            }
        }
    }

    #[test]
    fn errors_respect_the_class() {
        assert_eq!(errors(MayReturn::Success), ["0"]);
        for error in errors(MayReturn::Again) {
            assert!(["0", "-11"].contains(error));
        }
        for error in errors(MayReturn::Any) {
            assert!((-4095..=0).contains(&error.parse::<i32>().unwrap()));
        }
    }

    #[test]
    fn settings_that_make_lockdep_complain_are_left_out() {
        for knob in KNOBS {
            assert!(!["alloc_bytes", "lock"].contains(&knob.file));
        }
    }
}
