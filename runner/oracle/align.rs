// SPDX-License-Identifier: GPL-2.0

//! Second stage of the comparison: within each group, due and seen messages are paired in order.

use crate::oracle::evidence::Evidence;
use crate::oracle::group::Group;
use crate::oracle::index::{DueAt, DueId, GroupId, Pair, SeenAt, SeenId};
use crate::oracle::lcs::{CommonElements, common_elements};
use crate::oracle::message::Message;

/// Result of the second stage.
#[derive(Debug)]
pub(super) struct Alignment {
    pub(super) groups: Vec<AlignedGroup>,
    pub(super) pairs: Vec<Pair>,
    pub(super) missing: Vec<Missing>,
    pub(super) surplus: Vec<Surplus>,
}

/// A group with its pairs.
#[derive(Debug)]
pub(super) struct AlignedGroup {
    group: Group,
    due_partners: Vec<Option<SeenAt>>,
    seen_partners: Vec<Option<DueAt>>,
    /// Whether the pairs are in order. With too many differences they are right in number only.
    pub(super) is_exact: bool,
}

/// A due message without a partner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) group: GroupId,
    pub(super) at: DueAt,
    pub(super) due: DueId,
}

/// A seen message without a partner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surplus {
    pub(super) group: GroupId,
    pub(super) at: SeenAt,
    /// The due message before which it stands: the one behind the last that is paired before it.
    pub(super) before: DueAt,
    pub(super) seen: SeenId,
}

impl Missing {
    /// The due messages between its place and that of a surplus message.
    pub(super) fn between(&self, surplus: &Surplus) -> impl Iterator<Item = DueAt> {
        let (a, b) = (self.at.0, surplus.before.0);
        (a.min(b)..a.max(b)).map(DueAt)
    }

    /// The number of due messages between its place and that of a surplus message.
    pub(super) fn distance(&self, surplus: &Surplus) -> usize {
        self.at.0.abs_diff(surplus.before.0)
    }
}

/// Pairs the messages of each group.
pub(super) fn align(evidence: &Evidence<'_>, groups: Vec<Group>) -> Alignment {
    let groups: Vec<AlignedGroup> = groups
        .into_iter()
        .map(|group| AlignedGroup::of(evidence, group))
        .collect();
    let by_id = || {
        let groups = groups.iter().enumerate();
        groups.map(|(index, group)| (GroupId(index), group))
    };
    Alignment {
        pairs: groups.iter().flat_map(AlignedGroup::pairs).collect(),
        missing: by_id().flat_map(|(id, group)| group.missing(id)).collect(),
        surplus: by_id().flat_map(|(id, group)| group.surplus(id)).collect(),
        groups,
    }
}

impl AlignedGroup {
    fn of(evidence: &Evidence<'_>, group: Group) -> Self {
        let due = group.due.iter().map(|due| evidence.due(*due).message);
        let due: Vec<Message<'_>> = due.collect();
        let seen = group.seen.iter().map(|seen| evidence.seen(*seen).message);
        let seen: Vec<Message<'_>> = seen.collect();
        let CommonElements { pairs, is_exact } = common_elements(&due, &seen);
        let mut due_partners = vec![None; due.len()];
        let mut seen_partners = vec![None; seen.len()];
        for (due, seen) in pairs {
            due_partners[due] = Some(SeenAt(seen));
            seen_partners[seen] = Some(DueAt(due));
        }
        AlignedGroup {
            group,
            due_partners,
            seen_partners,
            is_exact,
        }
    }

    pub(super) fn due(&self, at: DueAt) -> DueId {
        self.group.due[at.0]
    }

    pub(super) fn seen(&self, at: SeenAt) -> SeenId {
        self.group.seen[at.0]
    }

    /// All due messages of the group.
    pub(super) fn dues(&self) -> &[DueId] {
        &self.group.due
    }

    /// The number of seen messages of the group.
    pub(super) fn seen_len(&self) -> usize {
        self.group.seen.len()
    }

    pub(super) fn is_due_paired(&self, at: DueAt) -> bool {
        self.due_partners[at.0].is_some()
    }

    /// The due message that a seen one is paired with.
    pub(super) fn partner(&self, at: SeenAt) -> Option<DueId> {
        self.seen_partners[at.0].map(|due| self.due(due))
    }

    /// Whether every message has a partner.
    pub(super) fn is_complete(&self) -> bool {
        self.due_partners.iter().all(Option::is_some)
            && self.seen_partners.iter().all(Option::is_some)
    }

    fn pairs(&self) -> impl Iterator<Item = Pair> {
        let partners = self.group.due.iter().zip(&self.due_partners);
        partners.filter_map(|(due, seen)| {
            Some(Pair {
                due: *due,
                seen: self.seen((*seen)?),
            })
        })
    }

    fn missing(&self, group: GroupId) -> impl Iterator<Item = Missing> {
        let partners = self.group.due.iter().zip(&self.due_partners).enumerate();
        partners
            .filter(|(_, (_, partner))| partner.is_none())
            .map(move |(at, (due, _))| Missing {
                group,
                at: DueAt(at),
                due: *due,
            })
    }

    fn surplus(&self, group: GroupId) -> impl Iterator<Item = Surplus> {
        let mut before = DueAt(0);
        let partners = self.group.seen.iter().zip(&self.seen_partners).enumerate();
        partners.filter_map(move |(at, (seen, partner))| match partner {
            Some(due) => {
                before = DueAt(due.0 + 1);
                None
            }
            None => Some(Surplus {
                group,
                at: SeenAt(at),
                before,
                seen: *seen,
            }),
        })
    }
}
