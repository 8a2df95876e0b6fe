// SPDX-License-Identifier: GPL-2.0

//! Holds the page table against the invalidations, as a secondary MMU has to: while no invalidation
//! of a page is under way, the page neither goes nor becomes another one, nor may be written to no
//! more.

use crate::model::{Call, Context, Finding, FindingKind, FollowUp, NotifierKind, Observation};
use crate::oracle::findings::Findings;
use crate::oracle::witness::Range;

/// Runs of pages that the module tells apart each time: `RUNS` in `module/mirror.rs`.
const RUNS: usize = 16;

/// An entry in the log of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// So many ends belong to it.
    Start(Range, usize),
    End(Range),
    /// The copy of these pages was stale.
    Lost(Range),
}

/// Number of the ends that belong to this start. There is another one, at once, if a plain notifier
/// has failed in the same invalidation (rule 4). In blockable context the operation goes on, and the
/// last end is that of the operation.
fn ends(o: &Observation, start: &Call) -> usize {
    let is_of_same = |call: &&Call| {
        let of = |call: &Call| (call.tid, call.event, call.start, call.end);
        call.notifier != start.notifier && of(call) == of(start)
    };
    let is_plain = |call: &&Call| o.kind(call).is_some_and(|kind| !kind.is_interval());
    // Of each notifier the nth start of these pages belongs to the nth start of the mirror.
    let nth = |call: &Call| {
        let before = o.calls.iter().filter(|other| other.seq < call.seq);
        let like = |other: &&Call| {
            other.notifier == call.notifier && (other.start, other.end) == (call.start, call.end)
        };
        before.filter(like).count()
    };
    let mut same = o.calls.iter().filter(is_of_same).filter(is_plain);
    let has_failed = same.any(|call| call.returned != 0 && nth(call) == nth(start));
    1 + usize::from(has_failed && start.context == Context::Blockable)
}

/// The entries of the mirror of that index, in order.
fn entries(o: &Observation, index: usize) -> Vec<Entry> {
    let calls = o.calls.iter().filter(|call| call.notifier == index);
    let starts = calls.map(|call| {
        let range = (call.start, call.end);
        (call.seq, Entry::Start(range, ends(o, call)))
    });
    let later = o.later.iter().filter(|later| later.notifier == index);
    let later = later.filter_map(|later| {
        let range = (later.start, later.end);
        let entry = match later.op {
            FollowUp::Lost => Entry::Lost(range),
            op if op.is_end() => Entry::End(range),
            _ => return None,
        };
        Some((later.seq, entry))
    });
    let mut all: Vec<(u64, Entry)> = starts.chain(later).collect();
    all.sort_by_key(|(seq, _)| *seq);
    all.into_iter().map(|(_, entry)| entry).collect()
}

/// Whether all of a range is in these.
fn is_covered((mut start, end): Range, open: &[(Range, usize)]) -> bool {
    let mut open = open.to_vec();
    open.sort_unstable();
    for ((from, to), _) in open {
        if from <= start {
            start = start.max(to);
        }
    }
    start >= end
}

fn overlaps(one: Range, other: Range) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// A sentence about pages that changed while these invalidations were under way, between the
/// entries before and those after.
fn sentence(lost: Range, open: &[(Range, usize)], before: &[Entry], after: &[Entry]) -> String {
    let pages = format!("pages {:#x}-{:#x} changed", lost.0, lost.1);
    let part = open.iter().find(|(range, _)| overlaps(*range, lost));
    let next = after.iter().find(|entry| !matches!(entry, Entry::Lost(_)));
    let last = before
        .iter()
        .rev()
        .find(|entry| !matches!(entry, Entry::Lost(_)));
    match (part, next, last) {
        (Some(((start, end), _)), _, _) => {
            format!("{pages}, and the start was for {start:#x}-{end:#x}")
        }
        (None, Some(Entry::Start(range, _)), _) if overlaps(*range, lost) => {
            format!("{pages} before the start that is for them")
        }
        (None, _, Some(Entry::End(range))) if overlaps(*range, lost) => {
            format!("{pages} after the end of their invalidation")
        }
        _ => format!("{pages}, and there was no start for them"),
    }
}

