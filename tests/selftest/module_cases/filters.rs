// SPDX-License-Identifier: GPL-2.0

//! The filters `events`, `range`, `context` and `task`: which calls are affected.

use nix::errno::Errno;
use nix::unistd::gettid;

use mn_inject::os::sys::PAGE;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, MISBEHAVE, Rig, mrelease};

/// Attaches a subject whose operation makes one call each time, which is affected unless a filter
/// excludes it.
fn recorded(rig: &Rig<'_>, operation: Operation) -> Outcome<(Subject, Attached)> {
    let (subject, attached) = rig.subject(operation, "")?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    Ok((subject, attached))
}

/// Demands that a call passes the filters, or not, with the filter `name` set to `value`.
fn lets(
    rig: &Rig<'_>,
    (subject, attached): (&mut Subject, &Attached),
    (name, value): (&str, &str),
    through: bool,
) -> Outcome {
    attached.set(name, value)?;
    let before = attached.injected(subject.watched())?.len();
    rig.act(subject, 1)?;
    let seen = attached.injected(subject.watched())?;
    let seen = seen.get(before..).unwrap_or_default();
    same(
        &format!("{name} {value}: made to misbehave"),
        seen,
        &[through],
    )
}

pub fn events(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, Operation::Dontneed)?;
    for (events, through) in [
        ("CLEAR", true),
        ("UNMAP", false),
        ("UNMAP,RELEASE,CLEAR", true),
        (
            "UNMAP,PROTECTION_VMA,PROTECTION_PAGE,SOFT_DIRTY,RELEASE,MIGRATE,EXCLUSIVE",
            false,
        ),
        ("all", true),
    ] {
        lets(rig, (&mut subject, &attached), ("events", events), through)?;
    }
    let (mut subject, attached) = recorded(rig, Operation::MunmapWhole)?;
    lets(rig, (&mut subject, &attached), ("events", "UNMAP"), true)
}

pub fn range(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, Operation::Dontneed)?;
    let (start, end) = subject.watched();
    let page = PAGE as u64;
    for (from, to, through) in [
        (start, end, true),
        (start + page, start + page + 1, true),
        (end - 1, end + page, true),
        (start - page, start + 1, true),
        (end, end + page, false),
        (start - page, start, false),
        (0, start, false),
        (0, u64::MAX, true),
    ] {
        let range = format!("{from:x}-{to:x}");
        lets(rig, (&mut subject, &attached), ("range", &range), through)?;
    }
    Ok(())
}

pub fn context(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, Operation::Dontneed)?;
    for (context, through) in [("blockable", true), ("non-blockable", false), ("any", true)] {
        lets(
            rig,
            (&mut subject, &attached),
            ("context", context),
            through,
        )?;
    }
    for (context, through) in [("non-blockable", true), ("blockable", false), ("any", true)] {
        let (victim, attached) = rig.victim("")?;
        attached.set_all(&[("record", "all"), MISBEHAVE, ("context", context)])?;
        same("process_mrelease", mrelease(&victim)?, Ok(()))?;
        let seen = attached.injected(victim.watched())?;
        demand(
            !seen.is_empty() && seen.iter().all(|&one| one == through),
            || format!("process_mrelease with context {context}: {seen:?}"),
        )?;
    }
    Ok(())
}

pub fn task(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = recorded(rig, Operation::Dontneed)?;
    let tid = subject.pid();
    let comm = subject.comm()?;
    for (task, through) in [
        (format!("tid={tid}"), true),
        (format!("tid={}", gettid()), false),
        (format!("comm={comm}"), true),
        (format!("comm={comm}x"), false),
        (format!("comm={}", &comm[..comm.len() - 1]), false),
        ("all".into(), true),
    ] {
        lets(rig, (&mut subject, &attached), ("task", &task), through)?;
    }
    // The task is the one that calls, not the one whose memory is invalidated.
    for (task, through) in [
        (format!("tid={}", gettid()), true),
        ("comm=mn-subject".into(), false),
    ] {
        let (victim, attached) = rig.victim("")?;
        attached.set_all(&[("record", "all"), MISBEHAVE, ("task", &task)])?;
        same("process_mrelease", mrelease(&victim)?, Ok(()))?;
        let seen = attached.injected(victim.watched())?;
        demand(
            !seen.is_empty() && seen.iter().all(|&one| one == through),
            || format!("process_mrelease with task {task}: {seen:?}"),
        )?;
    }
    Ok(())
}

pub fn not_attached(rig: &Rig<'_>) -> Outcome {
    let (bystander, attached) = rig.subject(Operation::Hold, "")?;
    attached.set_all(&[
        ("record", "all"),
        ("range", "all"),
        ("context", "non-blockable"),
    ])?;
    for event in ["UNMAP", "CLEAR"] {
        attached.set(&format!("actions/MMU_NOTIFY_{event}/error"), "-11")?;
    }
    // The same program, at the same addresses on a kernel without address space randomization.
    let other = rig.start(Operation::Hold)?;
    other.hold_at_exit()?;
    other.kill()?;
    other.wait_held(rig.waiter, crate::module_cases::rig::STEP)?;
    same("process_mrelease of another", mrelease(&other)?, Ok(()))?;
    let tid = gettid().as_raw();
    let log = attached.log()?;
    demand(!log.iter().any(|entry| entry.tid == tid), || {
        format!("the target saw the calls of another process: {log:?}")
    })?;
    // The target does see the calls of its own subject.
    bystander.hold_at_exit()?;
    bystander.kill()?;
    bystander.wait_held(rig.waiter, crate::module_cases::rig::STEP)?;
    same(
        "process_mrelease",
        mrelease(&bystander)?,
        Err(Errno::EAGAIN),
    )
}
