// SPDX-License-Identifier: GPL-2.0

//! Setting what a target does, and to which calls.

use fastrand::Rng;
use nix::errno::Errno;

use crate::stress::choice;
use crate::stress::parse::EVENTS;
use crate::stress::worker::Worker;
use crate::stress::world::{Harm, Target};

/// The most failures that one write lets through: each prints lines, and on mainline a backtrace.
const MOST_TIMES: u32 = 4;

/// A file, and a value that it takes.
struct Knob {
    file: &'static str,
    value: fn(&mut Worker, &Target) -> String,
}

/// What may be set on any target. Not `alloc_bytes` and `lock`, of which lockdep complains by
/// design.
const KNOBS: &[Knob] = &[
    Knob {
        file: "events",
        value: |worker, _| events(&mut worker.rng),
    },
    Knob {
        file: "range",
        value: |worker, target| {
            let (start, end) = worker.range(target.victim.as_deref());
            match worker.rng.u32(..3) {
                0 => "all".into(),
                1 => format!("{start:x}-{end:X}"),
                _ => format!("{start:#x}-{end:#x}"),
            }
        },
    },
    Knob {
        file: "task",
        value: |worker, target| match worker.rng.u32(..4) {
            0 => "comm=mn-victim".into(),
            1 => format!(
                "tid={}",
                target.victim.as_ref().map_or(1, |v| v.pid.as_raw())
            ),
            _ => "all".into(),
        },
    },
    Knob {
        file: "probability",
        value: |worker, _| worker.rng.u32(..=100).to_string(),
    },
    Knob {
        file: "interval",
        value: |worker, _| worker.rng.u32(1..=4).to_string(),
    },
    Knob {
        file: "times",
        value: |worker, target| match (target.harm, worker.rng.u32(..=MOST_TIMES)) {
            (Harm::Nothing, 0) => "-1".into(),
            (_, times) => times.to_string(),
        },
    },
    Knob {
        file: "space",
        value: |worker, _| worker.rng.u32(..20).to_string(),
    },
    Knob {
        file: "verbose",
        value: |worker, _| match choice::once_in(20, &mut worker.rng) {
            true => worker.rng.u32(1..=2).to_string(),
            false => "0".into(),
        },
    },
    Knob {
        file: "delay_us",
        value: |worker, _| worker.rng.u32(..200).to_string(),
    },
    Knob {
        file: "callback",
        value: |worker, target| match target.kind.has_ends() {
            true => ["start", "end"][worker.rng.usize(..2)].into(),
            false => "start".into(),
        },
    },
    Knob {
        file: "record",
        value: |worker, _| ["injected", "all"][worker.rng.usize(..2)].into(),
    },
    Knob {
        file: "sleep_us",
        // Where it may meet a non-blockable context the kernel complains by design.
        value: |worker, target| {
            let sleep = worker.rng.u32(..2000);
            if target.sleeps { sleep } else { 0 }.to_string()
        },
    },
    Knob {
        file: "context",
        value: |worker, target| {
            let context = ["any", "blockable", "nonblockable"][worker.rng.usize(..3)];
            if target.sleeps { "blockable" } else { context }.into()
        },
    },
];

/// Some events, in any order.
fn events(rng: &mut Rng) -> String {
    let mut events = EVENTS;
    rng.shuffle(&mut events);
    match rng.usize(..=EVENTS.len()) {
        0 => "all".into(),
        count => events[..count].join(","),
    }
}

