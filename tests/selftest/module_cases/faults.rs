// SPDX-License-Identifier: GPL-2.0

//! `probability`, `interval`, `times` and `space`: which of the calls are made to misbehave.

use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, MISBEHAVE, Rig};

/// Attaches a subject whose operation makes one call on the watched addresses each time, with these
/// settings and all calls recorded.
fn recorded(rig: &Rig<'_>, settings: &[(&str, &str)]) -> Outcome<(Subject, Attached)> {
    let (subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set("record", "all")?;
    attached.set_all(&[MISBEHAVE])?;
    attached.set_all(settings)?;
    Ok((subject, attached))
}

/// Makes `calls` calls. Returns `1` for each that was made to misbehave, and `0` for the others.
fn pattern(
    subject: &mut Subject,
    attached: &Attached,
    rig: &Rig<'_>,
    calls: usize,
) -> Outcome<String> {
    let before = attached.injected(subject.watched())?.len();
    rig.act(subject, calls)?;
    let injected = attached.injected(subject.watched())?;
    let new = injected.get(before..).unwrap_or_default();
    same("calls in the log", new.len(), calls)?;
    Ok(new.iter().map(|&one| if one { '1' } else { '0' }).collect())
}

pub fn probability(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, &[])?;
    same(
        "by default",
        pattern(&mut subject, &attached, rig, 8)?,
        "1".repeat(8),
    )?;
    attached.set("probability", "0")?;
    same(
        "probability 0",
        pattern(&mut subject, &attached, rig, 8)?,
        "0".repeat(8),
    )?;
    attached.set("probability", "100")?;
    same(
        "probability 100",
        pattern(&mut subject, &attached, rig, 8)?,
        "1".repeat(8),
    )?;
    attached.set("probability", "50")?;
    // A correct module fails this once in 2^63 runs.
    let half = pattern(&mut subject, &attached, rig, 64)?;
    demand(half.contains('0') && half.contains('1'), || {
        format!("probability 50 gave {half}")
    })?;
    same("injected in counters", attached.counters()?.injected, {
        16 + half.matches('1').count() as u64
    })
}

pub fn interval(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, &[("interval", "3")])?;
    same(
        "interval 3",
        pattern(&mut subject, &attached, rig, 9)?.as_str(),
        "001001001",
    )?;
    same("interval reads", attached.read("interval")?.as_str(), "3")
}

pub fn times(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, &[("times", "2")])?;
    same(
        "times 2",
        pattern(&mut subject, &attached, rig, 1)?.as_str(),
        "1",
    )?;
    same(
        "times reads after one",
        attached.read("times")?.as_str(),
        "1",
    )?;
    same(
        "times 1",
        pattern(&mut subject, &attached, rig, 4)?.as_str(),
        "1000",
    )?;
    same(
        "times reads at the end",
        attached.read("times")?.as_str(),
        "0",
    )?;
    attached.set("times", "-1")?;
    same(
        "times -1",
        pattern(&mut subject, &attached, rig, 4)?.as_str(),
        "1111",
    )?;
    same(
        "times reads without a limit",
        attached.read("times")?.as_str(),
        "-1",
    )
}

pub fn space(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, &[("space", "3")])?;
    same(
        "space 3",
        pattern(&mut subject, &attached, rig, 2)?.as_str(),
        "00",
    )?;
    same(
        "space reads after two",
        attached.read("space")?.as_str(),
        "1",
    )?;
    same(
        "space 1",
        pattern(&mut subject, &attached, rig, 3)?.as_str(),
        "011",
    )?;
    same(
        "space reads at the end",
        attached.read("space")?.as_str(),
        "0",
    )
}

pub fn together(rig: &Rig<'_>) -> Outcome {
    let settings = [("space", "2"), ("interval", "2"), ("times", "2")];
    let (mut subject, attached) = recorded(rig, &settings)?;
    let seen = pattern(&mut subject, &attached, rig, 10)?;
    same("space 2, interval 2, times 2", seen.as_str(), "0001010000")?;
    // Calls that a filter excludes do not count.
    attached.set_all(&[
        ("events", "UNMAP"),
        ("space", "1"),
        ("times", "1"),
        ("interval", "1"),
    ])?;
    same(
        "another event",
        pattern(&mut subject, &attached, rig, 3)?.as_str(),
        "000",
    )?;
    same("space reads", attached.read("space")?.as_str(), "1")?;
    attached.set("events", "CLEAR")?;
    same(
        "its event",
        pattern(&mut subject, &attached, rig, 3)?.as_str(),
        "010",
    )
}

pub fn nothing_set(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) =
        recorded(rig, &[(MISBEHAVE.0, "0"), ("times", "1"), ("space", "1")])?;
    same(
        "without an action",
        pattern(&mut subject, &attached, rig, 3)?.as_str(),
        "000",
    )?;
    same("times reads", attached.read("times")?.as_str(), "1")?;
    same("space reads", attached.read("space")?.as_str(), "1")
}
