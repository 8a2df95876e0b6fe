// SPDX-License-Identifier: GPL-2.0

//! Changes to windows that keep the witnesses in agreement.

use mn_inject::kmsg::Record;
use mn_inject::model::{Observation, Window};

/// A line of the kernel.
pub fn line(text: &str) -> Record {
    Record {
        seq: 1,
        time_us: 1,
        level: 4,
        facility: 0,
        caller: Some("T1".into()),
        text: text.into(),
    }
}

/// Inserts a line of that task into a window.
pub fn insert(window: &mut Window, at: usize, level: u8, tid: i32, text: &str) {
    let has_callers = window.records.iter().all(|record| record.caller.is_some());
    let record = Record {
        level,
        caller: has_callers.then(|| format!("T{tid}")),
        ..line(text)
    };
    window.records.insert(at, record);
    // The kernel does not count lockdep's reports as WARNs, though they begin like one.
    let is_warn = text.starts_with("WARNING: ") && text.contains(" at ");
    adjust(window, is_warn, 1);
    renumber(window);
}

/// Adds to `warn_count` for a record that is inserted or removed.
pub fn adjust(window: &mut Window, is_warn: bool, by: i64) {
    if let Some((_, after)) = &mut window.warn_count
        && is_warn
    {
        *after = after.checked_add_signed(by).unwrap();
    }
}

/// Numbers the records of a window again, without a gap.
pub fn renumber(window: &mut Window) {
    let first = window.records.first().map_or(0, |record| record.seq);
    for (seq, record) in (first..).zip(&mut window.records) {
        record.seq = seq;
    }
}

/// Sets the module's counters to the counts of its log.
pub fn recount(o: &mut Observation) {
    for (index, notifier) in o.notifiers.iter_mut().enumerate() {
        let calls = || o.calls.iter().filter(|call| call.notifier == index);
        notifier.counters.calls = calls().count() as u64;
        notifier.counters.injected = calls().filter(|call| call.injected).count() as u64;
        let later = o.later.iter().filter(|later| later.notifier == index);
        let ends = later.filter(|later| later.op.is_end());
        notifier.counters.ends = ends.count() as u64;
    }
}
