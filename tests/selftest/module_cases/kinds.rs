// SPDX-License-Identifier: GPL-2.0

//! The kinds of notifiers: what each is called for, and how starts and ends pair.

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector::formats::{Mm, Op, Seq};
use mn_inject::model::FollowUp;
use mn_inject::os::sys::{Area, PAGE};
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, STEP, may_warn, mrelease, open, write};

/// A process ready for an operation, with an interval notifier on `pages` pages of its addresses.
fn interval(
    rig: &Rig<'_>,
    operation: Operation,
    kind: &str,
    pages: u64,
) -> Outcome<(Subject, Attached)> {
    let target = rig.target(operation)?;
    let start = target.watched().0;
    let end = start + pages * PAGE as u64;
    let words = format!("kind={kind} range={start:#x}-{end:#x}");
    let attached = rig.attach(target.pid().as_raw(), &words)?;
    same(
        "kind",
        attached.read("kind")?,
        format!("{kind} {start:#x}-{end:#x}"),
    )?;
    attached.set("record", "all")?;
    Ok((target, attached))
}

/// The callback after a start, of the kinds that have one.
const END: Op = Op::Later(FollowUp::End);
const FINISH: Op = Op::Later(FollowUp::Finish);

/// How often `op` is in the log.
fn count(attached: &Attached, op: Op) -> Outcome<usize> {
    Ok(attached
        .log()?
        .iter()
        .filter(|entry| entry.op == op)
        .count())
}

pub fn plain(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = rig.subject(Operation::Dontneed, "kind=plain")?;
    attached.set("record", "all")?;
    rig.act(&mut target, 3)?;
    let counters = attached.counters()?;
    demand(counters.starts >= 3, || format!("{counters:?}"))?;
    same("ends", counters.ends, 0)?;
    same("paired", counters.paired, None)?;
    same("ends in the log", count(&attached, END)?, 0)
}

pub fn plain_end(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = rig.subject(Operation::Dontneed, "kind=plain-end")?;
    attached.set("record", "all")?;
    rig.act(&mut target, 3)?;
    let counters = attached.counters()?;
    demand(counters.starts >= 3, || format!("{counters:?}"))?;
    same("ends", counters.ends, counters.starts)?;
    same("paired", counters.paired, Some(true))
}

pub fn double_end(rig: &Rig<'_>) -> Outcome {
    may_warn()?;
    let (mut target, attached) = rig.subject(Operation::Dontneed, "kind=plain-end")?;
    attached.set_all(&[("record", "all"), ("actions/CLEAR/error", "-11")])?;
    rig.act(&mut target, 1)?;
    let counters = attached.counters()?;
    same("refused", counters.refused, 1)?;
    same("paired", counters.paired, Some(false))?;
    // One by the kernel as it takes back what it has begun, one by the caller, who did not notice.
    let watched = target.watched();
    let ends = attached
        .log()?
        .iter()
        .filter(|entry| entry.op == END && (entry.start, entry.end) == watched)
        .count();
    same("ends of the refused start", ends, 2)
}

pub fn plain_end_two(rig: &Rig<'_>) -> Outcome {
    // Where one of two refuses, the other one's end is called; the one that refused has none.
    let (victim, agrees) = rig.victim("kind=plain-end")?;
    agrees.set("record", "all")?;
    let refuses = rig.attach(victim.pid().as_raw(), "kind=plain")?;
    refuses.set_all(&[("record", "all"), ("actions/CLEAR/error", "-11")])?;
    same("process_mrelease", mrelease(&victim)?, Err(Errno::EAGAIN))?;
    let counters = agrees.counters()?;
    demand(counters.starts > 0, || format!("{counters:?}"))?;
    same("ends", counters.ends, counters.starts)?;
    same("paired", counters.paired, Some(true))?;
    demand(refuses.counters()?.refused > 0, || {
        "nothing was refused".into()
    })
}

pub fn interval_range(rig: &Rig<'_>) -> Outcome {
    // Operations on the second half of the area do not concern a notifier on the first.
    let (mut target, attached) = interval(rig, Operation::MunmapPart, "interval", 4)?;
    rig.act(&mut target, 1)?;
    same("calls behind the range", attached.counters()?.calls, 0)?;
    let (mut target, attached) = interval(rig, Operation::Dontneed, "interval", 1)?;
    rig.act(&mut target, 3)?;
    let counters = attached.counters()?;
    same("calls on the range", counters.calls, 3)?;
    same("paired", counters.paired, None)
}

