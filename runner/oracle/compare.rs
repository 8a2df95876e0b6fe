// SPDX-License-Identifier: GPL-2.0

//! Compares what was due in a window with what was seen.
//!
//! A task's messages have an order: those of a call come before those of its next call. Tasks run
//! at the same time, so between two tasks only that order counts which follows from it: a message
//! comes before those of another task's call that the module logged after the first task's next
//! call.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::model::{Finding, FindingKind, Matched, Window};

use crate::oracle::align::align;
use crate::oracle::blame::{missing_in, surplus_in};
use crate::oracle::expect::Due;
use crate::oracle::message::{Caller, Message, What, shown};
use crate::oracle::seen::{Scan, Seen};

/// What the comparison says about each observation of a window, by index.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Findings>,
    pub(super) matched: Vec<Vec<Matched>>,
    /// Why it cannot be known whether the messages are right.
    pub(super) undecided: Option<String>,
}

/// The findings of one observation. A kernel that is wrong once is wrong every time, so only the
/// first of each kind are kept, and the number of the others.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: Vec<(FindingKind, usize)>,
}

/// How many findings of a kind are kept for one observation.
pub(super) const MAX_FINDINGS: usize = 100;

/// Whether a surplus message can be the missing one gone wrong.
type Likeness<'a> = dyn Fn(&Missing, &Surplus) -> bool + 'a;

/// How many pairs of a missing and a surplus message are looked at for likeness.
const MAX_GUESSES: usize = 1_000_000;

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let kind = finding.kind;
        let at = self.counts.iter().position(|(k, _)| *k == kind);
        let at = at.unwrap_or_else(|| {
            self.counts.push((kind, 0));
            self.counts.len() - 1
        });
        self.counts[at].1 += 1;
        if self.counts[at].1 <= MAX_FINDINGS {
            self.kept.push(finding);
        }
    }

    /// Whether one more of this kind would only be counted.
    fn is_full(&self, kind: FindingKind) -> bool {
        self.counts
            .iter()
            .any(|(k, count)| *k == kind && *count >= MAX_FINDINGS)
    }

    fn count(&mut self, kind: FindingKind) {
        if let Some((_, count)) = self.counts.iter_mut().find(|(k, _)| *k == kind) {
            *count += 1;
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<Finding> {
        self.kept.sort_by_key(|f| {
            (
                f.call_seq.unwrap_or(u64::MAX),
                f.kmsg_seq.unwrap_or(u64::MAX),
            )
        });
        for (kind, count) in self.counts {
            if count > MAX_FINDINGS {
                self.kept.push(Finding::new(
                    kind,
                    format!("{} more of this kind", count - MAX_FINDINGS),
                ));
            }
        }
        self.kept
    }
}

/// The messages of one task, or of all where the kernel does not tell them apart.
#[derive(Default)]
pub(super) struct Group {
    /// Indices into all dues.
    pub(super) due: Vec<usize>,
    /// Indices into all seen messages of ours.
    pub(super) seen: Vec<usize>,
    /// For each of `due`, the index in `seen` it is paired with.
    pub(super) due_pair: Vec<Option<usize>>,
    /// The other way round.
    pub(super) seen_pair: Vec<Option<usize>>,
}

/// Whether the messages are an interleaving of those of several tasks.
enum Interleaving {
    /// They are, with these pairs.
    Legal(Vec<(usize, usize)>),
    /// They are not.
    Illegal,
    /// Equal messages of different tasks make it a search, which is not worth it.
    Undecided,
}

/// A due message without a partner.
#[derive(Clone, Copy)]
struct Missing {
    group: usize,
    /// Index in the group's `due`.
    at: usize,
    due: usize,
}

/// A seen message without a partner.
#[derive(Clone, Copy)]
struct Surplus {
    group: usize,
    /// Index in the group's `seen`.
    at: usize,
    /// Index in the group's `due` before which it stands.
    before: usize,
    seen: usize,
}

/// Compares. `no_check` says that the kernel complains about nothing at all, for the wording.
pub(super) fn compare(
    window: &Window,
    scan: &Scan<'_>,
    dues: &[Due<'_>],
    no_check: bool,
) -> Outcome {
    let mut comparison = Comparison {
        window,
        scan,
        dues,
        no_check,
        pairs: Vec::new(),
        findings: (0..window.observations.len())
            .map(|_| Findings::default())
            .collect(),
        undecided: None,
    };
    comparison.run();
    comparison.finish()
}

struct Comparison<'a> {
    window: &'a Window,
    scan: &'a Scan<'a>,
    dues: &'a [Due<'a>],
    no_check: bool,
    /// Due and seen messages that belong together.
    pairs: Vec<(usize, usize)>,
    findings: Vec<Findings>,
    undecided: Option<String>,
}

