// SPDX-License-Identifier: GPL-2.0

//! Both sides of the comparison of one window.

use std::collections::BTreeSet;

use crate::model::{Observation, Window};
use crate::oracle::expect::Due;
use crate::oracle::index::{DueId, ObservationId, Pair, SeenId};
use crate::oracle::seen::{Scan, Seen};

/// The due and the seen messages of a window. Each stage of the comparison reads it.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) window: &'a Window,
    pub(super) scan: &'a Scan<'a>,
    pub(super) dues: &'a [Due<'a>],
}

impl<'a> Evidence<'a> {
    pub(super) fn due(&self, id: DueId) -> &'a Due<'a> {
        &self.dues[id.0]
    }

    pub(super) fn seen(&self, id: SeenId) -> &'a Seen<'a> {
        &self.scan.ours[id.0]
    }

    /// All due messages.
    pub(super) fn dues(&self) -> impl Iterator<Item = (DueId, &'a Due<'a>)> {
        let dues = self.dues.iter().enumerate();
        dues.map(|(index, due)| (DueId(index), due))
    }

    /// All seen messages about the module's callbacks and about the victims.
    pub(super) fn ours(&self) -> impl Iterator<Item = (SeenId, &'a Seen<'a>)> {
        let ours = self.scan.ours.iter().enumerate();
        ours.map(|(index, seen)| (SeenId(index), seen))
    }

    /// The pairs, if exactly the due messages were seen, in the module's order.
    pub(super) fn pairs_if_equal(&self) -> Option<Vec<Pair>> {
        let (dues, ours) = (self.dues, &self.scan.ours);
        let is_equal = dues.len() == ours.len()
            && dues
                .iter()
                .zip(ours)
                .all(|(due, seen)| due.message == seen.message);
        is_equal.then(|| {
            let pair = |((due, _), (seen, _))| Pair { due, seen };
            self.dues().zip(self.ours()).map(pair).collect()
        })
    }

    /// How many threads have messages due.
    pub(super) fn threads(&self) -> usize {
        let tids = self.dues.iter().filter_map(|due| due.entry);
        let tids: BTreeSet<i32> = tids.map(|entry| entry.tid).collect();
        tids.len()
    }

    /// The observations for which the test holds.
    pub(super) fn observations(
        &self,
        test: impl Fn(&Observation) -> bool,
    ) -> BTreeSet<ObservationId> {
        let observations = self.window.observations.iter().enumerate();
        observations
            .filter(|(_, o)| test(o))
            .map(|(index, _)| ObservationId(index))
            .collect()
    }
}
