// SPDX-License-Identifier: GPL-2.0

//! Edges: operations on memory at places where page tables begin and end, and on memory of which a
//! part or nothing was touched. Each with each, for one mirror that agrees.

use crate::model::{Arming, Count, Extent, PagesFate};
use crate::scenario::bugs::{Bug, END_MISSING_AT_ZERO};
use crate::scenario::triggers::{TRIGGERS, Trigger, TriggerKind};
use crate::trigger::operation::Operation;
use crate::trigger::place::{Filled, PAGES, Place};

/// Names of the triggers.
const OPERATIONS: &[&str] = &[
    "munmap-whole",
    "madvise-dontneed",
    "madvise-free",
    "madvise-guard",
    "mprotect",
    "mremap",
    "mmap-over",
    "fork",
];

/// The places, with their names.
const PLACES: &[(Place, &str)] = &[
    (Place::AtZero, "at-zero"),
    (Place::AcrossTables, "across-2m"),
    (Place::AcrossGigabytes, "across-1g"),
];

/// The triggers on all edges.
pub fn all() -> impl Iterator<Item = Trigger> {
    let is_one = |trigger: &&Trigger| OPERATIONS.contains(&trigger.name);
    TRIGGERS.iter().filter(is_one).flat_map(|trigger| {
        let places = PLACES.iter().map(|(place, _)| *place);
        places.flat_map(move |place| {
            let filled = Filled::ALL.into_iter();
            filled.map(move |filled| edge(trigger, place, filled))
        })
    })
}

/// The name of the edge that a trigger works on.
pub fn name(trigger: &Trigger) -> String {
    let place = PLACES.iter().find(|(place, _)| *place == trigger.place);
    let place = place.map_or("anywhere", |(_, name)| name);
    let filled = match trigger.filled {
        Filled::Whole => "whole",
        Filled::Last => "last",
        Filled::Nothing => "empty",
    };
    format!("edge-{}-{place}-{filled}", trigger.name)
}

/// The known bug that is seen on an edge.
pub fn bug(name: &str) -> Option<&'static Bug> {
    match name {
        "edge-mprotect-at-zero-whole" | "edge-mprotect-at-zero-last" => Some(&END_MISSING_AT_ZERO),
        _ => None,
    }
}

/// A trigger on an edge, and what changes by that.
fn edge(trigger: &Trigger, place: Place, filled: Filled) -> Trigger {
    let TriggerKind::Own(operation) = trigger.kind else {
        return *trigger;
    };
    let half = PAGES as u64 / 2;
    let (calls, extent) = match (operation, filled) {
        // change_pud_range() begins with the first gigabyte that has a page table, vma_needs_copy()
        // demands an anon_vma, and a guard is installed without an invalidation where nothing is in
        // its way (madvise_guard_install()).
        (Operation::Mprotect | Operation::Fork | Operation::Guard, Filled::Nothing) => {
            (Count::Exactly(0), None)
        }
        (Operation::Mprotect, Filled::Last) if place == Place::AcrossGigabytes => (
            trigger.calls,
            Some(Extent::Pages {
                first: half,
                count: half,
            }),
        ),
        _ => (trigger.calls, trigger.extent),
    };
    Trigger {
        place,
        filled,
        calls,
        extent,
        // Memory that was not touched has no contents to keep.
        pages: trigger
            .pages
            .filter(|fate| *fate != PagesFate::Kept || filled == Filled::Whole),
        armings: &[Arming::Unarmed],
        ..*trigger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_all_of_them() {
        let count = OPERATIONS.len() * PLACES.len() * Filled::ALL.len();
        assert_eq!(all().count(), count);
    }

    #[test]
    fn every_bug_is_that_of_a_scenario() {
        let names: Vec<_> = all().map(|trigger| name(&trigger)).collect();
        let with = names.iter().filter(|name| bug(name).is_some());
        assert_eq!(with.count(), 2);
    }
}
