// SPDX-License-Identifier: GPL-2.0

//! Third stage of the comparison: missing and surplus messages that explain each other.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::oracle::align::{AlignedGroup, Alignment, Missing, Surplus};
use crate::oracle::evidence::Evidence;
use crate::oracle::index::{DueId, Pair};
use crate::oracle::message::{Content, Message};
use crate::oracle::seen::Seen;

/// The most combinations of a missing and a surplus message that are tested for likeness.
const MAX_GUESSES: usize = 1_000_000;

/// A missing message, and the surplus one that it became.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) missing: Missing,
    pub(super) surplus: Surplus,
}

impl Change {
    pub(super) fn pair(&self) -> Pair {
        Pair {
            due: self.missing.due,
            seen: self.surplus.seen,
        }
    }
}

/// Result of the third stage.
#[derive(Debug)]
pub(super) struct Explained<'a> {
    /// Messages that came in another place.
    pub(super) moved: Vec<Change>,
    /// Messages that came with another content, level or task.
    pub(super) altered: Vec<Change>,
    /// Messages that came about a callback of another driver.
    pub(super) renamed: Vec<(Missing, &'a Seen<'a>)>,
    /// Messages that did not come.
    pub(super) missing: Vec<Missing>,
    /// Messages that nothing explains.
    pub(super) surplus: Vec<Surplus>,
}

/// Explains missing and surplus messages by each other, from the surest explanation to the least.
pub(super) fn explain<'a>(evidence: &Evidence<'a>, alignment: &Alignment) -> Explained<'a> {
    let (mut missing, mut surplus) = (alignment.missing.clone(), alignment.surplus.clone());
    let moved = take_moved(evidence, &mut missing, &mut surplus);
    let altered = take_altered(evidence, &alignment.groups, &mut missing, &mut surplus);
    let renamed = take_renamed(evidence, &mut missing);
    Explained {
        moved,
        altered,
        renamed,
        missing,
        surplus,
    }
}

/// Takes out messages that are missing in one place and surplus in another.
fn take_moved(
    evidence: &Evidence<'_>,
    missing: &mut Vec<Missing>,
    surplus: &mut Vec<Surplus>,
) -> Vec<Change> {
    let mut places: HashMap<Message<'_>, VecDeque<Missing>> = HashMap::new();
    for m in missing.iter() {
        let message = evidence.due(m.due).message;
        places.entry(message).or_default().push_back(*m);
    }
    let mut moved = Vec::new();
    surplus.retain(|s| {
        let same = places.get_mut(&evidence.seen(s.seen).message);
        let first = same.and_then(VecDeque::pop_front);
        moved.extend(first.map(|missing| Change {
            missing,
            surplus: *s,
        }));
        first.is_none()
    });
    let found: HashSet<DueId> = moved.iter().map(|change| change.missing.due).collect();
    missing.retain(|m| !found.contains(&m.due));
    moved
}

/// Takes out missing messages with a surplus one that resembles them: first those that are
/// altered, then those of another task.
fn take_altered(
    evidence: &Evidence<'_>,
    groups: &[AlignedGroup],
    missing: &mut Vec<Missing>,
    surplus: &mut Vec<Surplus>,
) -> Vec<Change> {
    let mut altered = Vec::new();
    if is_too_much(missing, surplus) {
        altered.extend(take_one_by_one(evidence, missing, surplus));
    }
    if !is_too_much(missing, surplus) {
        let is_like = |m: &Missing, s: &Surplus| is_altered(evidence, groups, m, s);
        altered.extend(take_nearest(missing, surplus, is_like));
    }
    if !is_too_much(missing, surplus) {
        let is_like = |m: &Missing, s: &Surplus| is_of_another_task(evidence, m, s);
        altered.extend(take_nearest(missing, surplus, is_like));
    }
    altered
}

fn is_too_much(missing: &[Missing], surplus: &[Surplus]) -> bool {
    missing.len().saturating_mul(surplus.len()) > MAX_GUESSES
}

