// SPDX-License-Identifier: GPL-2.0

//! Whose a missing or a surplus message is, where a window holds several scenarios.
//!
//! Where it cannot be told, all that come into question are blamed: to let one of them pass would
//! be a wrong pass.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::{Call, Window};

use crate::oracle::compare::Group;
use crate::oracle::expect::Due;
use crate::oracle::message::{Caller, Message, What};
use crate::oracle::seen::Scan;

/// The observations that a due message without a partner can belong to.
pub(super) fn missing_in(dues: &[Due<'_>], group: &Group, at: usize) -> BTreeSet<usize> {
    let message = |at: usize| dues[group.due[at]].message;
    slide(
        group.due.len(),
        at,
        |at| group.due_pair[at].is_some(),
        message,
    )
    .map(|at| dues[group.due[at]].observation)
    .collect()
}

/// The observations that a seen message without a partner can belong to.
pub(super) fn surplus_in(
    window: &Window,
    dues: &[Due<'_>],
    scan: &Scan<'_>,
    group: &Group,
    at: usize,
) -> BTreeSet<usize> {
    let message = scan.ours[group.seen[at]].message;
    let having = |test: &dyn Fn(&crate::model::Observation) -> bool| -> BTreeSet<usize> {
        (0..window.observations.len())
            .filter(|index| test(&window.observations[*index]))
            .collect()
    };

    if let What::Reaper { pid, .. } = message.what {
        return having(&|o| o.pid == pid);
    }
    let tid = match (message.task, message.what) {
        (Some(Caller::Task(tid)), _) | (None, What::Warn { pid: tid, .. }) => Some(tid),
        _ => None,
    };
    let callers = tid.map(|tid| {
        let of_itself = having(&|o| o.pid == tid);
        if of_itself.is_empty() {
            having(&|o| o.calls.iter().any(|call| call.tid == tid))
        } else {
            of_itself
        }
    });
    if let Some(callers) = &callers
        && callers.len() == 1
    {
        return callers.clone();
    }

    let seen = |at: usize| scan.ours[group.seen[at]].message;
    let range = slide(
        group.seen.len(),
        at,
        |at| group.seen_pair[at].is_some(),
        seen,
    );
    let due_of = |at: usize| group.seen_pair[at].map(|due| &dues[group.due[due]]);
    let mut blamed: BTreeSet<usize> = range
        .clone()
        .filter_map(due_of)
        .map(|due| due.observation)
        .collect();
    // The neighbours on both sides, unless the one before is the last word about its scenario.
    let mut before = (0..range.start).rev().take(MAX_SLIDE).filter_map(due_of);
    let mut after = (range.end..group.seen.len())
        .take(MAX_SLIDE)
        .filter_map(due_of);
    let (last, next) = (before.next(), after.next());
    blamed.extend(
        last.filter(|due| !matches!(due.message.what, What::Reaper { .. }))
            .into_iter()
            .chain(next)
            .map(|due| due.observation),
    );
    // And whoever called between them, though it has no message that could be a neighbour.
    let from = last.into_iter().chain(before).find_map(|due| due.place);
    let to = next.into_iter().chain(after).find_map(|due| due.place);
    let between = from.map_or(0, |call| call.seq + 1)..to.map_or(u64::MAX, |call| call.seq);
    let is_between =
        |call: &Call| tid.is_none_or(|tid| call.tid == tid) && between.contains(&call.seq);
    blamed.extend(having(&|o| o.calls.iter().any(is_between)));
    if blamed.is_empty() {
        blamed = callers.unwrap_or_default();
    }
    if blamed.is_empty() {
        blamed = having(&|_| true);
    }
    blamed
}

/// How far is looked on each side: a bound to the work, far beyond what a scenario makes.
const MAX_SLIDE: usize = 10_000;

/// The stretch in which the block without partners around `at` could be moved without a
/// difference: which of several equal messages is the odd one cannot be told.
fn slide<'a>(
    len: usize,
    at: usize,
    is_paired: impl Fn(usize) -> bool,
    message: impl Fn(usize) -> Message<'a>,
) -> Range<usize> {
    let (first, last) = (at.saturating_sub(MAX_SLIDE), len.min(at + MAX_SLIDE));
    let mut start = at;
    while start > first && !is_paired(start - 1) {
        start -= 1;
    }
    let mut end = at;
    while end < last && !is_paired(end) {
        end += 1;
    }
    let size = end - start;
    let mut low = start;
    while low > first && is_paired(low - 1) && message(low - 1) == message(low - 1 + size) {
        low -= 1;
    }
    let mut high = end;
    while high < last && is_paired(high) && message(high) == message(high - size) {
        high += 1;
    }
    // A block that cannot be moved is where it is, each message for itself.
    if (low, high) == (start, end) {
        at..at + 1
    } else {
        low..high
    }
}