impl Comparison<'_> {
    fn run(&mut self) {
        let ours = &self.scan.ours;
        let is_equal = self.dues.len() == ours.len()
            && self
                .dues
                .iter()
                .zip(ours)
                .all(|(due, seen)| due.message == seen.message);
        if is_equal {
            self.pairs = (0..ours.len()).map(|at| (at, at)).collect();
            return;
        }

        let mut groups = self.groups();
        let is_blurred = !self.scan.told.callers && self.tasks() > 1;
        let interleaving = is_blurred.then(|| self.interleaving(&groups)).flatten();
        match &interleaving {
            Some(Interleaving::Legal(pairs)) => {
                self.pairs.extend(pairs);
                return;
            }
            Some(Interleaving::Undecided) => {
                self.undecided = Some(
                    "the order of several tasks' messages cannot be told without caller= \
                     (CONFIG_PRINTK_CALLER)"
                        .to_owned(),
                );
                return;
            }
            Some(Interleaving::Illegal) | None => {}
        }
        // Tasks that cannot be told apart may overtake one another, so a message in another place
        // is no finding then; it is one where no interleaving explains it.
        let may_overtake = is_blurred && interleaving.is_none();
        let is_exact = self.align(&mut groups);
        self.explain(&groups, may_overtake);
        if is_exact && !is_blurred {
            self.check_order_of_tasks();
        }
    }

    /// Splits both sides by task. A due message without a call has no place in the order: it is
    /// paired here.
    fn groups(&mut self) -> Vec<Group> {
        let mut taken = BTreeSet::new();
        let mut groups: BTreeMap<Option<Caller>, Group> = BTreeMap::new();
        for (at, due) in self.dues.iter().enumerate() {
            let partner = || {
                (0..self.scan.ours.len()).find(|seen| {
                    !taken.contains(seen) && self.scan.ours[*seen].message == due.message
                })
            };
            match due.place.is_none().then(partner).flatten() {
                Some(seen) => {
                    taken.insert(seen);
                    self.pairs.push((at, seen));
                }
                None => groups.entry(due.message.task).or_default().due.push(at),
            }
        }
        for (at, seen) in self.scan.ours.iter().enumerate() {
            if !taken.contains(&at) {
                groups.entry(seen.message.task).or_default().seen.push(at);
            }
        }
        groups.into_values().collect()
    }

    /// How many tasks have messages due.
    fn tasks(&self) -> usize {
        let tasks: BTreeSet<i32> = self
            .dues
            .iter()
            .filter_map(|due| due.place.map(|place| place.tid))
            .collect();
        tasks.len()
    }

    /// Without callers: where nothing is missing and nothing is too much, are the messages an
    /// interleaving of the tasks'? Nothing where there is no such question.
    fn interleaving(&self, groups: &[Group]) -> Option<Interleaving> {
        let mut count: HashMap<Message<'_>, i64> = HashMap::new();
        for group in groups {
            for due in &group.due {
                *count.entry(self.dues[*due].message).or_default() += 1;
            }
            for seen in &group.seen {
                *count.entry(self.scan.ours[*seen].message).or_default() -= 1;
            }
        }
        if count.values().any(|count| *count != 0) {
            return None;
        }

        let mut queues: BTreeMap<Option<i32>, VecDeque<usize>> = BTreeMap::new();
        for due in groups.iter().flat_map(|group| &group.due) {
            let tid = self.dues[*due].place.map(|place| place.tid);
            queues.entry(tid).or_default().push_back(*due);
        }
        let mut was_free_to_choose = false;
        let mut pairs = Vec::new();
        for seen in groups.iter().flat_map(|group| &group.seen) {
            let message = self.scan.ours[*seen].message;
            let mut heads: Vec<usize> = queues
                .values()
                .filter_map(|queue| queue.front().copied())
                .filter(|due| self.dues[*due].message == message)
                .collect();
            heads.sort_unstable();
            let Some(due) = heads.first().copied() else {
                // Another choice before could have led further.
                return Some(if was_free_to_choose {
                    Interleaving::Undecided
                } else {
                    Interleaving::Illegal
                });
            };
            was_free_to_choose |= heads.len() > 1;
            let tid = self.dues[due].place.map(|place| place.tid);
            if let Some(queue) = queues.get_mut(&tid) {
                queue.pop_front();
            }
            pairs.push((due, *seen));
        }
        Some(Interleaving::Legal(pairs))
    }

    /// Aligns every group; says whether the order was looked at in all of them.
    fn align(&mut self, groups: &mut [Group]) -> bool {
        let mut is_exact = true;
        for group in groups {
            let due: Vec<Message<'_>> = group.due.iter().map(|d| self.dues[*d].message).collect();
            let seen: Vec<Message<'_>> = group
                .seen
                .iter()
                .map(|s| self.scan.ours[*s].message)
                .collect();
            let alignment = align(&due, &seen);
            group.due_pair = vec![None; due.len()];
            group.seen_pair = vec![None; seen.len()];
            for (d, s) in alignment.pairs {
                group.due_pair[d] = Some(s);
                group.seen_pair[s] = Some(d);
                self.pairs.push((group.due[d], group.seen[s]));
            }
            if !alignment.exact {
                is_exact = false;
                self.too_many(group);
            }
        }
        is_exact
    }

    /// More differences than can be aligned, and perhaps none in number: that is one finding.
    fn too_many(&mut self, group: &Group) {
        let all_paired = group.due_pair.iter().all(Option::is_some)
            && group.seen_pair.iter().all(Option::is_some);
        if !all_paired {
            return;
        }
        let observations: BTreeSet<usize> = group
            .due
            .iter()
            .map(|due| self.dues[*due].observation)
            .collect();
        for observation in observations {
            self.findings[observation].push(Finding::new(
                FindingKind::OutOfOrder,
                "all messages came, but hardly one in its place".to_owned(),
            ));
        }
    }

    /// Finds words for everything that has no partner.
    fn explain(&mut self, groups: &[Group], may_overtake: bool) {
        let mut missing: Vec<Missing> = Vec::new();
        let mut surplus: Vec<Surplus> = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for (at, due) in group.due.iter().enumerate() {
                if group.due_pair[at].is_none() {
                    missing.push(Missing {
                        group: index,
                        at,
                        due: *due,
                    });
                }
            }
            let mut before = 0;
            for (at, seen) in group.seen.iter().enumerate() {
                match group.seen_pair[at] {
                    Some(due) => before = due + 1,
                    None => surplus.push(Surplus {
                        group: index,
                        at,
                        before,
                        seen: *seen,
                    }),
                }
            }
        }

        self.explain_moved(groups, &mut missing, &mut surplus, may_overtake);
        self.explain_altered(groups, &mut missing, &mut surplus);
        self.explain_foreign(groups, &mut missing);
        for missing in missing {
            self.did_not_fire(&groups[missing.group], missing);
        }
        for surplus in surplus {
            self.fired(&groups[surplus.group], surplus);
        }
    }

    /// The same message is missing in one place and too much in another.
    fn explain_moved(
        &mut self,
        groups: &[Group],
        missing: &mut Vec<Missing>,
        surplus: &mut Vec<Surplus>,
        may_overtake: bool,
    ) {
        let mut places: HashMap<Message<'_>, VecDeque<Missing>> = HashMap::new();
        for m in missing.iter() {
            let message = self.dues[m.due].message;
            places.entry(message).or_default().push_back(*m);
        }
        let mut moved = BTreeSet::new();
        surplus.retain(|s| {
            let message = self.scan.ours[s.seen].message;
            let Some(m) = places.get_mut(&message).and_then(VecDeque::pop_front) else {
                return true;
            };
            moved.insert(m.due);
            self.pairs.push((m.due, s.seen));
            if may_overtake {
                return false;
            }
            let mut blamed = surplus_in(self.window, self.dues, self.scan, &groups[s.group], s.at);
            blamed.insert(self.dues[m.due].observation);
            let text = "the message came in another place than it was due".to_owned();
            for observation in blamed {
                let finding = self.finding(FindingKind::OutOfOrder, text.clone(), m.due, s.seen);
                self.findings[observation].push(finding);
            }
            false
        });
        missing.retain(|m| !moved.contains(&m.due));
    }

    /// A message is missing, and where it should be there is a similar one.
    fn explain_altered(
        &mut self,
        groups: &[Group],
        missing: &mut Vec<Missing>,
        surplus: &mut Vec<Surplus>,
    ) {
        let in_place = |m: &Missing, s: &Surplus| {
            let group = &groups[s.group];
            let between = m.at.min(s.before)..m.at.max(s.before);
            let message = self.dues[m.due].message;
            let is_closing = matches!(message.what, What::Reaper { .. });
            self.scan.ours[s.seen].message.what.may_be(&message.what)
                // A victim has one closing line only, so it is known wherever it stands. Among
                // equal messages, any of them can be the one that is missing.
                && (is_closing
                    || m.group == s.group
                        && between.into_iter().all(|at| {
                            group.due_pair[at].is_none()
                                || self.dues[group.due[at]].message == message
                        }))
        };
        let of_another_task = |m: &Missing, s: &Surplus| {
            let seen = self.scan.ours[s.seen].message;
            let due = self.dues[m.due].message;
            m.group != s.group && seen.level == due.level && seen.what.is_but_for_task(&due.what)
        };
        let mut found = self.pair_many(missing, surplus);
        let tests: [&Likeness<'_>; 2] = [&in_place, &of_another_task];
        for is_it in tests {
            if missing.len().saturating_mul(surplus.len()) > MAX_GUESSES {
                break;
            }
            surplus.retain(|s| {
                let nearest = missing
                    .iter()
                    .enumerate()
                    .filter(|(_, m)| is_it(m, s))
                    .min_by_key(|(_, m)| m.at.abs_diff(s.before))
                    .map(|(index, _)| index);
                if let Some(index) = nearest {
                    found.push((missing.remove(index), *s));
                }
                nearest.is_none()
            });
        }
        for (m, s) in found {
            let due = &self.dues[m.due];
            if self.findings[due.observation].is_full(FindingKind::Altered) {
                self.findings[due.observation].count(FindingKind::Altered);
                continue;
            }
            let group = &groups[m.group];
            let text = self.scan.ours[s.seen].message.difference(&due.message);
            let finding = self.finding(FindingKind::Altered, text, m.due, s.seen);
            let mut between = m.at.min(s.before)..m.at.max(s.before);
            // Only where it stands in its very place is it known which of several equal ones it is.
            if m.group == s.group && between.all(|at| group.due_pair[at].is_none()) {
                self.findings[due.observation].push(finding);
            } else {
                for observation in missing_in(self.dues, group, m.at) {
                    self.findings[observation].push(finding.clone());
                }
            }
        }
    }

    /// Pairs the n-th that is missing with the n-th that is too much, where there are too many of
    /// them for a better guess.
    fn pair_many(
        &self,
        missing: &mut Vec<Missing>,
        surplus: &mut Vec<Surplus>,
    ) -> Vec<(Missing, Surplus)> {
        let mut found = Vec::new();
        if missing.len().saturating_mul(surplus.len()) <= MAX_GUESSES {
            return found;
        }
        let mut rest = missing.iter().copied().peekable();
        let mut left = Vec::new();
        surplus.retain(|s| {
            while let Some(m) = rest.next_if(|m| m.group < s.group) {
                left.push(m);
            }
            let is_altered = |m: &Missing| {
                let message = self.dues[m.due].message;
                let seen = self.scan.ours[s.seen].message;
                m.group == s.group && seen.what.may_be(&message.what)
            };
            let partner = rest.next_if(is_altered);
            found.extend(partner.map(|m| (m, *s)));
            partner.is_none()
        });
        left.extend(rest);
        *missing = left;
        found
    }

    /// A message is missing, and the same one came about a callback that is not ours.
    fn explain_foreign(&mut self, groups: &[Group], missing: &mut Vec<Missing>) {
        let foreign = &self.scan.foreign;
        let mut places: HashMap<Message<'_>, VecDeque<usize>> = HashMap::new();
        for (at, seen) in foreign.iter().enumerate() {
            // The header of a WARN does not name the callback; and without the task, a stranger's
            // line is a stranger's.
            let is_same_task = self.scan.told.callers || seen.is_near;
            if is_same_task && !matches!(seen.message.what, What::Warn { .. }) {
                places.entry(seen.message).or_default().push_back(at);
            }
        }
        missing.retain(|m| {
            let due = &self.dues[m.due];
            let twin = places.get_mut(&due.message).and_then(VecDeque::pop_front);
            let Some(at) = twin else {
                return true;
            };
            if self.findings[due.observation].is_full(FindingKind::Altered) {
                self.findings[due.observation].count(FindingKind::Altered);
                return false;
            }
            let finding = Finding {
                due: Some(due.message.to_string()),
                seen: Some(shown(foreign[at].record)),
                kmsg_seq: Some(foreign[at].record.seq),
                call_seq: due.place.map(|place| place.seq),
                ..Finding::new(
                    FindingKind::Altered,
                    "the symbol or the module is another".to_owned(),
                )
            };
            for observation in missing_in(self.dues, &groups[m.group], m.at) {
                self.findings[observation].push(finding.clone());
            }
            false
        });
    }

    fn did_not_fire(&mut self, group: &Group, missing: Missing) {
        let due = &self.dues[missing.due];
        if self.findings[due.observation].is_full(FindingKind::DidNotFire) {
            self.findings[due.observation].count(FindingKind::DidNotFire);
            return;
        }
        let blamed = missing_in(self.dues, group, missing.at);
        let is_complaint = matches!(due.message.what, What::PrWarn { .. } | What::Warn { .. });
        let mut text = match due.message.what {
            What::Info { .. } => "the info line is missing".to_owned(),
            _ if is_complaint && self.no_check => {
                "the call failed in blockable context, and neither a pr_warn nor a WARN came"
                    .to_owned()
            }
            What::PrWarn { .. } => "the pr_warn is missing".to_owned(),
            What::Warn { .. } => "the WARN is missing".to_owned(),
            What::Reaper { .. } => "the OOM reaper's closing line is missing".to_owned(),
            What::Symptom(complaint) => {
                format!("the kernel did not notice: no {}", complaint.word())
            }
            What::Malformed => "a line is missing".to_owned(),
        };
        if blamed.len() > 1 {
            text.push_str(" here, or in another scenario where the same one is due");
        }
        for observation in blamed {
            self.findings[observation].push(Finding {
                due: Some(due.message.to_string()),
                call_seq: due.place.map(|place| place.seq),
                ..Finding::new(FindingKind::DidNotFire, text.clone())
            });
        }
    }

    fn fired(&mut self, group: &Group, surplus: Surplus) {
        let seen = &self.scan.ours[surplus.seen];
        let kind = FindingKind::FiredWhenItShouldNot;
        if self.findings.iter().all(|findings| findings.is_full(kind)) {
            for findings in &mut self.findings {
                findings.count(kind);
            }
            return;
        }
        let blamed = surplus_in(self.window, self.dues, self.scan, group, surplus.at);
        let mut text = match seen.message.what {
            What::Info { .. } => "no info line was due".to_owned(),
            What::PrWarn { .. } => "no pr_warn was due".to_owned(),
            What::Warn { .. } => "no WARN was due".to_owned(),
            What::Reaper { .. } => "no such closing line of the OOM reaper was due".to_owned(),
            What::Symptom(complaint) => format!("no {} was due", complaint.word()),
            What::Malformed => "a line about the callback that no kernel prints".to_owned(),
        };
        if blamed.len() > 1 {
            text.push_str("; it cannot be told in which of several scenarios");
        }
        for observation in blamed {
            self.findings[observation].push(Finding {
                seen: Some(shown(seen.record)),
                kmsg_seq: Some(seen.record.seq),
                ..Finding::new(FindingKind::FiredWhenItShouldNot, text.clone())
            });
        }
    }

    /// What must be in order between tasks: see the top of the file.
    fn check_order_of_tasks(&mut self) {
        let mut next_call: HashMap<(i32, u64), u64> = HashMap::new();
        let mut last: HashMap<i32, u64> = HashMap::new();
        for (_, call) in crate::oracle::expect::calls(self.window) {
            if let Some(before) = last.insert(call.tid, call.seq) {
                next_call.insert((call.tid, before), call.seq);
            }
        }
        let mut pairs = self.pairs.clone();
        pairs.sort_unstable_by_key(|(_, seen)| *seen);
        // Going back: the earliest call before which a message that is further back was due.
        let mut earliest: Option<(u64, usize, usize)> = None;
        let mut late = BTreeSet::new();
        for (due, seen) in pairs.into_iter().rev() {
            let Some(call) = self.dues[due].place else {
                continue;
            };
            if let Some((until, late_due, late_seen)) = earliest
                && until < call.seq
            {
                late.insert((late_due, late_seen));
            }
            if let Some(until) = next_call.get(&(call.tid, call.seq))
                && earliest.is_none_or(|(other, ..)| *until < other)
            {
                earliest = Some((*until, due, seen));
            }
        }
        for (due, seen) in late {
            let text = "the message came after those of a later call of another task".to_owned();
            let finding = self.finding(FindingKind::OutOfOrder, text, due, seen);
            self.findings[self.dues[due].observation].push(finding);
        }
    }

    fn finding(&self, kind: FindingKind, text: String, due: usize, seen: usize) -> Finding {
        let due = &self.dues[due];
        let seen: &Seen<'_> = &self.scan.ours[seen];
        Finding {
            due: Some(due.message.to_string()),
            seen: Some(shown(seen.record)),
            kmsg_seq: Some(seen.record.seq),
            call_seq: due.place.map(|place| place.seq),
            ..Finding::new(kind, text)
        }
    }

    fn finish(mut self) -> Outcome {
        let mut matched: Vec<Vec<Matched>> = vec![Vec::new(); self.window.observations.len()];
        self.pairs.sort_unstable();
        for (due, seen) in self.pairs {
            let (due, record) = (&self.dues[due], self.scan.ours[seen].record);
            matched[due.observation].push(Matched {
                call_seq: due.place.map(|place| place.seq),
                kmsg_seq: record.seq,
                level: record.level,
                text: record.text.clone(),
            });
        }
        Outcome {
            findings: self.findings,
            matched,
            undecided: self.undecided,
        }
    }
}
