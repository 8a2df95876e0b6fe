// SPDX-License-Identifier: GPL-2.0

//! Reads the log of a target, each entry once.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::injector::formats::{Entry, Op, complete_lines};
use crate::model::{Call, Later};

/// The entries of a log, as the model has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The starts of invalidations.
    pub calls: Vec<Call>,
    /// The other entries.
    pub later: Vec<Later>,
}

impl Entries {
    /// Adds the entries in these lines, of the scenario's notifier of that index.
    fn add(&mut self, lines: &str, notifier: usize) -> Result<()> {
        for line in lines.split_terminator('\n') {
            let entry = Entry::parse(line)?;
            match entry.op {
                Op::Start => self.calls.push(entry.into_call(notifier)),
                Op::Later(op) => self.later.push(entry.into_later(op, notifier)),
            }
        }
        Ok(())
    }

    /// Time of the first call that was made to fail or to misbehave, in nanoseconds of
    /// `CLOCK_MONOTONIC`.
    pub fn first_injected(&self) -> Option<u64> {
        let calls = self.calls.iter().map(|call| (call.injected, call.time_ns));
        let later = self
            .later
            .iter()
            .map(|later| (later.injected, later.time_ns));
        let injected = calls.chain(later).filter(|(injected, _)| *injected);
        injected.map(|(_, time_ns)| time_ns).min()
    }
}

/// Reads the log of a target, each entry once.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    /// Index of the notifier in its scenario.
    index: usize,
    unread: String,
}

impl LogReader {
    /// Opens the log at `path`, of the scenario's notifier of that index, at its first entry.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub(super) fn open(path: PathBuf, index: usize) -> Result<Self> {
        Ok(LogReader {
            file: File::open(&path).with_context(|| format!("cannot open {}", path.display()))?,
            path,
            index,
            unread: String::new(),
        })
    }

    /// Another reader of the same log, which begins after its last entry.
    pub(super) fn follow(&self) -> Result<Self> {
        let mut log = Self::open(self.path.clone(), self.index)?;
        log.new_entries()?;
        Ok(log)
    }

    /// Returns the entries since the last call.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line is not as the module writes it.
    pub fn new_entries(&mut self) -> Result<Entries> {
        let path = &self.path;
        self.file
            .read_to_string(&mut self.unread)
            .with_context(|| format!("cannot read {}", path.display()))?;
        // A read may end in the middle of a line, and the next one returns the rest.
        let complete = complete_lines(&self.unread);
        let mut entries = Entries::default();
        entries
            .add(complete, self.index)
            .with_context(|| format!("in {}", path.display()))?;
        self.unread.drain(..complete.len());
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::model::FollowUp;

    fn line(seq: u64, op: &str, injected: u8) -> String {
        format!(
            "seq={seq} time_ns={} op={op} event=MMU_NOTIFY_CLEAR start=0x7000 end=0x8000 \
             context=blockable tid=34 comm=a injected={injected} returned=0 cur_seq=5 callers=b\n",
            1000 + seq
        )
    }

    #[test]
    fn each_entry_is_read_once_and_a_cut_one_when_it_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = LogReader::open(file.path().to_owned(), 2).unwrap();
        assert_eq!(log.new_entries().unwrap(), Entries::default());

        let second = line(8, "finish", 0);
        let (begin, end) = second.split_at(20);
        write!(file, "{}{begin}", line(7, "start", 0)).unwrap();
        let entries = log.new_entries().unwrap();
        assert_eq!((entries.calls.len(), entries.later.len()), (1, 0));
        assert_eq!((entries.calls[0].notifier, entries.calls[0].seq), (2, 7));

        let mut follower = log.follow().unwrap();
        write!(file, "{end}").unwrap();
        for log in [&mut log, &mut follower] {
            let entries = log.new_entries().unwrap();
            assert_eq!((entries.calls.len(), entries.later.len()), (0, 1));
            let later = &entries.later[0];
            assert_eq!((later.notifier, later.seq), (2, 8));
            assert_eq!(later.op, FollowUp::Finish);
        }
    }

    #[test]
    fn a_line_of_another_format_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = LogReader::open(file.path().to_owned(), 0).unwrap();
        file.write_all(b"seq=7\n").unwrap();
        assert!(log.new_entries().is_err());
    }

    #[test]
    fn the_first_injected_call_is_found_in_either_list() {
        let mut entries = Entries::default();
        entries.add(&line(1, "start", 0), 0).unwrap();
        assert_eq!(entries.first_injected(), None);
        entries.add(&line(4, "start", 1), 0).unwrap();
        assert_eq!(entries.first_injected(), Some(1004));
        entries.add(&line(3, "end", 1), 0).unwrap();
        assert_eq!(entries.first_injected(), Some(1003));
    }
}
