// SPDX-License-Identifier: GPL-2.0

//! Findings about messages, in words.

use crate::model::{Finding, FindingKind};
use crate::oracle::evidence::Evidence;
use crate::oracle::expect::Due;
use crate::oracle::index::Pair;
use crate::oracle::message::{Content, shown};
use crate::oracle::seen::Seen;

/// Reason for which the order of messages cannot be judged.
pub(super) const UNDECIDED: &str = "the order of several tasks' messages cannot be told without \
                                    caller= (CONFIG_PRINTK_CALLER)";

/// All messages of a group came, in an order that is too different to be looked at.
pub(super) fn shuffled() -> Finding {
    Finding::new(
        FindingKind::OutOfOrder,
        "all messages came, but hardly one in its place".to_owned(),
    )
}

/// A message came in another place.
pub(super) fn moved(evidence: &Evidence<'_>, pair: Pair) -> Finding {
    let text = "the message came in another place than it was due";
    changed(evidence, FindingKind::OutOfOrder, text.to_owned(), pair)
}

/// A message came after those of a later call of another task.
pub(super) fn late(evidence: &Evidence<'_>, pair: Pair) -> Finding {
    let text = "the message came after those of a later call of another task";
    changed(evidence, FindingKind::OutOfOrder, text.to_owned(), pair)
}

/// A message came with another content, level or task.
pub(super) fn altered(evidence: &Evidence<'_>, pair: Pair) -> Finding {
    let due = &evidence.due(pair.due).message;
    let text = evidence.seen(pair.seen).message.difference(due);
    changed(evidence, FindingKind::Altered, text, pair)
}

/// A message came about a callback that is not the module's.
pub(super) fn renamed(due: &Due<'_>, seen: &Seen<'_>) -> Finding {
    let text = "the symbol or the module is another";
    with_both(FindingKind::Altered, text.to_owned(), due, seen)
}

/// A message did not come. `no_check` tells that the kernel has no check at all, and `is_ambiguous`
/// that the message can be due in several scenarios.
pub(super) fn did_not_fire(due: &Due<'_>, no_check: bool, is_ambiguous: bool) -> Finding {
    let content = due.message.content;
    let is_complaint = matches!(content, Content::PrWarn { .. } | Content::Warn { .. });
    let mut text = match content {
        Content::Info { .. } => "the info line is missing".to_owned(),
        _ if is_complaint && no_check => {
            "the call failed in blockable context, and neither a pr_warn nor a WARN came".to_owned()
        }
        Content::PrWarn { .. } => "the pr_warn is missing".to_owned(),
        Content::Warn { .. } => "the WARN is missing".to_owned(),
        Content::Reaper { .. } => "the OOM reaper's closing line is missing".to_owned(),
        Content::Symptom(message) => {
            format!("the kernel did not notice: no {}", message.word())
        }
        Content::Malformed => "a line is missing".to_owned(),
    };
    if is_ambiguous {
        text.push_str(" here, or in another scenario where the same one is due");
    }
    Finding {
        due: Some(due.message.to_string()),
        call_seq: due.entry.map(|entry| entry.seq),
        ..Finding::new(FindingKind::DidNotFire, text)
    }
}

/// A message came that was not due. `is_ambiguous` tells that it can belong to several scenarios.
pub(super) fn fired(seen: &Seen<'_>, is_ambiguous: bool) -> Finding {
    let mut text = match seen.message.content {
        Content::Info { .. } => "no info line was due".to_owned(),
        Content::PrWarn { .. } => "no pr_warn was due".to_owned(),
        Content::Warn { .. } => "no WARN was due".to_owned(),
        Content::Reaper { .. } => "no such closing line of the OOM reaper was due".to_owned(),
        Content::Symptom(message) => format!("no {} was due", message.word()),
        Content::Malformed => "a line about the callback that no kernel prints".to_owned(),
    };
    if is_ambiguous {
        text.push_str("; it cannot be told in which of several scenarios");
    }
    Finding {
        seen: Some(shown(seen.record)),
        kmsg_seq: Some(seen.record.seq),
        ..Finding::new(FindingKind::FiredWhenItShouldNot, text)
    }
}

fn changed(evidence: &Evidence<'_>, kind: FindingKind, text: String, pair: Pair) -> Finding {
    with_both(kind, text, evidence.due(pair.due), evidence.seen(pair.seen))
}

fn with_both(kind: FindingKind, text: String, due: &Due<'_>, seen: &Seen<'_>) -> Finding {
    Finding {
        due: Some(due.message.to_string()),
        seen: Some(shown(seen.record)),
        kmsg_seq: Some(seen.record.seq),
        call_seq: due.entry.map(|entry| entry.seq),
        ..Finding::new(kind, text)
    }
}
