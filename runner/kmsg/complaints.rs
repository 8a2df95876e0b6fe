// SPDX-License-Identifier: GPL-2.0

//! Complaints of the kernel among the records of its log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;
use crate::kmsg::complaint::{self, ComplaintKind};

/// How many complaints are kept; the others are counted.
const KEPT: usize = 20;

/// How many lines are kept of each.
const LINES: usize = 80;

/// Something that the kernel found wrong with itself or with a module, and that is not what a
/// scenario is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// What it is, for a person: `KASAN`, `lockdep`, `kmemleak`, ...
    pub what: String,
    /// Sequence number of its first line in `/dev/kmsg`; absent where it does not stand there.
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
    /// The first of them.
    pub kept: Vec<Complaint>,
    /// The number of those that were not kept.
    pub more: usize,
    /// The thread that makes the last complaint, which may go on.
    speaker: Option<Option<String>>,
}

impl Complaints {
    /// Adds the complaints among the next records of the log, as far as they count.
    pub fn add(&mut self, records: &[Record], counts: impl Fn(&Record, &ComplaintKind) -> bool) {
        for record in records.iter().filter(|record| record.is_kernel()) {
            let Some(kind) = complaint::kind(record) else {
                self.go_on(record);
                continue;
            };
            self.speaker = None;
            if !counts(record, kind) {
                continue;
            }
            if self.kept.len() == KEPT {
                self.more += 1;
                continue;
            }
            self.speaker = Some(record.caller.clone());
            self.kept.push(Complaint {
                what: kind.what.to_owned(),
                kmsg_seq: Some(record.seq),
                lines: vec![record.text.clone()],
            });
        }
    }

    /// Adds a line that follows a complaint to it, if the same thread writes it.
    fn go_on(&mut self, record: &Record) {
        if self.speaker.as_ref() == Some(&record.caller)
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
    fn a_complaint_has_the_lines_that_belong_to_it() {
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
    fn a_complaint_goes_on_in_the_next_batch() {
        let mut seen = seen(&[record(1, "T1", "BUG: x")]);
        seen.add(&[record(2, "T1", " more")], |_, _| true);
        assert_eq!(seen.kept[0].lines, ["BUG: x", " more"]);
    }

    #[test]
    fn a_flood_is_counted() {
        let records: Vec<_> = (0..50).map(|seq| record(seq, "T1", "BUG: x")).collect();
        let seen = seen(&records);
        assert_eq!((seen.kept.len(), seen.more), (KEPT, 50 - KEPT));
    }
}
