// SPDX-License-Identifier: GPL-2.0

//! The order of messages of different tasks.
//!
//! Tasks run at the same time, so between two tasks only that order counts which follows from the
//! module's log: the messages of a call come before those of another task's call that was logged
//! after the first task's next call.

use std::collections::{BTreeSet, HashMap};

use crate::oracle::evidence::Evidence;
use crate::oracle::expect::calls;
use crate::oracle::index::Pair;

/// The pairs whose message came after one that it had to come before.
pub(super) fn late(evidence: &Evidence<'_>, mut pairs: Vec<Pair>) -> BTreeSet<Pair> {
    let next_call = next_calls(evidence);
    pairs.sort_unstable_by_key(|pair| pair.seen);
    // Of the messages behind the current one, the one that had to come before the earliest call.
    let mut earliest: Option<(u64, Pair)> = None;
    let mut late = BTreeSet::new();
    for pair in pairs.into_iter().rev() {
        let Some(call) = evidence.due(pair.due).entry else {
            continue;
        };
        if let Some((until, late_pair)) = earliest
            && until < call.seq
        {
            late.insert(late_pair);
        }
        if let Some(until) = next_call.get(&(call.tid, call.seq))
            && earliest.is_none_or(|(other, _)| *until < other)
        {
            earliest = Some((*until, pair));
        }
    }
    late
}

/// For each call, by thread and number, the number of the thread's next call.
fn next_calls(evidence: &Evidence<'_>) -> HashMap<(i32, u64), u64> {
    let mut next_call = HashMap::new();
    let mut last: HashMap<i32, u64> = HashMap::new();
    for (_, call) in calls(evidence.window) {
        if let Some(before) = last.insert(call.tid, call.seq) {
            next_call.insert((call.tid, before), call.seq);
        }
    }
    next_call
}
