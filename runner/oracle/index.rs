// SPDX-License-Identifier: GPL-2.0

//! Types for the indices that the comparison works with, one for each list, so that none of them is
//! taken for another.

/// Index of an observation in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObservationId(pub(super) usize);

/// Index of a due message among those of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DueId(pub(super) usize);

/// Index of a seen message among [`Scan::ours`](crate::oracle::seen::Scan::ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SeenId(pub(super) usize);

/// Index of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupId(pub(super) usize);

/// Position of a due message in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DueAt(pub(super) usize);

/// Position of a seen message in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SeenAt(pub(super) usize);

/// A due message and the seen one that it is matched with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) due: DueId,
    pub(super) seen: SeenId,
}
