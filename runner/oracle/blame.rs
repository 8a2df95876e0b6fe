// SPDX-License-Identifier: GPL-2.0

//! The observations that a missing or a surplus message can belong to.
//!
//! If it can belong to several, all of them are blamed: a pass of the wrong one would be a wrong
//! pass.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::Call;
use crate::oracle::align::{AlignedGroup, Missing, Surplus};
use crate::oracle::evidence::Evidence;
use crate::oracle::expect::Due;
use crate::oracle::index::{DueAt, ObservationId, SeenAt};
use crate::oracle::message::{Caller, Content, Message};

/// The observations that a due message without a partner can belong to.
pub(super) fn missing(
    evidence: &Evidence<'_>,
    group: &AlignedGroup,
    missing: &Missing,
) -> BTreeSet<ObservationId> {
    let due = |at: usize| evidence.due(group.due(DueAt(at)));
    let range = slide(
        group.dues().len(),
        missing.at.0,
        |at| group.is_due_paired(DueAt(at)),
        |at| due(at).message,
    );
    range.map(|at| due(at).observation).collect()
}

/// The observations that a seen message without a partner can belong to.
pub(super) fn surplus(
    evidence: &Evidence<'_>,
    group: &AlignedGroup,
    surplus: &Surplus,
) -> BTreeSet<ObservationId> {
    let message = evidence.seen(surplus.seen).message;
    if let Content::Reaper { pid, .. } = message.content {
        return evidence.observations(|o| o.pid == pid);
    }

    let tid = thread_of(&message);
    let callers = tid.map(|tid| of_thread(evidence, tid)).unwrap_or_default();
    if callers.len() == 1 {
        return callers;
    }

    let surroundings = Surroundings::of(evidence, group, surplus.at);
    let mut nearby = surroundings.observations;
    let is_between = |call: &Call| {
        tid.is_none_or(|tid| call.tid == tid) && surroundings.log_entries.contains(&call.seq)
    };
    // A scenario that called in between has no message that could be a neighbour.
    nearby.extend(evidence.observations(|o| o.calls.iter().any(is_between)));

    if !nearby.is_empty() {
        nearby
    } else if !callers.is_empty() {
        callers
    } else {
        evidence.observations(|_| true)
    }
}

/// The thread that printed a message, by its `caller=` or else by the header of a WARN.
fn thread_of(message: &Message<'_>) -> Option<i32> {
    match (message.task, message.content) {
        (Some(Caller::Task(tid)), _) | (None, Content::Warn { pid: tid, .. }) => Some(tid),
        _ => None,
    }
}

/// The observations whose process is that thread, or else those in which the thread made calls.
fn of_thread(evidence: &Evidence<'_>, tid: i32) -> BTreeSet<ObservationId> {
    let own = evidence.observations(|o| o.pid == tid);
    if own.is_empty() {
        evidence.observations(|o| o.calls.iter().any(|call| call.tid == tid))
    } else {
        own
    }
}

/// The paired messages around a seen message without a partner.
struct Surroundings {
    /// The observations of those next to it.
    observations: BTreeSet<ObservationId>,
    /// The numbers in the module's log between the nearest log entries on both sides.
    log_entries: Range<u64>,
}

impl Surroundings {
    fn of(evidence: &Evidence<'_>, group: &AlignedGroup, at: SeenAt) -> Self {
        let message = |at: usize| evidence.seen(group.seen(SeenAt(at))).message;
        let partner = |at: usize| group.partner(SeenAt(at)).map(|due| evidence.due(due));
        let range = slide(group.seen_len(), at.0, |at| partner(at).is_some(), message);
        let before = || {
            let positions = (0..range.start).rev().take(MAX_SLIDE);
            positions.filter_map(partner)
        };
        let after = || {
            let positions = (range.end..group.seen_len()).take(MAX_SLIDE);
            positions.filter_map(partner)
        };

        // A closing line is the last message of its scenario, so what follows is of another one.
        let is_closing = |due: &&Due<'_>| matches!(due.message.content, Content::Reaper { .. });
        let previous = before().next().filter(|due| !is_closing(due));
        let neighbours = previous.into_iter().chain(after().next());
        let within = range.clone().filter_map(partner);
        let observations = within.chain(neighbours).map(|due| due.observation);

        let from = before().find_map(|due| due.entry);
        let to = after().find_map(|due| due.entry);
        Surroundings {
            observations: observations.collect(),
            log_entries: from.map_or(0, |entry| entry.seq.saturating_add(1))
                ..to.map_or(u64::MAX, |entry| entry.seq),
        }
    }
}

/// The most messages that are looked at on each side: a bound to the work, far beyond the number of
/// messages of a scenario.
const MAX_SLIDE: usize = 10_000;

/// The range in which the block without partners around `at` can be moved without a difference: of
/// several equal messages, any one can be the one without a partner.
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
    // In a block that cannot be moved, each message is where it is.
    if (low, high) == (start, end) {
        at..at + 1
    } else {
        low..high
    }
}