/// Adds a finding for each change of a page that no invalidation covers. Returns a reason if that
/// cannot be known.
pub(super) fn check(o: &Observation, findings: &mut Findings) -> Vec<String> {
    let mut reasons = Vec::new();
    for (index, notifier) in o.notifiers.iter().enumerate() {
        if notifier.notifier.kind == NotifierKind::Mirror {
            for change in changes(&entries(o, index)) {
                match change {
                    Change::Untold(text) => {
                        findings.push(Finding::new(FindingKind::Untold, text));
                    }
                    Change::Unknown => reasons.push(
                        "more pages changed at once, here and there, than the module tells apart"
                            .to_owned(),
                    ),
                }
            }
        }
    }
    reasons
}

/// A change that no invalidation covers.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// With the sentence about it.
    Untold(String),
    /// Or that some do: the addresses are those of several changes, and of what lies between.
    Unknown,
}

/// The changes that no invalidation covers.
fn changes(entries: &[Entry]) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut open: Vec<(Range, usize)> = Vec::new();
    let mut in_a_row = 0;
    for (at, entry) in entries.iter().enumerate() {
        in_a_row = match entry {
            Entry::Lost(_) => in_a_row + 1,
            Entry::Start(..) | Entry::End(_) => 0,
        };
        match *entry {
            Entry::Start(range, ends) => open.push((range, ends)),
            Entry::End(range) => {
                if let Some((_, ends)) = open.iter_mut().rev().find(|(one, _)| *one == range) {
                    *ends -= 1;
                }
                open.retain(|(_, ends)| *ends > 0);
            }
            Entry::Lost(range) if is_covered(range, &open) => {}
            Entry::Lost(_) if in_a_row >= RUNS => changes.push(Change::Unknown),
            Entry::Lost(range) => changes.push(Change::Untold(sentence(
                range,
                &open,
                &entries[..at],
                &entries[at + 1..],
            ))),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::Entry::{End, Lost, Start};
    use super::*;

    const A: Range = (0x1000, 0x3000);
    const B: Range = (0x3000, 0x5000);
    const BOTH: Range = (0x1000, 0x5000);

    #[test]
    fn a_change_between_start_and_end_is_right() {
        for entries in [
            &[Start(A, 1), Lost(A), End(A)][..],
            &[Start(BOTH, 1), Lost(A), Lost(B), End(BOTH)],
            &[
                Start(BOTH, 1),
                Start(A, 1),
                Lost(A),
                End(A),
                Lost(B),
                End(BOTH),
            ],
            // Of two threads, or a nested one: both together cover it.
            &[Start(B, 1), Start(A, 1), Lost(BOTH), End(A), End(B)],
            // A plain notifier has failed.
            &[Start(A, 2), End(A), Lost(A), End(A)],
            // The next one is for the same pages.
            &[Start(A, 1), Lost(A), End(A), Start(A, 1), Lost(A), End(A)],
        ] {
            assert_eq!(changes(entries), [], "{entries:?}");
        }
    }

    #[test]
    fn a_change_at_another_time_or_place_is_told_with_the_reason() {
        for (entries, words) in [
            (&[Lost(A), Start(A, 1), End(A)][..], "before the start"),
            (&[Start(A, 1), End(A), Lost(A)], "after the end"),
            (&[Start(A, 2), End(A), End(A), Lost(A)], "after the end"),
            (&[Lost(A)], "no start for them"),
            (&[Start(B, 1), Lost(A), End(B)], "no start for them"),
            (
                &[Start(A, 1), Lost(BOTH), End(A)],
                "the start was for 0x1000-0x3000",
            ),
            (&[Start(A, 1), End(A), Lost(B)], "no start for them"),
        ] {
            let found = changes(entries);
            let [Change::Untold(text)] = &found[..] else {
                panic!("{entries:?}: {found:?}");
            };
            assert!(text.contains(words), "{entries:?}: {text}");
        }
    }

    #[test]
    fn many_changes_at_once_are_known_only_where_all_is_covered() {
        let lost = |page: u64| Lost((page << 13, (page << 13) + 0x1000));
        let mut entries: Vec<Entry> = (0..RUNS as u64).map(lost).collect();
        entries.insert(0, Start((0, 1 << 20), 1));
        assert_eq!(changes(&entries), []);
        let last = entries.len() - 1;
        entries[last] = Lost((2 << 20, 3 << 20));
        assert_eq!(changes(&entries), [Change::Unknown]);
    }
}
