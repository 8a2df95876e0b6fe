// SPDX-License-Identifier: GPL-2.0

//! The life of a target: its process exits, calls execve, is killed, or forks.

use mn_inject::injector::formats::Op;
use mn_inject::model::{FollowUp, NotifierEvent};
use mn_inject::os::cgroup;
use mn_inject::os::cgroup::Cgroup;
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{MISBEHAVE, Rig, wait_for};

/// Memory limit of the victim's cgroup: more than the process needs, less than it then takes.
const VICTIM_LIMIT: u64 = 16 << 20;

pub fn exits(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[("record", "all"), ("range", "all"), MISBEHAVE])?;
    rig.act(&mut subject, 2)?;
    attached.demand_state("live")?;
    let pid = subject.pid();
    rig.finish(subject)?;
    attached.demand_state("gone")?;
    let log = attached.log()?;
    demand(
        log.iter()
            .any(|entry| entry.op == Op::Later(FollowUp::Release)),
        || format!("no release in {log:?}"),
    )?;
    same("pid", attached.read("pid")?, pid.to_string())?;
    // Everything else works as before.
    attached.set("times", "5")?;
    same("times", attached.read("times")?.as_str(), "5")?;
    attached.detach()
}

pub fn executes(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut subject, 1)?;
    subject.execute(
        Operation::Dontneed,
        rig.waiter,
        crate::module_cases::rig::STEP,
    )?;
    attached.demand_state("gone")?;
    // The new program has a new address space, which is not attached.
    attached.set("range", "all")?;
    let before = attached.counters()?;
    rig.act(&mut subject, 3)?;
    same("counters", attached.counters()?, before)?;
    // It can be attached again, under another name.
    let again = rig.attach(subject.pid().as_raw(), "")?;
    again.set_range(subject.watched())?;
    again.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut subject, 1)?;
    same(
        "calls of the new one",
        again.injected(subject.watched())?,
        vec![true],
    )?;
    attached.detach()
}

pub fn oom(rig: &Rig<'_>) -> Outcome {
    if cgroup::missing().is_some() {
        return Err(Failure::Skip("there is no memory cgroup (cgroup v2)"));
    }
    let subject = rig.start(Operation::Hog)?;
    let cgroup = Cgroup::new(&rig.name(), VICTIM_LIMIT)?;
    cgroup.add(subject.pid())?;
    let attached = rig.attach(subject.pid().as_raw(), "")?;
    attached.set("record", "all")?;
    let mut subject = subject;
    subject.act_and_die()?;
    let gone = wait_for(|| Ok(attached.read("state")? == "gone"))?;
    demand(gone, || "the killed process is not gone".into())?;
    attached.demand_state("gone")?;
    // Waits for the process, which must end before its cgroup can be removed.
    drop(subject);
    attached.detach()
}

pub fn forks(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Fork, "")?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut subject, 1)?;
    let log = attached.log()?;
    demand(
        log.iter().any(|entry| {
            entry.event == Some(NotifierEvent::ProtectionPage)
                && entry.is_start_in(subject.watched())
        }),
        || format!("the fork itself was not seen: {log:?}"),
    )?;
    // This ends the child, whose address space is not attached.
    subject.prepare(
        Operation::Dontneed,
        rig.waiter,
        crate::module_cases::rig::STEP,
    )?;
    attached.demand_state("live")?;
    let log = attached.log()?;
    let strangers = log
        .iter()
        .filter(|entry| {
            entry.op == Op::Later(FollowUp::Release) || entry.tid != subject.pid().as_raw()
        })
        .count();
    same("calls of the child", strangers, 0)?;
    attached.set_range(subject.watched())?;
    let before = attached.injected(subject.watched())?.len();
    rig.act(&mut subject, 1)?;
    let after = attached.injected(subject.watched())?.len();
    same("calls of the parent afterwards", after - before, 1)
}
