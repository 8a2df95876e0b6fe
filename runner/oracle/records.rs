// SPDX-License-Identifier: GPL-2.0

//! Classification of single records for callers that look for complaints.

use crate::kmsg::Record;
use crate::model::{KernelMessage, Window};
use crate::oracle::lines::Line;
use crate::oracle::seen::judges_symptoms;

/// Whether a record is a complaint that the verdict on its window takes into account. Any other
/// complaint is trouble of the run.
pub fn is_judged(record: &Record, window: &Window) -> bool {
    let is_due = |message| {
        let mut observations = window.observations.iter();
        observations.any(|o| o.expectation.said.contains(&message))
    };
    match Line::of(record) {
        Line::Warn(header) if header.is_of_notifiers() => true,
        // On PREEMPT_RT it follows lockdep's report, which is due for a notifier that is registered
        // under mmap_lock.
        Line::Warn(header) if header.is_rt_deadlock() => is_due(KernelMessage::LockdepMmapLock),
        Line::Warn(header) => header.symptom().is_some() && judges_symptoms(window),
        Line::Symptom(_) => judges_symptoms(window),
        // The line that follows a BUG.
        _ if record.text.starts_with("Oops: ") => is_due(KernelMessage::DeadBug),
        _ => false,
    }
}

/// Whether a record is the first line of a WARN about a callback that failed where it must not, for
/// any kind of notifier.
pub fn is_callback_warn(record: &Record) -> bool {
    const CALLERS: [&str; 5] = [
        "mn_hlist_invalidate_range_start",
        "mn_itree_invalidate",
        "mn_itree_release",
        // The callers of those, where they are inlined.
        "__mmu_notifier_invalidate_range_start",
        "__mmu_notifier_release",
    ];
    match Line::of(record) {
        Line::Warn(header) => CALLERS.contains(&header.symbol.name),
        _ => false,
    }
}
