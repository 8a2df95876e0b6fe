// SPDX-License-Identifier: GPL-2.0

//! The order of several tasks' messages where lines do not name their task.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::oracle::evidence::Evidence;
use crate::oracle::group::Group;
use crate::oracle::index::{DueId, Pair};
use crate::oracle::message::Message;

/// Whether the seen messages are an interleaving of those that are due in each thread.
#[derive(Debug)]
pub(super) enum Interleaving {
    /// They are, with these pairs.
    Legal(Vec<Pair>),
    /// They are not.
    Illegal,
    /// Equal messages of different threads make it a search, which is not done.
    Undecided,
    /// Messages are missing or surplus, so that there is no interleaving.
    Unbalanced,
}

/// Looks for an interleaving: each seen message is taken for the next one that is due in a thread.
pub(super) fn interleave(evidence: &Evidence<'_>, groups: &[Group]) -> Interleaving {
    if !is_balanced(evidence, groups) {
        return Interleaving::Unbalanced;
    }

    let thread = |due: DueId| evidence.due(due).entry.map(|entry| entry.tid);
    let mut queues: BTreeMap<Option<i32>, VecDeque<DueId>> = BTreeMap::new();
    for due in groups.iter().flat_map(|group| &group.due) {
        queues.entry(thread(*due)).or_default().push_back(*due);
    }
    let mut had_a_choice = false;
    let mut pairs = Vec::new();
    for &seen in groups.iter().flat_map(|group| &group.seen) {
        let message = evidence.seen(seen).message;
        let mut heads: Vec<DueId> = queues
            .values()
            .filter_map(|queue| queue.front().copied())
            .filter(|due| evidence.due(*due).message == message)
            .collect();
        heads.sort_unstable();
        let Some(due) = heads.first().copied() else {
            // After a choice, another one could have led further.
            return if had_a_choice {
                Interleaving::Undecided
            } else {
                Interleaving::Illegal
            };
        };
        had_a_choice |= heads.len() > 1;
        if let Some(queue) = queues.get_mut(&thread(due)) {
            queue.pop_front();
        }
        pairs.push(Pair { due, seen });
    }
    Interleaving::Legal(pairs)
}

/// Whether each message was seen as often as it is due.
fn is_balanced(evidence: &Evidence<'_>, groups: &[Group]) -> bool {
    let mut count: HashMap<Message<'_>, i64> = HashMap::new();
    for group in groups {
        for due in &group.due {
            *count.entry(evidence.due(*due).message).or_default() += 1;
        }
        for seen in &group.seen {
            *count.entry(evidence.seen(*seen).message).or_default() -= 1;
        }
    }
    count.values().all(|count| *count == 0)
}
