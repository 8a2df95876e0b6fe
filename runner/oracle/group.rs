// SPDX-License-Identifier: GPL-2.0

//! First stage of the comparison: both sides are split by task.

use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::evidence::Evidence;
use crate::oracle::index::{DueId, Pair, SeenId};
use crate::oracle::message::Caller;

/// The messages of one task, or of all tasks where lines do not name theirs.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) due: Vec<DueId>,
    pub(super) seen: Vec<SeenId>,
}

/// Result of the first stage.
#[derive(Debug)]
pub(super) struct Grouping {
    pub(super) groups: Vec<Group>,
    /// Due messages without a log entry, which have no place in the order, with the first equal
    /// message that was seen.
    pub(super) pairs: Vec<Pair>,
}

/// Splits both sides by task.
pub(super) fn group(evidence: &Evidence<'_>) -> Grouping {
    let mut taken = BTreeSet::new();
    let mut pairs = Vec::new();
    let mut groups: BTreeMap<Option<Caller>, Group> = BTreeMap::new();
    for (id, due) in evidence.dues() {
        let partner = || {
            let mut ours = evidence.ours();
            ours.find(|(seen, of)| !taken.contains(seen) && of.message == due.message)
        };
        match due.entry.is_none().then(partner).flatten() {
            Some((seen, _)) => {
                taken.insert(seen);
                pairs.push(Pair { due: id, seen });
            }
            None => groups.entry(due.message.task).or_default().due.push(id),
        }
    }
    for (id, seen) in evidence.ours() {
        if !taken.contains(&id) {
            groups.entry(seen.message.task).or_default().seen.push(id);
        }
    }
    Grouping {
        groups: groups.into_values().collect(),
        pairs,
    }
}