/// Takes out each surplus message that resembles a missing one, with the nearest of those.
fn take_nearest(
    missing: &mut Vec<Missing>,
    surplus: &mut Vec<Surplus>,
    is_like: impl Fn(&Missing, &Surplus) -> bool,
) -> Vec<Change> {
    let mut found = Vec::new();
    surplus.retain(|s| {
        let nearest = missing
            .iter()
            .enumerate()
            .filter(|(_, m)| is_like(m, s))
            .min_by_key(|(_, m)| m.distance(s))
            .map(|(index, _)| index);
        found.extend(nearest.map(|index| Change {
            missing: missing.remove(index),
            surplus: *s,
        }));
        nearest.is_none()
    });
    found
}

/// Whether a surplus message can be an altered form of a missing one: it stands in the same place,
/// or behind or before messages that are missing as well or equal to the missing one.
fn is_altered(evidence: &Evidence<'_>, groups: &[AlignedGroup], m: &Missing, s: &Surplus) -> bool {
    let message = evidence.due(m.due).message;
    if !evidence
        .seen(s.seen)
        .message
        .content
        .may_be(&message.content)
    {
        return false;
    }
    // A victim has one closing line only, which is known wherever it stands.
    if let Content::Reaper { .. } = message.content {
        return true;
    }
    let group = &groups[s.group.0];
    m.group == s.group
        && m.between(s)
            .all(|at| !group.is_due_paired(at) || evidence.due(group.due(at)).message == message)
}

/// Whether a surplus message is the missing one with another task.
fn is_of_another_task(evidence: &Evidence<'_>, m: &Missing, s: &Surplus) -> bool {
    let seen = evidence.seen(s.seen).message;
    let due = evidence.due(m.due).message;
    m.group != s.group && seen.level == due.level && seen.content.is_but_for_task(&due.content)
}

/// Takes out the n-th missing message of a group with the n-th surplus one, where there are too
/// many of them for a better guess.
fn take_one_by_one(
    evidence: &Evidence<'_>,
    missing: &mut Vec<Missing>,
    surplus: &mut Vec<Surplus>,
) -> Vec<Change> {
    let mut found = Vec::new();
    let mut rest = missing.iter().copied().peekable();
    let mut left = Vec::new();
    surplus.retain(|s| {
        while let Some(m) = rest.next_if(|m| m.group < s.group) {
            left.push(m);
        }
        let is_altered = |m: &Missing| {
            let due = evidence.due(m.due).message;
            let seen = evidence.seen(s.seen).message;
            m.group == s.group && seen.content.may_be(&due.content)
        };
        let partner = rest.next_if(is_altered);
        found.extend(partner.map(|missing| Change {
            missing,
            surplus: *s,
        }));
        partner.is_none()
    });
    left.extend(rest);
    *missing = left;
    found
}

/// Takes out missing messages of which the same came about a callback that is not the module's.
fn take_renamed<'a>(
    evidence: &Evidence<'a>,
    missing: &mut Vec<Missing>,
) -> Vec<(Missing, &'a Seen<'a>)> {
    let scan = evidence.scan;
    let mut places: HashMap<Message<'_>, VecDeque<&'a Seen<'a>>> = HashMap::new();
    for seen in &scan.foreign {
        // The header of a WARN does not name the callback. Where lines do not name their task, a
        // line with another driver's symbol can be about that driver.
        let is_same_task = scan.format.callers || seen.is_near;
        if is_same_task && !matches!(seen.message.content, Content::Warn { .. }) {
            places.entry(seen.message).or_default().push_back(seen);
        }
    }
    let mut renamed = Vec::new();
    missing.retain(|m| {
        let same = places.get_mut(&evidence.due(m.due).message);
        let first = same.and_then(VecDeque::pop_front);
        renamed.extend(first.map(|seen| (*m, seen)));
        first.is_none()
    });
    renamed
}