/// Values that a file must refuse, and how.
const WRONG: &[(&str, &str, &[Errno])] = &[
    ("probability", "101", &[Errno::ERANGE]),
    ("probability", "+1", &[Errno::EINVAL]),
    ("interval", "0", &[Errno::ERANGE]),
    ("times", "-2", &[Errno::ERANGE]),
    ("space", "\n", &[Errno::EINVAL]),
    ("verbose", "3", &[Errno::ERANGE]),
    ("sleep_us", "10000001", &[Errno::ERANGE]),
    ("delay_us", "1 ", &[Errno::EINVAL]),
    ("lock", "2", &[Errno::ERANGE]),
    ("events", "UNMAP,UNMAP", &[Errno::EINVAL]),
    ("events", "UNMAPPED", &[Errno::EINVAL]),
    ("range", "0x2000-0x1000", &[Errno::EINVAL]),
    ("context", "sometimes", &[Errno::EINVAL]),
    ("task", "tid=0", &[Errno::ERANGE]),
    ("task", "comm=", &[Errno::EINVAL]),
    ("callback", "release", &[Errno::EINVAL]),
    ("record", "none", &[Errno::EINVAL]),
    ("actions/UNMAP/error", "1", &[Errno::ERANGE]),
    ("actions/CLEAR/error", "-4096", &[Errno::ERANGE]),
    ("actions/CLEAR/error", "EAGAIN", &[Errno::EINVAL]),
];

/// The errors that a target may be told to return.
fn errors(harm: Harm) -> &'static [&'static str] {
    match harm {
        Harm::Nothing => &["0"],
        Harm::Again => &["-11", "0"],
        Harm::Any => &["-11", "-1", "-12", "-4095", "0"],
    }
}

/// Sets something other than an error.
pub fn set(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = choice::one(&targets, &mut worker.rng).cloned();
    let knob = choice::one(KNOBS, &mut worker.rng);
    let (Some(target), Some(knob)) = (target, knob) else {
        return false;
    };
    let value = (knob.value)(worker, &target);
    worker.set(&target, knob.file, &value)
}

/// Lets some event fail.
pub fn arm(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = choice::one(&targets, &mut worker.rng).cloned();
    let event = choice::one(&EVENTS, &mut worker.rng).copied();
    let times = worker.rng.u32(1..=MOST_TIMES).to_string();
    let drawn = worker.rng.usize(..);
    let (Some(target), Some(event)) = (target, event) else {
        return false;
    };
    if target.harm == Harm::Nothing {
        return false;
    }
    let errors = errors(target.harm);
    let error = errors[drawn % errors.len()];
    worker.set(&target, &format!("actions/{event}/error"), error)
        && worker.set(&target, "times", &times)
}

/// Lets no event fail any more.
pub fn disarm(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let Some(target) = choice::one(&targets, &mut worker.rng).cloned() else {
        return false;
    };
    EVENTS
        .iter()
        .all(|event| worker.set(&target, &format!("actions/{event}/error"), "0"))
}

/// Writes something that must be refused.
pub fn set_wrong(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = choice::one(&targets, &mut worker.rng).cloned();
    let wrong = choice::one(WRONG, &mut worker.rng).copied();
    match (target, wrong) {
        (Some(target), Some((file, value, with))) => worker.refused(&target, file, value, with),
        _ => false,
    }
}

/// Lets the next calls fail that come of the death of a target's process.
pub fn arm_for_reaping(worker: &Worker, target: &Target, times: u32) -> bool {
    worker.set(target, "context", "nonblockable")
        && worker.set(target, "times", &times.to_string())
        && worker.set(target, "actions/CLEAR/error", "-11")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_each_named_once() {
        let mut rng = choice::Choices::new(3, 3).step();
        for _ in 0..200 {
            let text = events(&mut rng);
            if text == "all" {
                continue;
            }
            let names: Vec<_> = text.split(',').collect();
            for (index, name) in names.iter().enumerate() {
                assert!(EVENTS.contains(name), "{text}");
                assert!(!names[..index].contains(name), "{text}");
            }
        }
    }

    #[test]
    fn nobody_refuses_who_may_not() {
        assert_eq!(errors(Harm::Nothing), ["0"]);
        for error in errors(Harm::Again) {
            assert!(["0", "-11"].contains(error));
        }
        for error in errors(Harm::Any) {
            assert!((-4095..=0).contains(&error.parse::<i32>().unwrap()));
        }
    }

    #[test]
    fn what_lockdep_complains_of_is_left_out() {
        for knob in KNOBS {
            assert!(!["alloc_bytes", "lock"].contains(&knob.file));
        }
    }
}
