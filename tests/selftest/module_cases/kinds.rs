// SPDX-License-Identifier: GPL-2.0

//! The kinds of notifiers: for which calls each is called, and how starts and ends pair.

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector::formats::{Mm, Op, Seq};
use mn_inject::model::FollowUp;
use mn_inject::os::kernel;
use mn_inject::os::sys::{Area, PAGE};
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, STEP, may_warn, mrelease, open, refused, write};

/// Starts a subject that is ready for an operation, and attaches an interval notifier on the first
/// `pages` pages of its watched addresses.
fn interval(
    rig: &Rig<'_>,
    operation: Operation,
    kind: &str,
    pages: u64,
) -> Outcome<(Subject, Attached)> {
    let subject = rig.start(operation)?;
    let start = subject.watched().0;
    let end = start + pages * PAGE as u64;
    let words = format!("kind={kind} range={start:#x}-{end:#x}");
    let attached = rig.attach(subject.pid().as_raw(), &words)?;
    same(
        "kind",
        attached.read("kind")?,
        format!("{kind} {start:#x}-{end:#x}"),
    )?;
    attached.set("record", "all")?;
    Ok((subject, attached))
}

/// The callback after a start, of the kinds that have one.
const END: Op = Op::Later(FollowUp::End);
const FINISH: Op = Op::Later(FollowUp::Finish);

/// Counts the entries of `op` in the log.
fn count(attached: &Attached, op: Op) -> Outcome<usize> {
    Ok(attached
        .log()?
        .iter()
        .filter(|entry| entry.op == op)
        .count())
}

pub fn plain(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "kind=plain")?;
    attached.set("record", "all")?;
    rig.act(&mut subject, 3)?;
    let counters = attached.counters()?;
    demand(counters.starts >= 3, || format!("{counters:?}"))?;
    same("ends", counters.ends, 0)?;
    same("paired", counters.paired, None)?;
    same("ends in the log", count(&attached, END)?, 0)
}

pub fn plain_end(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "kind=plain-end")?;
    attached.set("record", "all")?;
    rig.act(&mut subject, 3)?;
    let counters = attached.counters()?;
    demand(counters.starts >= 3, || format!("{counters:?}"))?;
    same("ends", counters.ends, counters.starts)?;
    same("paired", counters.paired, Some(true))
}

pub fn double_end(rig: &Rig<'_>) -> Outcome {
    may_warn()?;
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "kind=plain-end")?;
    attached.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_CLEAR/error", "-11")])?;
    rig.act(&mut subject, 1)?;
    let counters = attached.counters()?;
    same("refused", counters.refused, 1)?;
    same("paired", counters.paired, Some(false))?;
    // One from mn_hlist_invalidate_range_start(), which calls all ends after a failure, and one
    // from the caller, which does not notice the failure.
    let watched = subject.watched();
    let ends = attached
        .log()?
        .iter()
        .filter(|entry| entry.op == END && (entry.start, entry.end) == watched)
        .count();
    same("ends of the refused start", ends, 2)
}

pub fn plain_end_two(rig: &Rig<'_>) -> Outcome {
    // If one of two notifiers fails, the end of the other is called; the failing one has no end.
    let (victim, agrees) = rig.victim("kind=plain-end")?;
    agrees.set("record", "all")?;
    let refuses = rig.attach(victim.pid().as_raw(), "kind=plain")?;
    refuses.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_CLEAR/error", "-11")])?;
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
    // Operations on the second half of the area do not call a notifier on the first half.
    let (mut subject, attached) = interval(rig, Operation::MunmapPart, "interval", 4)?;
    rig.act(&mut subject, 1)?;
    same("calls behind the range", attached.counters()?.calls, 0)?;
    let (mut subject, attached) = interval(rig, Operation::Dontneed, "interval", 1)?;
    rig.act(&mut subject, 3)?;
    let counters = attached.counters()?;
    same("calls on the range", counters.calls, 3)?;
    same("paired", counters.paired, None)
}

pub fn interval_refuses(rig: &Rig<'_>) -> Outcome {
    let (subject, attached) = interval(rig, Operation::Hold, "interval", 1)?;
    attached.set_all(&[
        ("actions/MMU_NOTIFY_CLEAR/error", "-11"),
        ("context", "non-blockable"),
    ])?;
    subject.hold_at_exit()?;
    subject.kill()?;
    subject.wait_held(rig.waiter, STEP)?;
    same("process_mrelease", mrelease(&subject)?, Err(Errno::EAGAIN))?;
    let counters = attached.counters()?;
    same("refused", counters.refused, 1)?;
    let log = attached.log()?;
    demand(log.iter().any(|entry| entry.returned == -11), || {
        format!("no entry returned -11: {log:?}")
    })?;
    attached.set("actions/MMU_NOTIFY_CLEAR/error", "0")?;
    same("process_mrelease afterwards", mrelease(&subject)?, Ok(()))
}

