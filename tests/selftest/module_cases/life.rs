// SPDX-License-Identifier: GPL-2.0

//! What becomes of a target when its process exits, executes, is killed, or forks.

use mn_inject::injector::formats::Op;
use mn_inject::model::{FollowUp, NotifierEvent};
use mn_inject::os::cgroup;
use mn_inject::os::cgroup::Cgroup;
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{MISBEHAVE, Rig, wait_for};

/// What a victim's cgroup may have: more than the process needs, less than it then takes.
const VICTIM_LIMIT: u64 = 16 << 20;

pub fn exits(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[("record", "all"), ("range", "all"), MISBEHAVE])?;
    rig.act(&mut target, 2)?;
    attached.demand_state("live")?;
    let pid = target.pid();
    rig.finish(target)?;
    attached.demand_state("gone")?;
    let log = attached.log()?;
    demand(
        log.iter()
            .any(|entry| entry.op == Op::Later(FollowUp::Release)),
        || format!("no release in {log:?}"),
    )?;
    same("pid", attached.read("pid")?, pid.to_string())?;
    // All else works as before.
    attached.set("times", "5")?;
    same("times", attached.read("times")?.as_str(), "5")?;
    attached.detach()
}

pub fn executes(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut target, 1)?;
    target.execute(
        Operation::Dontneed,
        rig.waiter,
        crate::module_cases::rig::STEP,
    )?;
    attached.demand_state("gone")?;
    // The new program has an address space that nobody has attached.
    attached.set("range", "all")?;
    let before = attached.counters()?;
    rig.act(&mut target, 3)?;
    same("counters", attached.counters()?, before)?;
    // It can be attached again, under another name.
    let again = rig.attach(target.pid().as_raw(), "")?;
    again.set_range(target.watched())?;
    again.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut target, 1)?;
    same(
        "calls of the new one",
        again.injected(target.watched())?,
        vec![true],
    )?;
    attached.detach()
}

pub fn oom(rig: &Rig<'_>) -> Outcome {
    if cgroup::missing().is_some() {
        return Err(Failure::Skip("there is no memory cgroup (cgroup v2)"));
    }
    let target = rig.target(Operation::Hog)?;
    let cgroup = Cgroup::new(&rig.name(), VICTIM_LIMIT)?;
    cgroup.add(target.pid())?;
    let attached = rig.attach(target.pid().as_raw(), "")?;
    attached.set("record", "all")?;
    let mut target = target;
    target.act_and_die()?;
    let gone = wait_for(|| Ok(attached.read("state")? == "gone"))?;
    demand(gone, || "the killed process is not gone".into())?;
    attached.demand_state("gone")?;
    // It must be waited for before its cgroup can go.
    drop(target);
    attached.detach()
}

pub fn forks(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = rig.subject(Operation::Fork, "")?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    rig.act(&mut target, 1)?;
    let log = attached.log()?;
    demand(
        log.iter().any(|entry| {
            entry.event == NotifierEvent::ProtectionPage && entry.is_start_in(target.watched())
        }),
        || format!("the fork itself was not seen: {log:?}"),
    )?;
    // This ends the child: its address space is none of the target's.
    target.prepare(
        Operation::Dontneed,
        rig.waiter,
        crate::module_cases::rig::STEP,
    )?;
    attached.demand_state("live")?;
    let log = attached.log()?;
    let strangers = log
        .iter()
        .filter(|entry| {
            entry.op == Op::Later(FollowUp::Release) || entry.tid != target.pid().as_raw()
        })
        .count();
    same("calls of the child", strangers, 0)?;
    attached.set_range(target.watched())?;
    let before = attached.injected(target.watched())?.len();
    rig.act(&mut target, 1)?;
    let after = attached.injected(target.watched())?.len();
    same("calls of the parent afterwards", after - before, 1)
}
