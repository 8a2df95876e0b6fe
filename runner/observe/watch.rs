// SPDX-License-Identifier: GPL-2.0

//! Watches the kernel's log from before the module is loaded until after it is unloaded: whatever
//! the kernel finds wrong in between is not to be missed because nobody asked for it.

use std::time::{Duration, Instant};

use crate::kmsg::{KmsgReader, Record, complaint};
use crate::model::Complaint;
use crate::os::kernel::lockdep;

/// How long the end of the log may take to arrive.
const END: Duration = Duration::from_secs(20);

/// How many complaints are kept; the others are counted.
const KEPT: usize = 20;

/// How many lines are kept of each.
const LINES: usize = 80;

/// Whom the machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// For nothing but this: every complaint is about what we do.
    Ours,
    /// For others, too: what a driver of somebody else's does must not be blamed on us.
    Shared,
}

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The complaints that count on such a machine.
    pub complaints: Vec<Complaint>,
    /// Why there may be more that is not well. One sentence each.
    pub doubts: Vec<String>,
}

/// The log, as far as it was read.
#[derive(Debug)]
pub struct Watch {
    machine: Ownership,
    /// Absent where the log cannot be read at all.
    kmsg: Option<KmsgReader>,
    /// Whether lockdep was on at the beginning, where the kernel has it.
    lockdep: Option<bool>,
    seen: Seen,
    lost: Option<String>,
}

impl Watch {
    /// Watches from now on. Nothing is watched where the log cannot be read, and there nothing else
    /// can be done either.
    pub fn begin(machine: Ownership) -> Self {
        Watch {
            machine,
            kmsg: KmsgReader::open_at_end().ok(),
            lockdep: lockdep(),
            seen: Seen::default(),
            lost: None,
        }
    }

    /// Whom the machine is for.
    pub fn machine(&self) -> Ownership {
        self.machine
    }

    /// Reads what has come since the last time, before it is overwritten. Complaints that are
    /// `expected` are none.
    pub fn catch_up(&mut self, expected: impl Fn(&Record) -> bool) {
        if let Some(kmsg) = &mut self.kmsg {
            let (records, lost) = kmsg.read_available();
            self.lost = self.lost.take().or(lost);
            self.seen.add(&records, self.machine, expected);
        }
    }

    /// The records since the last time, up to now. The caller judges them: the end has only the
    /// complaints after them.
    pub fn since_last(&mut self) -> Vec<Record> {
        let read = match &mut self.kmsg {
            Some(kmsg) => kmsg
                .mark("watched until here")
                .map(|marker| kmsg.read_until(&marker, Instant::now() + END)),
            None => Ok((Vec::new(), Some("it cannot be read".to_owned()))),
        };
        let (records, lost) = read.unwrap_or_else(|error| (Vec::new(), Some(error.to_string())));
        self.lost = self.lost.take().or(lost);
        records
    }

    /// The same where lockdep was made to report, and is off.
    pub fn end_without_lockdep(mut self, expected: impl Fn(&Record) -> bool) -> Watched {
        self.lockdep = None;
        self.end(expected)
    }

    /// Reads to the end.
    pub fn end(mut self, expected: impl Fn(&Record) -> bool) -> Watched {
        if self.kmsg.is_some() {
            let records = self.since_last();
            self.seen.add(&records, self.machine, expected);
        }
        let mut watched = Watched {
            complaints: self.seen.complaints,
            doubts: Vec::new(),
        };
        if self.seen.more > 0 {
            let more = self.seen.more;
            watched
                .doubts
                .push(format!("the kernel had {more} more complaints"));
        }
        if let Some(lost) = self.lost {
            watched.doubts.push(format!(
                "a complaint of the kernel may be missing, since not all of its log was seen: {lost}"
            ));
        }
        match (self.lockdep, lockdep()) {
            (Some(true), Some(false)) => watched.doubts.push(
                "lockdep turned itself off, so it would not have complained about anything later"
                    .to_owned(),
            ),
            (Some(false), Some(false)) if self.machine == Ownership::Ours => watched
                .doubts
                .push("lockdep was off from the beginning".to_owned()),
            _ => {}
        }
        watched
    }
}

/// The complaints among the records that count on such a machine, each with its lines. Complaints
/// that are `expected` are none.
pub fn complaints(
    records: &[Record],
    machine: Ownership,
    expected: impl Fn(&Record) -> bool,
) -> Vec<Complaint> {
    let mut seen = Seen::default();
    seen.add(records, machine, expected);
    seen.complaints
}

