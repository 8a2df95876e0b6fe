// SPDX-License-Identifier: GPL-2.0

//! `record`, `log` and `counters`: which calls are recorded, and that the files agree.

use nix::errno::Errno;

use mn_inject::injector::formats::{Entry, EventCount, Op};
use mn_inject::model::{FollowUp, NotifierEvent};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{MISBEHAVE, Rig, mrelease, total};

pub fn record(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[MISBEHAVE, ("times", "2")])?;
    let before = total()?;
    rig.act(&mut subject, 5)?;
    let log = attached.log()?;
    same("entries with record injected", log.len(), 2)?;
    demand(log.iter().all(|entry| entry.injected), || {
        format!("not injected: {log:?}")
    })?;
    same("total", total()? - before, 2)?;
    attached.set_all(&[("record", "all"), ("times", "1")])?;
    rig.act(&mut subject, 3)?;
    let seen = attached.injected(subject.watched())?;
    same(
        "entries with record all",
        seen,
        vec![true, true, true, false, false],
    )
}

pub fn agree(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Dontneed)?;
    let attached = rig.attach(subject.pid().as_raw(), "kind=plain-end")?;
    // All calls on all addresses must be in the log, since the counters count all of them.
    attached.set_all(&[("record", "all"), MISBEHAVE, ("interval", "2")])?;
    let mut subject = subject;
    let before = total()?;
    rig.act(&mut subject, 7)?;
    let (log, counters) = (attached.log()?, attached.counters()?);
    same("total", total()? - before, log.len() as u64)?;
    let count = |op: Op| log.iter().filter(|entry| entry.op == op).count() as u64;
    let injected = log.iter().filter(|entry| entry.injected).count() as u64;
    same("overwritten", counters.overwritten, 0)?;
    same("starts", counters.starts, count(Op::Start))?;
    same("calls", counters.calls, count(Op::Start))?;
    same("ends", counters.ends, count(Op::Later(FollowUp::End)))?;
    same("injected", counters.injected, injected)?;
    same("refused", counters.refused, 0)?;
    same("paired", counters.paired, Some(true))?;
    let sum = |value: fn(&EventCount) -> u64| -> u64 { counters.events.iter().map(value).sum() };
    same("calls by event", sum(|count| count.calls), counters.calls)?;
    same(
        "injected by event",
        sum(|count| count.injected),
        counters.injected,
    )?;
    for count in &counters.events {
        let (event, context) = (count.event, count.context);
        let seen = log
            .iter()
            .filter(|entry| entry.op == Op::Start)
            .filter(|entry| (entry.event, entry.context) == (event, context))
            .count() as u64;
        same(&format!("calls with {event}, {context}"), count.calls, seen)?;
    }
    demand(
        log.windows(2)
            .all(|two| two[0].seq < two[1].seq && two[0].time_ns <= two[1].time_ns),
        || format!("the log is out of order: {log:?}"),
    )
}

pub fn callers(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::MunmapWhole, "")?;
    attached.set_all(&[("record", "all")])?;
    rig.act(&mut subject, 1)?;
    let log = attached.log()?;
    let entry = log
        .iter()
        .find(|entry| entry.is_start_in(subject.watched()) && entry.event == NotifierEvent::Unmap);
    let named =
        |entry: &Entry, part: &str| entry.callers.iter().any(|caller| caller.contains(part));
    demand(entry.is_some_and(|entry| named(entry, "unmap")), || {
        format!("no caller of munmap's callback has unmap in its name: {log:?}")
    })?;
    same(
        "tid",
        entry.map(|entry| entry.tid),
        Some(subject.pid().as_raw()),
    )?;
    same(
        "comm",
        entry.map(|entry| entry.comm.clone()),
        Some(subject.comm()?),
    )?;

    let (victim, attached) = rig.victim("")?;
    attached.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_CLEAR/error", "-11")])?;
    same("process_mrelease", mrelease(&victim)?, Err(Errno::EAGAIN))?;
    let log = attached.log()?;
    demand(log.iter().any(|entry| named(entry, "mrelease")), || {
        format!("no caller has mrelease in its name: {log:?}")
    })
}

/// Demands that a log that overflows keeps the latest entries, and counts the others.
pub fn full(rig: &Rig<'_>, calls: usize) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set("record", "all")?;
    let before = total()?;
    rig.act(&mut subject, calls)?;
    let (log, counters) = (attached.log()?, attached.counters()?);
    demand(counters.overwritten > 0 && !log.is_empty(), || {
        format!("{calls} calls: {} entries, {counters:?}", log.len())
    })?;
    let entries = total()? - before;
    same(
        "entries and overwritten",
        log.len() as u64 + counters.overwritten,
        entries,
    )?;
    demand(log.windows(2).all(|two| two[0].seq < two[1].seq), || {
        "the log is out of order".into()
    })?;
    // The latest entries are kept.
    same(
        "the last entry",
        log.last().map(|entry| entry.seq),
        Some(before + entries - 1),
    )
}
