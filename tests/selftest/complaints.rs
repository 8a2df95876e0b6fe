// SPDX-License-Identifier: GPL-2.0

//! Complaints of the kernel, read after each step, so that each can be attributed to a step.

use mn_inject::kmsg;
use mn_inject::kmsg::Record;
use mn_inject::model::{Complaint, Ownership};
use mn_inject::observe::complaints::Watch;
use mn_inject::oracle::is_callback_warn;

/// Line printed by a kernel with the seed patch: a complaint that is neither a BUG nor a WARNING.
const SEED: &str = "callback failure not allowed";

/// A watch whose complaints are read step by step.
pub struct Complaints<'a>(&'a mut Watch);

impl<'a> Complaints<'a> {
    /// Reads the complaints from that watch.
    pub fn new(watch: &'a mut Watch) -> Self {
        Complaints(watch)
    }

    /// The complaints since the last call. They are not reported again at the end of the watch.
    pub fn since_last(&mut self) -> Vec<String> {
        let machine = self.0.machine();
        complaints(&self.0.since_last(), machine)
    }

    /// As [`Self::since_last`], with the records themselves.
    pub fn records_since_last(&mut self) -> (Vec<Record>, Vec<String>) {
        let machine = self.0.machine();
        let records = self.0.since_last();
        let complaints = complaints(&records, machine);
        (records, complaints)
    }

    /// As [`Self::since_last`], but without the complaints about failing callbacks, which are
    /// expected.
    pub fn of_others_since_last(&mut self) -> Vec<String> {
        let machine = self.0.machine();
        others(&self.0.since_last(), machine)
    }
}

fn complaints(records: &[Record], machine: Ownership) -> Vec<String> {
    let seed = records
        .iter()
        .filter(|record| record.is_kernel() && record.text.contains(SEED))
        .map(|record| format!("the kernel says: {}", record.text));
    but(records, machine, |_| false).chain(seed).collect()
}

fn others(records: &[Record], machine: Ownership) -> Vec<String> {
    but(records, machine, is_callback_warn).collect()
}

/// The complaints that count on such a machine, except those that are `expected`.
fn but(
    records: &[Record],
    machine: Ownership,
    expected: impl Fn(&Record) -> bool,
) -> impl Iterator<Item = String> {
    let mut seen = kmsg::Complaints::default();
    seen.add(records, |record, kind| {
        !expected(record) && machine.counts(record, kind)
    });
    seen.kept.into_iter().map(|complaint| text(&complaint))
}

/// The text of a complaint as a finding.
pub fn text(complaint: &Complaint) -> String {
    let lines = complaint.lines.join("\n");
    format!("the kernel complained ({}): {lines}", complaint.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(prio: u32, text: &str) -> Record {
        format!("{prio},1,2,-;{text}\n").parse().unwrap()
    }

    #[test]
    fn complaints_are_recognised() {
        for text in [
            "WARNING: mm/mmu_notifier.c:535 at __mmu_notifier_invalidate_range_start+0x1d3/0x250",
            "BUG: sleeping function called from invalid context at mm/x.c:1",
            "BUG: KASAN: slab-use-after-free in f+0x1/0x2",
            "WARNING: possible circular locking dependency detected",
            "INFO: task init:1 blocked for more than 122 seconds.",
            "f+0x0/0x2 [m] callback failure not allowed",
        ] {
            let found = |prio| complaints(&[record(prio, text)], Ownership::Ours);
            assert_eq!(found(4).len(), 1, "{text}");
            // User space can write this to /dev/kmsg.
            assert!(found(12).is_empty(), "{text}");
        }
        let news = "f+0x0/0x2 [m] callback failed with -11 in non-blockable context.";
        assert!(complaints(&[record(6, news)], Ownership::Ours).is_empty());
    }

    #[test]
    fn complaints_about_failing_callbacks_can_be_left_out() {
        let due = [
            "WARNING: mm/mmu_notifier.c:535 at __mmu_notifier_invalidate_range_start+0x1d3/0x250, CPU#0: a/1",
            "f+0x0/0x2 [m] callback failure not allowed",
        ]
        .map(|text| record(4, text));
        assert_eq!(complaints(&due, Ownership::Ours).len(), 2);
        assert!(others(&due, Ownership::Ours).is_empty());
        let other = record(4, "BUG: KASAN: slab-use-after-free in f+0x1/0x2");
        assert_eq!(others(&[other], Ownership::Ours).len(), 1);
    }

    #[test]
    fn a_complaint_keeps_all_its_lines() {
        let records = [record(4, "BUG: KASAN: x"), record(4, " line 1")];
        assert_eq!(
            complaints(&records, Ownership::Ours),
            ["the kernel complained (KASAN): BUG: KASAN: x\n line 1"]
        );
    }
}
