// SPDX-License-Identifier: GPL-2.0

//! The filters `events`, `range`, `context`, `task` and `caller`: which calls are affected.

use nix::errno::Errno;
use nix::unistd::gettid;

use mn_inject::injector::formats::{Entry, Op};
use mn_inject::os::sys::PAGE;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
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

/// A name of a function that no kernel has.
const NO_FUNCTION: &str = "mn_no_such_function";

pub fn caller(rig: &Rig<'_>) -> Outcome {
    const FORK: &str = "copy_page_range";
    let (mut subject, attached) = recorded(rig, Operation::Fork)?;
    for (caller, through) in [
        (FORK, true),
        (&FORK[..FORK.len() - 1], false),
        (&FORK[1..], false),
        ("copy_page_range_", false),
        (NO_FUNCTION, false),
        ("all", true),
    ] {
        lets(rig, (&mut subject, &attached), ("caller", caller), through)?;
    }

    for operation in [Operation::Dontneed, Operation::MunmapWhole] {
        let (mut subject, attached) = recorded(rig, operation)?;
        lets(rig, (&mut subject, &attached), ("caller", FORK), false)?;
    }
    // Whatever the log names can be named.
    let (mut subject, attached) = recorded(rig, Operation::Dontneed)?;
    rig.act(&mut subject, 1)?;
    let log = attached.log()?;
    let callers: Vec<_> = log.iter().flat_map(|entry| &entry.callers).collect();
    demand(callers.len() >= 2, || format!("no callers in {log:?}"))?;
    for caller in callers {
        lets(rig, (&mut subject, &attached), ("caller", caller), true)?;
    }
    caller_of_other_callbacks(rig, FORK)
}

/// Demands that ends, second passes, and starts of an interval notifier are told by their callers.
fn caller_of_other_callbacks(rig: &Rig<'_>, fork: &str) -> Outcome {
    for (kind, callback) in [
        ("interval", "start"),
        ("plain-end", "end"),
        ("interval-two-pass", "end"),
    ] {
        for (caller, through) in [(fork, true), (NO_FUNCTION, false)] {
            let mut subject = rig.start(Operation::Fork)?;
            let (start, end) = subject.watched();
            let words = match kind {
                "plain-end" => format!("kind={kind}"),
                _ => format!("kind={kind} range={start:#x}-{end:#x}"),
            };
            let attached = match rig.attach(subject.pid().as_raw(), &words) {
                Err(Failure::Skip(_)) => break,
                attached => attached?,
            };
            attached.set_range((start, end))?;
            attached.set_all(&[
                ("record", "all"),
                MISBEHAVE,
                ("callback", callback),
                ("caller", caller),
            ])?;
            rig.act(&mut subject, 1)?;
            let log = attached.log()?;
            let on_range = |entry: &&Entry| entry.start < end && start < entry.end;
            let seen: Vec<_> = log.iter().filter(on_range).collect();
            demand(
                seen.iter().any(|entry| is(entry, callback))
                    && seen
                        .iter()
                        .all(|entry| entry.injected == (through && is(entry, callback))),
                || format!("the {callback}s of {kind} with caller {caller}: {log:?}"),
            )?;
        }
    }
    Ok(())
}

/// Whether an entry is of the callback by that name, as the file `callback` has it.
fn is(entry: &Entry, callback: &str) -> bool {
    (entry.op == Op::Start) == (callback == "start")
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