pub fn interval_refuses(rig: &Rig<'_>) -> Outcome {
    let (target, attached) = interval(rig, Operation::Hold, "interval", 1)?;
    attached.set_all(&[("actions/CLEAR/error", "-11"), ("context", "nonblockable")])?;
    target.hold_at_exit()?;
    target.kill()?;
    target.wait_held(rig.waiter, STEP)?;
    same("process_mrelease", mrelease(&target)?, Err(Errno::EAGAIN))?;
    let counters = attached.counters()?;
    same("refused", counters.refused, 1)?;
    let log = attached.log()?;
    demand(log.iter().any(|entry| entry.returned == -11), || {
        format!("no entry returned -11: {log:?}")
    })?;
    attached.set("actions/CLEAR/error", "0")?;
    same("process_mrelease afterwards", mrelease(&target)?, Ok(()))
}

pub fn two_pass(rig: &Rig<'_>) -> Outcome {
    let (mut target, attached) = interval(rig, Operation::Dontneed, "interval-two-pass", 1)?;
    rig.act(&mut target, 3)?;
    same("starts in the log", count(&attached, Op::Start)?, 3)?;
    same("finishes in the log", count(&attached, FINISH)?, 3)?;
    let log = attached.log()?;
    demand(
        log.chunks(2)
            .all(|pair| pair[0].op == Op::Start && pair.get(1).is_some_and(|two| two.op == FINISH)),
        || format!("not in turns: {log:?}"),
    )?;
    let counters = attached.counters()?;
    same("starts", counters.starts, 3)?;
    same("ends", counters.ends, 3)?;
    same("paired", counters.paired, Some(true))
}

/// Demands that somebody holds the address space so often, besides the kernel's threads: each
/// processor may have lent it to one.
fn demand_count(count: i64, due: i64) -> Outcome {
    let processors = std::thread::available_parallelism().context("cannot count processors")?;
    let most = due + processors.get() as i64;
    demand((due..=most).contains(&count), || {
        format!("count is {count}, not {due} to {most}")
    })
}

pub fn none(rig: &Rig<'_>) -> Outcome {
    let target = rig.target(Operation::Hold)?;
    let pid = target.pid().as_raw();
    let held = rig.attach(pid, "kind=none")?;
    same("kind", held.read("kind")?.as_str(), "none")?;
    let Mm { users, count } = held.mm()?;
    same("users", users, 1)?;
    // All users are one, and the target.
    demand_count(count, 2)?;
    // Eight times a target and its notifier: more than there are processors in a guest.
    let others = (0..8)
        .map(|_| rig.attach(pid, ""))
        .collect::<Outcome<Vec<_>>>()?;
    let Mm { users, count } = held.mm()?;
    same("users with notifiers", users, 1)?;
    demand_count(count, 2 + 2 * 8)?;
    others.into_iter().try_for_each(Attached::detach)?;
    demand_count(held.mm()?.count, 2)?;
    same("calls", held.counters()?.calls, 0)?;
    held.demand_state("live")?;
    rig.finish(target)?;
    held.demand_state("gone")?;
    let Mm { users, count } = held.mm()?;
    same("users of what is gone", users, 0)?;
    demand_count(count, 1)?;
    held.detach()
}

/// What writing that to `read_retry` gets.
fn retry(attached: &Attached, seq: Seq) -> Outcome<Result<(), Errno>> {
    write(
        &open(&attached.path("read_retry"))?,
        seq.to_string().as_bytes(),
    )
}

pub fn interval_read(rig: &Rig<'_>) -> Outcome {
    for kind in ["interval", "interval-two-pass"] {
        let area = Area::map(8, None).context("cannot map memory")?;
        area.touch(0, 8).context("cannot touch memory")?;
        let (start, _) = area.range();
        let end = start + 4 * PAGE as u64;
        let words = format!("kind={kind} range={start:#x}-{end:#x}");
        let attached = match rig.attach(std::process::id() as i32, &words) {
            // The kernel has no two passes: half of the case is better than none.
            Err(Failure::Skip(_)) => return Ok(()),
            attached => attached?,
        };
        attached.set("record", "all")?;
        let begun = attached.read_begin()?;
        same("nothing has happened", retry(&attached, begun)?, Ok(()))?;
        area.unmap(4, 4).context("munmap failed")?;
        same("elsewhere", retry(&attached, begun)?, Ok(()))?;
        area.unmap(0, 1).context("munmap failed")?;
        same("in the range", retry(&attached, begun)?, Err(Errno::EAGAIN))?;
        let again = attached.read_begin()?;
        same("begun again", retry(&attached, again)?, Ok(()))?;
        let log = attached.log()?;
        demand(log.iter().all(|entry| entry.cur_seq == again.0), || {
            format!("read_begin shows {again}, and not the number of the last: {log:?}")
        })?;
        attached.detach()?;
    }
    let plain = rig.attach(std::process::id() as i32, "")?;
    same(
        "of a plain one",
        retry(&plain, Seq(1))?,
        Err(Errno::EOPNOTSUPP),
    )?;
    plain.detach()
}