/// The complaints among the records.
#[derive(Debug, Default)]
struct Seen {
    complaints: Vec<Complaint>,
    /// How many were not kept.
    more: usize,
    /// Who makes the last complaint, which may go on.
    speaker: Option<Option<String>>,
}

impl Seen {
    fn add(&mut self, records: &[Record], machine: Ownership, expected: impl Fn(&Record) -> bool) {
        for record in records.iter().filter(|record| record.is_kernel()) {
            let Some(kind) = complaint::kind(record) else {
                self.go_on(record);
                continue;
            };
            self.speaker = None;
            if expected(record) || !counts(record, kind, machine) {
                continue;
            }
            if self.complaints.len() == KEPT {
                self.more += 1;
                continue;
            }
            self.speaker = Some(record.caller.clone());
            self.complaints.push(Complaint {
                what: kind.what.to_owned(),
                kmsg_seq: Some(record.seq),
                lines: vec![record.text.clone()],
            });
        }
    }

    /// Adds the lines that follow a complaint to it, if it is the same thread that writes them.
    fn go_on(&mut self, record: &Record) {
        if self.speaker.as_ref() == Some(&record.caller)
            && let Some(complaint) = self.complaints.last_mut()
            && complaint.lines.len() < LINES
        {
            complaint.lines.push(record.text.clone());
        }
    }
}

/// Whether a complaint is our business: on a machine of others one that casts doubt on all that
/// follows, or that names mmu notifiers.
fn counts(record: &Record, kind: &complaint::ComplaintKind, machine: Ownership) -> bool {
    machine == Ownership::Ours || kind.disturbs || record.text.contains("mmu_notifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, caller: &str, text: &str) -> Record {
        Record {
            seq,
            time_us: seq,
            level: 4,
            facility: 0,
            caller: Some(caller.to_owned()),
            text: text.to_owned(),
        }
    }

    fn seen(machine: Ownership, records: &[Record]) -> Seen {
        let mut seen = Seen::default();
        seen.add(records, machine, |record| record.text.contains("expected"));
        seen
    }

    #[test]
    fn a_complaint_has_the_lines_that_belong_to_it() {
        let seen = seen(
            Ownership::Ours,
            &[
                record(1, "T1", "before"),
                record(2, "T1", "BUG: KASAN: x"),
                record(3, "T1", " line 1"),
                record(4, "T2", "another's"),
                record(5, "T1", " line 2"),
                record(6, "T1", "WARNING: expected"),
                record(7, "T1", " of the expected one"),
                record(8, "T2", "UBSAN: y"),
            ],
        );
        assert_eq!(
            seen.complaints,
            [
                Complaint {
                    what: "KASAN".to_owned(),
                    kmsg_seq: Some(2),
                    lines: vec!["BUG: KASAN: x".into(), " line 1".into(), " line 2".into()],
                },
                Complaint {
                    what: "UBSAN".to_owned(),
                    kmsg_seq: Some(8),
                    lines: vec!["UBSAN: y".into()],
                },
            ]
        );
    }

    #[test]
    fn a_complaint_goes_on_in_the_next_batch() {
        let mut seen = seen(Ownership::Ours, &[record(1, "T1", "BUG: x")]);
        seen.add(&[record(2, "T1", " more")], Ownership::Ours, |_| false);
        assert_eq!(seen.complaints[0].lines, ["BUG: x", " more"]);
    }

    #[test]
    fn others_are_blamed_only_for_what_disturbs() {
        let records = [
            record(1, "T1", "WARNING: drivers/x.c:1 at x+0x1/0x2, CPU#0: a/1"),
            record(2, "T1", "UBSAN: shift-out-of-bounds in x.c:1:2"),
            record(3, "T1", "BUG: KASAN: x"),
            record(
                4,
                "T1",
                "WARNING: mm/mmu_notifier.c:1 at x+0x1/0x2, CPU#0: a/1",
            ),
        ];
        let numbers = |machine| -> Vec<u64> {
            let seen = seen(machine, &records);
            seen.complaints.iter().filter_map(|c| c.kmsg_seq).collect()
        };
        assert_eq!(numbers(Ownership::Shared), [3, 4]);
        assert_eq!(numbers(Ownership::Ours), [1, 2, 3, 4]);
    }

    #[test]
    fn a_flood_is_counted() {
        let records: Vec<_> = (0..50).map(|seq| record(seq, "T1", "BUG: x")).collect();
        let seen = seen(Ownership::Ours, &records);
        assert_eq!((seen.complaints.len(), seen.more), (KEPT, 50 - KEPT));
    }
}
