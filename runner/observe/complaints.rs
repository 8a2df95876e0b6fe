// SPDX-License-Identifier: GPL-2.0

//! Watches the kernel's log for complaints, from before the module is loaded until after it is
//! unloaded.

use std::time::Duration;

use crate::kmsg::{Complaints, KmsgReader, Record};
use crate::model::{Complaint, LOCKDEP_OFF, Ownership};
use crate::os::kernel::lockdep;
use crate::os::limit::Limit;

/// Time limit for reading the log to its end.
const END: Duration = Duration::from_secs(20);

/// The result of a watch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The complaints that count on such a machine.
    pub complaints: Vec<Complaint>,
    /// The reasons why complaints may be missing. One sentence each.
    pub doubts: Vec<String>,
}

/// A watch for complaints.
#[derive(Debug)]
pub struct Watch {
    machine: Ownership,
    /// Absent if the log cannot be opened.
    kmsg: Option<KmsgReader>,
    /// Whether lockdep was on at the beginning, if the kernel has it.
    lockdep: Option<bool>,
    seen: Complaints,
    lost: Option<String>,
}

impl Watch {
    /// Begins to watch. If the log cannot be opened, there are no complaints; no scenario can run
    /// then either.
    pub fn begin(machine: Ownership) -> Self {
        Watch {
            machine,
            kmsg: KmsgReader::open_at_end().ok(),
            lockdep: lockdep(),
            seen: Complaints::default(),
            lost: None,
        }
    }

    /// The use of the machine.
    pub fn machine(&self) -> Ownership {
        self.machine
    }

    /// Reads the records since the last time, before they are overwritten. Complaints that are
    /// `expected` are left out.
    pub fn catch_up(&mut self, expected: impl Fn(&Record) -> bool) {
        if let Some(kmsg) = &mut self.kmsg {
            let (records, lost) = kmsg.read_available();
            self.lost = self.lost.take().or(lost);
            self.add(&records, expected);
        }
    }

    fn add(&mut self, records: &[Record], expected: impl Fn(&Record) -> bool) {
        let machine = self.machine;
        self.seen.add(records, |record, kind| {
            !expected(record) && machine.counts(record, kind)
        });
    }

    /// The records since the last time, up to now. The caller judges them: the end has only the
    /// complaints after them.
    pub fn since_last(&mut self) -> Vec<Record> {
        let read = match &mut self.kmsg {
            Some(kmsg) => kmsg
                .mark("watched until here")
                .map(|marker| kmsg.read_until(&marker, &mut Limit::new(END))),
            None => Ok((Vec::new(), Some("it cannot be read".to_owned()))),
        };
        let (records, lost) = read.unwrap_or_else(|error| (Vec::new(), Some(error.to_string())));
        self.lost = self.lost.take().or(lost);
        records
    }

    /// Reads to the end of the log. lockdep may have turned itself off after a report.
    pub fn end_without_lockdep(mut self, expected: impl Fn(&Record) -> bool) -> Watched {
        self.lockdep = None;
        self.end(expected)
    }

    /// Reads to the end of the log.
    pub fn end(mut self, expected: impl Fn(&Record) -> bool) -> Watched {
        if self.kmsg.is_some() {
            let records = self.since_last();
            self.add(&records, expected);
        }
        let mut watched = Watched {
            complaints: self.seen.kept,
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
            (Some(true), Some(false)) => watched.doubts.push(LOCKDEP_OFF.to_owned()),
            (Some(false), Some(false)) if self.machine == Ownership::Ours => watched
                .doubts
                .push("lockdep was off from the beginning".to_owned()),
            _ => {}
        }
        watched
    }
}
