// SPDX-License-Identifier: GPL-2.0

//! One write after the other, each held against the description of the interface: what it
//! returns, and what everything then reads.

use anyhow::Result;
use nix::errno::Errno;

use crate::fuzz::command;
use crate::fuzz::command::Words;
use crate::fuzz::finding;
use crate::fuzz::fuzzer::{Fuzzer, Write};
use crate::fuzz::grammar;
use crate::fuzz::kind::PLAIN;
use crate::fuzz::line::line;
use crate::fuzz::order::Order;
use crate::fuzz::setting::SETTINGS;
use crate::fuzz::subject::READ_ONLY;
use crate::fuzz::table::Owner;

impl Fuzzer<'_> {
    /// Writes to a file of a target. Sometimes in two halves, each of which is a line for itself.
    pub fn write_setting(&mut self) -> Result<()> {
        let which = self.rng.below(self.subjects.len());
        let index = self.rng.below(SETTINGS.len());
        let (rule, kind) = (SETTINGS[index].rule, self.subjects[which].kind);
        let bytes = grammar::value(&mut self.rng, rule, kind);
        if self.rng.one_in(20) {
            let (first, second) = bytes.split_at(self.rng.below(bytes.len() + 1));
            self.write_value(which, index, first)?;
            return self.write_value(which, index, second);
        }
        self.write_value(which, index, &bytes)
    }

    fn write_value(&mut self, which: usize, index: usize, bytes: &[u8]) -> Result<()> {
        let offset = self.offset();
        let subject = &self.subjects[which];
        let due = SETTINGS[index].rule.judge(bytes, subject.kind);
        let result = subject.files[index].write(bytes, offset);
        let name = subject.files[index].name.clone();
        let write = Write {
            file: &name,
            bytes,
            offset,
        };
        self.counts.writes += 1;
        self.check_return(&write, due.as_ref().map(String::as_str), &result);
        let subject = &mut self.subjects[which];
        if let Ok(value) = due {
            subject.values[index] = value;
        }
        let mut wrong = Vec::new();
        wrong.extend(subject.check_file(index)?);
        wrong.extend(subject.check_settings()?);
        if !wrong.is_empty() {
            subject.resync()?;
        }
        if self.rng.one_in(16) {
            let whole = format!("{}\n", self.subjects[which].values[index]);
            let piece = self.subjects[which].files[index].check_piece(&mut self.rng, &whole)?;
            self.counts.pieces += 1;
            wrong.extend(piece);
        }
        for what in wrong {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Writes to a file that does something each time.
    pub fn write_order(&mut self) -> Result<()> {
        let which = self.rng.below(self.subjects.len());
        let index = self.rng.below(Order::ALL.len());
        let order = Order::ALL[index];
        let subject = &self.subjects[which];
        let bytes = grammar::order(&mut self.rng, order, subject.seq);
        let due = order.judge(&bytes, subject.kind, subject.seq);
        let offset = self.offset();
        let file = &self.subjects[which].orders[index];
        let name = file.name.clone();
        let result = file.write(&bytes, offset);
        let read = file.try_line();
        let write = Write {
            file: &name,
            bytes: &bytes,
            offset,
        };
        self.counts.writes += 1;
        self.check_return(&write, due.as_ref().map(|()| "nothing"), &result);
        if !read
            .as_ref()
            .is_err_and(|error| finding::errno_of(error) == Errno::EPERM)
        {
            self.find(&write, &format!("it can be read: {read:?}"));
        }
        if let Some(what) = self.subjects[which].check_settings()? {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Writes to a file that cannot be written.
    pub fn write_read_only(&mut self) -> Result<()> {
        let which = self.rng.below(self.subjects.len());
        let bytes = match self.rng.below(3) {
            0 => b"0\n".to_vec(),
            _ => {
                let rule = self.rng.pick(&SETTINGS).rule;
                grammar::value(&mut self.rng, rule, PLAIN)
            }
        };
        let offset = self.offset();
        let file = match self.rng.below(READ_ONLY.len() + self.root.len()) {
            index if index < READ_ONLY.len() => &self.subjects[which].read_only[index],
            index => &self.root[index - READ_ONLY.len()],
        };
        let name = file.name.clone();
        let result = file.write(&bytes, offset);
        let write = Write {
            file: &name,
            bytes: &bytes,
            offset,
        };
        self.counts.writes += 1;
        // What is no line may be said to be none before it is asked who takes it.
        let mut due = line(&bytes).err().unwrap_or_default();
        due.push(Errno::EPERM);
        self.check_return(&write, Err(&due), &result);
        if let Some(what) = self.subjects[which].check_settings()? {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// The words that lines for `control` are made of. Our own targets' names are none of them.
    fn words(&self) -> Words {
        Words {
            live: self.table.pids.clone(),
            dead: self.table.dead.clone(),
            names: self.table.entries[self.subjects.len()..]
                .iter()
                .map(|entry| entry.name.clone())
                .collect(),
        }
    }

    /// Writes to `control`, or to a session.
    pub fn write_control(&mut self, session: Option<usize>) -> Result<()> {
        let owner = session.map_or(Owner::Control, Owner::Session);
        let words = self.words();
        let mut bytes = command::command(&mut self.rng, &words);
        while self.table.means_a_stranger(&bytes) {
            bytes = command::command(&mut self.rng, &words);
        }
        let offset = self.offset();
        let due = self.table.judge(&bytes, owner);
        let file = match session {
            None => &self.control,
            Some(session) => &self.sessions[session],
        };
        let name = file.name.clone();
        let result = file.write(&bytes, offset);
        let write = Write {
            file: &name,
            bytes: &bytes,
            offset,
        };
        self.counts.writes += 1;
        self.check_return(&write, due.as_ref().map(|_| "its line"), &result);
        if let (Ok(change), Ok(_)) = (due, &result) {
            let wrong = self.check_change(&change)?;
            self.table.apply(change);
            for what in wrong {
                self.find(&write, &what);
            }
        }
        for what in self.check_table()? {
            self.find(&write, &what);
        }
        Ok(())
    }
}
