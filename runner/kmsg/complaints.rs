// SPDX-License-Identifier: GPL-2.0

//! Collects the kernel's complaints from the records of its log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kmsg::complaint::{self, ComplaintKind};
use crate::kmsg::record::Record;

/// The most complaints that are kept; the others are counted.
const KEPT: usize = 20;

/// The most lines that are kept of each complaint: enough for the stack at the end of a report of
/// lockdep, which has one for each lock before that.
const LINES: usize = 400;

/// A complaint of the kernel about itself or a module that no scenario is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// Name for a person: `KASAN`, `lockdep`, `kmemleak`, ...
    pub what: String,
    /// Sequence number of its first line in `/dev/kmsg`; absent for a complaint from another
    /// source.
    pub kmsg_seq: Option<u64>,
    /// Its lines; never empty.
    pub lines: Vec<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.lines.first().map_or("", String::as_str);
        write!(f, "the kernel complained ({}): {first}", self.what)
    }
}

/// The complaints among records that were read.
#[derive(Debug, Default)]
pub struct Complaints {
    /// The first complaints.
    pub kept: Vec<Complaint>,
    /// The number of complaints that were not kept.
    pub more: usize,
    /// `caller=` of the last complaint, whose lines may continue.
    writer: Option<Option<String>>,
}

impl Complaints {
    /// Adds the complaints among the next records of the log for which `counts` holds.
    pub fn add(&mut self, records: &[Record], counts: impl Fn(&Record, &ComplaintKind) -> bool) {
        for record in records.iter().filter(|record| record.is_kernel()) {
            let Some(kind) = complaint::kind(record) else {
                self.continue_last(record);
                continue;
            };
            self.writer = None;
            if !counts(record, kind) {
                continue;
            }
            if self.kept.len() == KEPT {
                self.more += 1;
                continue;
            }
            self.writer = Some(record.caller.clone());
            self.kept.push(Complaint {
                what: kind.what.to_owned(),
                kmsg_seq: Some(record.seq),
                lines: vec![record.text.clone()],
            });
        }
    }

    /// Adds a line to the last complaint, if the same thread wrote it.
    fn continue_last(&mut self, record: &Record) {
        if self.writer.as_ref() == Some(&record.caller)
            && let Some(complaint) = self.kept.last_mut()
            && complaint.lines.len() < LINES
        {
            complaint.lines.push(record.text.clone());
        }
    }
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

    fn seen(records: &[Record]) -> Complaints {
        let mut seen = Complaints::default();
        seen.add(records, |record, _| !record.text.contains("expected"));
        seen
    }

    #[test]
    fn a_complaint_has_the_following_lines_of_its_thread() {
        let seen = seen(&[
            record(1, "T1", "before"),
            record(2, "T1", "BUG: KASAN: x"),
            record(3, "T1", " line 1"),
            record(4, "T2", "another's"),
            record(5, "T1", " line 2"),
            record(6, "T1", "WARNING: expected"),
            record(7, "T1", " of the expected one"),
            record(8, "T2", "UBSAN: y"),
        ]);
        assert_eq!(
            seen.kept,
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
    fn a_complaint_continues_in_the_next_batch() {
        let mut seen = seen(&[record(1, "T1", "BUG: x")]);
        seen.add(&[record(2, "T1", " more")], |_, _| true);
        assert_eq!(seen.kept[0].lines, ["BUG: x", " more"]);
    }

    #[test]
    fn complaints_beyond_the_limit_are_counted() {
        let records: Vec<_> = (0..50).map(|seq| record(seq, "T1", "BUG: x")).collect();
        let seen = seen(&records);
        assert_eq!((seen.kept.len(), seen.more), (KEPT, 50 - KEPT));
    }
}
