// SPDX-License-Identifier: GPL-2.0

//! Watches the kernel's log from before the module is loaded until after it is unloaded: whatever
//! the kernel finds wrong in between is not to be missed because nobody asked for it.

use std::time::Duration;

use crate::kmsg::{Complaints, KmsgReader, Record};
use crate::model::{Complaint, Ownership};
use crate::os::kernel::lockdep;
use crate::os::limit::Limit;

/// How long the end of the log may take to arrive.
const END: Duration = Duration::from_secs(20);

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
    seen: Complaints,
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
            seen: Complaints::default(),
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

    /// The same where lockdep was made to report, and is off.
    pub fn end_without_lockdep(mut self, expected: impl Fn(&Record) -> bool) -> Watched {
        self.lockdep = None;
        self.end(expected)
    }

    /// Reads to the end.
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
