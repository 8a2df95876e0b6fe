// SPDX-License-Identifier: GPL-2.0

//! The effects of a call: fail, sleep, delay, allocate, take a lock, print a line.

use std::ffi::CStr;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};

use mn_inject::injector::formats::Op;
use mn_inject::kmsg::{KmsgReader, Record};
use mn_inject::model::FollowUp;
use mn_inject::model::MODULE_NAME;
use mn_inject::os::kernel;
use mn_inject::os::limit::Limit;
use mn_inject::trigger::helper::{Answer, Helper};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, MISBEHAVE, Rig, STEP, mrelease, open, write};
use crate::module_cases::unload::loaded_with;

/// Time for which a call is made to sleep.
const SLEEP: Duration = Duration::from_millis(300);
/// Time for which a call is made to sleep that is killed meanwhile.
const KEPT: Duration = Duration::from_secs(2);
/// The parameters with which the module breaks rules.
const BREACH: &CStr = c"breach=1";
/// Time for which a call is made to delay.
const DELAY: Duration = Duration::from_millis(100);

pub fn error(rig: &Rig<'_>) -> Outcome {
    // Non-blockable context, in which the kernel does not complain about a failing callback.
    let (victim, attached) = rig.victim("")?;
    attached.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_CLEAR/error", "-11")])?;
    same("process_mrelease", mrelease(&victim)?, Err(Errno::EAGAIN))?;
    let log = attached.log()?;
    let refusals = log.iter().filter(|entry| entry.returned != 0).count();
    demand(
        log.iter()
            .filter(|entry| entry.is_start_in(victim.watched()))
            .all(|entry| entry.returned == -11 && entry.injected),
        || format!("calls on the range that did not return -11: {log:?}"),
    )?;
    let counters = attached.counters()?;
    demand(refusals > 0 && counters.refused == refusals as u64, || {
        format!("{refusals} refusals in the log, {counters:?}")
    })?;
    // The error of one event does not apply to another.
    attached.set_all(&[
        ("actions/MMU_NOTIFY_CLEAR/error", "0"),
        ("actions/MMU_NOTIFY_UNMAP/error", "-11"),
    ])?;
    same("process_mrelease afterwards", mrelease(&victim)?, Ok(()))
}

/// Demands that an operation takes at least as long as the setting makes a call take.
fn timed(rig: &Rig<'_>, name: &str, length: Duration) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::MunmapWhole, "")?;
    attached.set(name, &length.as_micros().to_string())?;
    let begin = Instant::now();
    rig.act(&mut subject, 1)?;
    let took = begin.elapsed();
    demand(took >= length, || {
        format!("munmap took {took:?} with {name} of {length:?}")
    })?;
    same("injected", attached.counters()?.injected, 1)
}

pub fn sleep(rig: &Rig<'_>) -> Outcome {
    timed(rig, "sleep_us", SLEEP)
}

/// Kills a process whose callback sleeps.
pub fn sleep_killed(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::MunmapWhole, "")?;
    let longest = Duration::from_secs(10);
    attached.set_all(&[
        ("sleep_us", &longest.as_micros().to_string()),
        ("times", "1"),
    ])?;
    subject.hold_at_exit()?;
    subject.act_and_die()?;
    attached.wait_misbehaves()?;
    let begin = Instant::now();
    subject.kill()?;
    subject.wait_held(rig.waiter, STEP)?;
    let took = begin.elapsed();
    demand(took < longest / 2, || {
        format!("killed {took:?} after the begin of a sleep of {longest:?}")
    })
}

/// Kills a process whose callback sleeps in non-blockable context.
pub fn sleep_not_killed(rig: &Rig<'_>) -> Outcome {
    // The symbol exists only with CONFIG_DEBUG_ATOMIC_SLEEP (kernel/sched/core.c).
    if kernel::has_symbol("__might_sleep") {
        return Err(Failure::Skip("the kernel would complain about the sleep"));
    }
    let (victim, attached) = rig.victim("")?;
    attached.set_all(&[("sleep_us", &KEPT.as_micros().to_string()), ("times", "1")])?;
    let mut helper = Helper::start()?;
    helper.reap(victim.pid())?;
    attached.wait_misbehaves()?;
    kill(helper.pid(), Signal::SIGKILL).context("cannot kill the helper")?;
    same(
        "process_mrelease",
        helper.answer(rig.waiter, STEP)?,
        Answer::Killed,
    )?;
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("clock_gettime failed")?;
    let log = attached.log()?;
    let begin = log.iter().find(|entry| entry.injected);
    let begin = begin.map(|entry| Duration::from_nanos(entry.time_ns));
    let took = Duration::from(now).saturating_sub(begin.unwrap_or_default());
    demand(took >= KEPT, || {
        format!("a sleep of {KEPT:?} in non-blockable context ended after {took:?}")
    })
}

pub fn delay(rig: &Rig<'_>) -> Outcome {
    timed(rig, "delay_us", DELAY)
}

/// Demands that of the calls in the log exactly those of that callback were made to misbehave.
fn demand_only(attached: &Attached, callback: FollowUp) -> Outcome {
    let log = attached.log()?;
    demand(
        log.iter()
            .all(|entry| entry.injected == (entry.op == Op::Later(callback))),
        || format!("something else than each {callback:?} was injected: {log:?}"),
    )
}