pub fn two_pass(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = interval(rig, Operation::Dontneed, "interval-two-pass", 1)?;
    rig.act(&mut subject, 3)?;
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

/// A process that maps so many pages shows each change of them, between a start and its end.
pub fn mirror(rig: &Rig<'_>) -> Outcome {
    const LOST: Op = Op::Later(FollowUp::Lost);
    let mut subject = rig.start(Operation::Dontneed)?;
    let (start, end) = subject.watched();
    let pages = (end - start) / PAGE as u64;
    let pid = subject.pid().as_raw();
    for range in [
        String::new(),
        format!(" range={:#x}-{end:#x}", start + 1),
        format!(" range={start:#x}-{:#x}", start + (1 << 30) + PAGE as u64),
    ] {
        let line = format!("attach {pid} name=wrong kind=mirror{range}");
        refused(line.as_bytes(), Errno::EINVAL)?;
    }
    let words = format!("kind=mirror range={start:#x}-{end:#x} record=all");
    let attached = rig.attach(pid, &words)?;
    let copy = |reads: u64, mapped: u64| {
        format!("reads={reads} pages={pages} mapped={mapped} writable={mapped}")
    };
    same("mirror", attached.read("mirror")?, copy(1, pages))?;
    rig.act(&mut subject, 1)?;
    // Nothing has changed since the end.
    attached.set("mirror", "copy")?;
    let log = attached.log()?;
    let here = log
        .iter()
        .filter(|entry| entry.start < end && start < entry.end)
        .map(|entry| (entry.op, entry.start, entry.end));
    // Of one invalidation all three are about the same pages.
    let due = [Op::Start, LOST, END].map(|op| (op, start, end));
    same("log", here.collect::<Vec<_>>(), due.to_vec())?;
    let shown = attached.read("mirror")?;
    demand(shown.contains(" mapped=0 writable=0"), || shown.clone())?;

    let refuses = |attached: &Attached, line: &[u8], due| {
        let seen = write(&open(&attached.path("mirror"))?, line)?;
        same("a write", seen, Err(due))
    };
    refuses(&attached, b"again", Errno::EINVAL)?;
    attached.detach()?;
    let other = rig.attach(pid, "kind=plain-end")?;
    same("mirror", other.read("mirror")?, "none".to_owned())?;
    refuses(&other, b"copy", Errno::EOPNOTSUPP)
}

pub fn secondary_tlbs(rig: &Rig<'_>) -> Outcome {
    if kernel::is_user_mode() {
        return Err(Failure::Skip(
            "User Mode Linux has no arch_invalidate_secondary_tlbs",
        ));
    }
    let area = Area::map(8, None).context("cannot map memory")?;
    area.touch(0, 8).context("cannot touch memory")?;
    let attached = rig.attach(std::process::id() as i32, "kind=secondary-tlbs")?;
    // Settings without an effect are accepted, as for `none`.
    attached.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_UNMAP/error", "-11")])?;
    area.unmap(0, 8).context("munmap failed")?;
    let (start, end) = area.range();
    let log = attached.log()?;
    let flush = log.iter().find(|entry| {
        entry.op == Op::Later(FollowUp::SecondaryTlbs) && entry.start <= start && end <= entry.end
    });
    let Some(flush) = flush else {
        return Err(Failure::Wrong(format!("no flush of the area in {log:?}")));
    };
    demand(
        flush.callers.iter().any(|caller| caller.contains("tlb")),
        || format!("no caller has tlb in its name: {flush:?}"),
    )?;
    let counters = attached.counters()?;
    demand(counters.secondary_tlbs > 0, || format!("{counters:?}"))?;
    same("starts", counters.starts, 0)?;
    same("refused", counters.refused, 0)?;
    same("paired", counters.paired, None)?;
    attached.detach()
}

/// Demands that the address space has `due` holders (`mm_count`), plus at most one for each
/// processor, where a kernel thread may borrow it (`active_mm`).
fn demand_count(count: i64, due: i64) -> Outcome {
    let processors = std::thread::available_parallelism().context("cannot count processors")?;
    let most = due + processors.get() as i64;
    demand((due..=most).contains(&count), || {
        format!("count is {count}, not {due} to {most}")
    })
}

pub fn none(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let pid = subject.pid().as_raw();
    let held = rig.attach(pid, "kind=none")?;
    same("kind", held.read("kind")?.as_str(), "none")?;
    let Mm { users, count, .. } = held.mm()?;
    same("users", users, 1)?;
    // All users together hold it once, and the target once.
    demand_count(count, 2)?;
    // Eight targets, each with its notifier: more than a guest has processors.
    let others = (0..8)
        .map(|_| rig.attach(pid, ""))
        .collect::<Outcome<Vec<_>>>()?;
    let Mm { users, count, .. } = held.mm()?;
    same("users with notifiers", users, 1)?;
    demand_count(count, 2 + 2 * 8)?;
    others.into_iter().try_for_each(Attached::detach)?;
    demand_count(held.mm()?.count, 2)?;
    same("calls", held.counters()?.calls, 0)?;
    held.demand_state("live")?;
    rig.finish(subject)?;
    held.demand_state("gone")?;
    let Mm { users, count, .. } = held.mm()?;
    same("users of what is gone", users, 0)?;
    demand_count(count, 1)?;
    held.detach()
}

/// Writes to `read_retry`, and returns the result of the write.
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
            // The kernel has no two passes. The first half of the case has passed.
            Err(Failure::Skip(_)) => return Ok(()),
            attached => attached?,
        };
        attached.set("record", "all")?;
        let none = attached.read("read_begin")?;
        same("read_begin at first", none.as_str(), "seq=none")?;
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
        "begin of a plain one",
        write(&open(&plain.path("read_begin"))?, b"begin")?,
        Err(Errno::EOPNOTSUPP),
    )?;
    same(
        "of a plain one",
        retry(&plain, Seq(1))?,
        Err(Errno::EOPNOTSUPP),
    )?;
    plain.detach()
}
