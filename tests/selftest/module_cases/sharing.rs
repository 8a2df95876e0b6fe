// SPDX-License-Identifier: GPL-2.0

//! `how=get`: targets that share one notifier, which the kernel frees after the last of them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector::formats::Op;
use mn_inject::injector::load::unload;
use mn_inject::model::FollowUp;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, STEP, refused};
use crate::module_cases::unload::{load_again, may_unload};

/// Time for which a callback sleeps.
const SLEEP: Duration = Duration::from_secs(2);

/// How often it is tried to detach a target while its callback sleeps.
const ATTEMPTS: usize = 5;

fn demand_how(attached: &Attached, due: &str) -> Outcome {
    same("how", attached.read("how")?.as_str(), due)
}

pub fn attach(rig: &Rig<'_>) -> Outcome {
    for kind in ["plain", "plain-end", "plain-young", "secondary-tlbs"] {
        let mut subject = rig.start(Operation::Dontneed)?;
        let pid = subject.pid().as_raw();
        let get = format!("kind={kind} how=get");
        let one = rig.attach(pid, &get)?;
        demand_how(&one, "get users=1")?;
        // It is not armed, so this setting has no effect.
        let two = rig.attach(pid, &format!("{get} probability=50"))?;
        same("probability", one.read("probability")?.as_str(), "50")?;
        demand_how(&one, "get users=2")?;
        demand_how(&two, "get users=2")?;
        // A notifier of its own, of another process, of another kind.
        let other = rig.start(Operation::Hold)?;
        let others = [
            (rig.attach(pid, &format!("kind={kind}"))?, "register"),
            (rig.attach(other.pid().as_raw(), &get)?, "get users=1"),
        ];
        for (attached, how) in &others {
            demand_how(attached, how)?;
        }
        demand_how(&one, "get users=2")?;

        // One notifier: what is set for one is set for both, and each call is seen once.
        one.set("record", "all")?;
        same(
            "settings of the other one",
            two.read("settings")?,
            one.read("settings")?,
        )?;
        rig.act(&mut subject, 3)?;
        let counters = one.counters()?;
        same("counters of the other one", two.counters()?, counters)?;
        let watched = subject.watched();
        let starts = one.injected(watched)?.len();
        let due = if kind == "secondary-tlbs" { 0 } else { 3 };
        same("starts", starts, due)?;

        // It stays for the one that is left.
        one.detach()?;
        demand_how(&two, "get users=1")?;
        rig.act(&mut subject, 1)?;
        let due = if kind == "secondary-tlbs" { 0 } else { 4 };
        same("starts", two.injected(watched)?.len(), due)?;
        rig.finish(subject)?;
        two.demand_state("gone")?;
        let releases = two.log()?;
        let releases = releases
            .iter()
            .filter(|entry| entry.op == Op::Later(FollowUp::Release));
        same("releases", releases.count(), 1)?;
        two.detach()?;
    }
    for words in ["kind=none", "kind=interval range=1000-2000"] {
        let line = format!("attach {} name=x {words} how=get", std::process::id());
        refused(line.as_bytes(), Errno::EINVAL)?;
    }
    Ok(())
}

pub fn fresh(rig: &Rig<'_>) -> Outcome {
    let (mut subject, one) = rig.subject(Operation::Dontneed, "how=get")?;
    one.set("record", "all")?;
    rig.act(&mut subject, 1)?;
    one.detach()?;
    let again = rig.attach(subject.pid().as_raw(), "how=get")?;
    demand_how(&again, "get users=1")?;
    same("calls", again.counters()?.calls, 0)?;
    let settings = again.read("settings")?;
    demand(settings.contains(" record=injected "), || settings)?;
    again.detach()
}

/// Whether a process has ended, and is not waited for.
fn has_ended(pid: i32) -> Outcome<bool> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .with_context(|| format!("no state in {path}"))?;
    Ok(matches!(state, "Z" | "X"))
}

/// Detaches a target while its callback sleeps. Returns the subject, when its operation began, and
/// whether it was still in the callback then.
fn detach_asleep(rig: &Rig<'_>) -> Outcome<(Subject, Instant, bool)> {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "how=get")?;
    attached.set("sleep_us", &SLEEP.as_micros().to_string())?;
    let begin = Instant::now();
    subject.act_and_die()?;
    attached.wait_misbehaves()?;
    attached.detach()?;
    let is_asleep = !has_ended(subject.pid().as_raw())?;
    Ok((subject, begin, is_asleep))
}

pub fn unload_get(rig: &Rig<'_>) -> Outcome {
    let module = may_unload(rig)?;
    // The put waits for nothing, but the machine may stand still for longer than the callback
    // sleeps.
    for _ in 0..ATTEMPTS {
        let (mut subject, begin, is_asleep) = detach_asleep(rig)?;
        if !is_asleep {
            same("the operation", subject.acted(rig.waiter, STEP)?, 0)?;
            continue;
        }
        // The unload waits, since the callback is the module's, and so is what frees the notifier.
        let result = unload();
        let took = begin.elapsed();
        let loaded = match result {
            Ok(()) => load_again(module),
            Err(_) => Ok(()),
        };
        same("the operation", subject.acted(rig.waiter, STEP)?, 0)?;
        same("delete_module", result, Ok(()))?;
        demand(took >= SLEEP, || {
            format!("unloaded {took:?} after the begin of a callback of {SLEEP:?}")
        })?;
        return loaded;
    }
    Err(Failure::Wrong(
        "a detach returns only when the callback has returned".into(),
    ))
}