/// Delays the ends instead of the starts.
pub fn callback(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::MunmapWhole, "kind=plain-end")?;
    let length = DELAY.as_micros().to_string();
    attached.set_all(&[
        ("record", "all"),
        ("delay_us", &length),
        ("callback", "end"),
    ])?;
    let begin = Instant::now();
    rig.act(&mut subject, 1)?;
    let took = begin.elapsed();
    demand(took >= DELAY, || format!("munmap took {took:?}"))?;
    demand_only(&attached, FollowUp::End)?;
    // Only the effects of starts are counted, and there were none.
    same("injected", attached.counters()?.injected, 0)?;

    let (_subject, attached) = rig.subject(Operation::MunmapWhole, "kind=plain")?;
    same(
        "\"end\" where there is none",
        write(&open(&attached.path("callback"))?, b"end")?,
        Err(Errno::EINVAL),
    )
}

/// Delays the releases instead of the starts, at an exit and at a removal.
pub fn callback_release(rig: &Rig<'_>) -> Outcome {
    let length = DELAY.as_micros().to_string();
    let settings = [
        ("record", "all"),
        // Of the start only: a release has no range.
        ("range", "0x1000-0x2000"),
        ("delay_us", length.as_str()),
        ("callback", "release"),
        ("times", "-1"),
    ];
    let (mut subject, attached) = rig.subject(Operation::MunmapWhole, "kind=plain-end")?;
    attached.set_all(&settings)?;
    rig.act(&mut subject, 1)?;
    let begin = Instant::now();
    subject.end(rig.waiter, STEP)?;
    let took = begin.elapsed();
    demand(took >= DELAY, || format!("the exit took {took:?}"))?;
    demand_only(&attached, FollowUp::Release)?;

    let (_subject, attached) = rig.subject(Operation::MunmapWhole, "kind=plain")?;
    attached.set_all(&settings)?;
    let begin = Instant::now();
    attached.detach()?;
    let took = begin.elapsed();
    demand(took >= DELAY, || format!("the removal took {took:?}"))?;

    let (_subject, attached) =
        rig.subject(Operation::MunmapWhole, "kind=interval range=1000-2000")?;
    same(
        "\"release\" where there is none",
        write(&open(&attached.path("callback"))?, b"release")?,
        Err(Errno::EINVAL),
    )
}

/// Skips a case that makes lockdep complain: it would turn itself off, and miss errors in all later
/// cases.
fn unless_lockdep() -> Outcome {
    if fs::exists("/proc/lockdep_stats").unwrap_or(false) {
        return Err(Failure::Skip("lockdep would turn itself off"));
    }
    Ok(())
}

pub fn allocate(rig: &Rig<'_>) -> Outcome {
    unless_lockdep()?;
    loaded_with(rig, BREACH, || allocates(rig))
}

fn allocates(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    for bytes in ["1", "4096", "1048576"] {
        attached.set("alloc_bytes", bytes)?;
        rig.act(&mut subject, 4)?;
    }
    let counters = attached.counters()?;
    same("injected", counters.injected, 12)?;
    same("alloc_failed", counters.alloc_failed, 0)
}

pub fn lock(rig: &Rig<'_>) -> Outcome {
    unless_lockdep()?;
    loaded_with(rig, BREACH, || locks(rig))
}

fn locks(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set("lock", "1")?;
    rig.act(&mut subject, 4)?;
    same("injected", attached.counters()?.injected, 4)
}

/// The kernel's records in its log while the subject acts so often.
fn said(rig: &Rig<'_>, verbose: &str, times: usize) -> Outcome<Vec<Record>> {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set_all(&[MISBEHAVE, ("verbose", verbose)])?;
    let mut kmsg = KmsgReader::open_at_end().context("cannot open /dev/kmsg")?;
    rig.act(&mut subject, times)?;
    let end = kmsg
        .mark("case verbose")
        .context("cannot write to /dev/kmsg")?;
    let (records, _) = kmsg.read_until(&end, &mut Limit::new(STEP));
    Ok(records.into_iter().filter(Record::is_kernel).collect())
}

pub fn verbose(rig: &Rig<'_>) -> Outcome {
    let is_ours = |record: &&Record| record.text.starts_with(MODULE_NAME);
    let ours = |records: &[Record]| records.iter().filter(is_ours).count();
    same("lines with verbose 0", ours(&said(rig, "0", 1)?), 0)?;
    let one = said(rig, "1", 1)?;
    same("lines with verbose 1", ours(&one), 1)?;
    // The level of pr_info().
    let level = one.iter().find(is_ours).map(|record| record.level);
    same("their level", level, Some(6))?;
    // At most ten in five seconds; these take less.
    same("lines of 25", ours(&said(rig, "1", 25)?), 10)?;
    let two = said(rig, "2", 1)?;
    demand(
        ours(&two) >= 1 && two.iter().any(|record| record.text.contains("Call Trace:")),
        || format!("no stack with verbose 2: {two:?}"),
    )
}
