// SPDX-License-Identifier: GPL-2.0

//! Single writes, each compared with the model of the interface: its return value, and the contents
//! of the files after it.

use anyhow::Result;
use nix::errno::Errno;

use crate::fuzz::command;
use crate::fuzz::command::Words;
use crate::fuzz::entry::Owner;
use crate::fuzz::fuzzer::{Fuzzer, Write};
use crate::fuzz::grammar;
use crate::fuzz::kind::PLAIN;
use crate::fuzz::line::line;
use crate::fuzz::order::Order;
use crate::fuzz::setting;
use crate::fuzz::setting::{Rule, SETTINGS};
use crate::fuzz::subject::READ_ONLY;

impl Fuzzer<'_> {
    /// Writes to a setting of a target; sometimes in two parts, each of which counts as a whole line.
    pub fn write_setting(&mut self) -> Result<()> {
        let which = self.rng.below(self.targets.len());
        let mut index = self.rng.below(SETTINGS.len());
        while !SETTINGS[index].has_file() {
            index = self.rng.below(SETTINGS.len());
        }
        let (rule, kind) = (SETTINGS[index].rule, self.targets[which].kind);
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
        let target = &self.targets[which];
        let Some(file) = &target.files[index] else {
            return Ok(());
        };
        let due = SETTINGS[index].rule.judge(bytes, target.kind);
        let result = file.write(bytes, offset);
        let name = file.name.clone();
        let write = Write {
            file: &name,
            bytes,
            offset,
        };
        self.counts.writes += 1;
        self.check_return(&write, due.as_ref().map(String::as_str), &result);
        let target = &mut self.targets[which];
        if let Ok(value) = due {
            target.values[index] = value;
        }
        let mut wrong = Vec::new();
        wrong.extend(target.check_file(index)?);
        wrong.extend(target.check_settings()?);
        if SETTINGS[index].rule == Rule::Error {
            wrong.extend(target.check_error()?);
        }
        if !wrong.is_empty() {
            target.resync()?;
        }
        let target = &self.targets[which];
        if let Some(file) = &target.files[index]
            && self.rng.one_in(16)
        {
            let whole = format!("{}\n", target.values[index]);
            wrong.extend(file.check_piece(&mut self.rng, &whole)?);
            self.counts.pieces += 1;
        }
        for what in wrong {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Writes to `settings` of a target, or to the file for the errors of all events, and checks the
    /// files of what it sets.
    pub fn write_settings(&mut self) -> Result<()> {
        let which = self.rng.below(self.targets.len());
        let offset = self.offset();
        let target = &self.targets[which];
        let kind = target.kind;
        let (file, bytes, due) = if self.rng.one_in(6) {
            let bytes = grammar::value(&mut self.rng, Rule::Error, kind);
            let due = setting::judge_error(&bytes, kind);
            (&target.error, bytes, due)
        } else {
            let bytes = grammar::settings(&mut self.rng, kind, &target.values);
            let due = setting::judge_settings(&bytes, kind);
            (&target.settings, bytes, due)
        };
        let result = file.write(&bytes, offset);
        let name = file.name.clone();
        let write = Write {
            file: &name,
            bytes: &bytes,
            offset,
        };
        self.counts.writes += 1;
        self.counts.lines += u64::from(due.is_ok());
        self.check_return(&write, due.as_ref().map(|_| "its values"), &result);
        let target = &mut self.targets[which];
        let mut changed: Vec<usize> = Vec::new();
        for (index, value) in due.into_iter().flatten() {
            target.values[index] = value;
            changed.push(index);
        }
        let mut wrong = Vec::new();
        wrong.extend(target.check_settings()?);
        wrong.extend(target.check_error()?);
        for index in changed {
            wrong.extend(target.check_file(index)?);
        }
        if !wrong.is_empty() {
            target.resync()?;
        }
        for what in wrong {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Writes to a file of a target that takes orders, and checks what it reads.
    pub fn write_order(&mut self) -> Result<()> {
        let which = self.rng.below(self.targets.len());
        let index = self.rng.below(Order::ALL.len());
        let order = Order::ALL[index];
        let target = &self.targets[which];
        let bytes = grammar::order(&mut self.rng, order, target.seq);
        let due = order.judge(&bytes, target.kind, target.seq);
        let offset = self.offset();
        let file = &self.targets[which].orders[index];
        let name = file.name.clone();
        let result = file.write(&bytes, offset);
        let write = Write {
            file: &name,
            bytes: &bytes,
            offset,
        };
        self.counts.writes += 1;
        self.check_return(&write, due.as_ref().map(|()| "nothing"), &result);
        if let Some(what) = self.targets[which].check_order(index) {
            self.find(&write, &what);
        }
        if let Some(what) = self.targets[which].check_settings()? {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Writes to a read-only file.
    pub fn write_read_only(&mut self) -> Result<()> {
        let which = self.rng.below(self.targets.len());
        let bytes = match self.rng.below(3) {
            0 => b"0\n".to_vec(),
            _ => {
                let rule = self.rng.pick(&SETTINGS).rule;
                grammar::value(&mut self.rng, rule, PLAIN)
            }
        };
        let offset = self.offset();
        let file = match self.rng.below(READ_ONLY.len() + self.root.len()) {
            index if index < READ_ONLY.len() => &self.targets[which].read_only[index],
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
        // The module may check the line before the access, or the other way round.
        let mut due = line(&bytes).err().unwrap_or_default();
        due.push(Errno::EPERM);
        self.check_return(&write, Err(&due), &result);
        if let Some(what) = self.targets[which].check_settings()? {
            self.find(&write, &what);
        }
        Ok(())
    }

    /// Returns the parts of lines for `control`, without the names of the fuzzer's own targets.
    fn words(&self) -> Words {
        Words {
            live: self.table.pids.clone(),
            dead: self.table.dead.clone(),
            names: self.table.entries[self.targets.len()..]
                .iter()
                .map(|entry| entry.name.clone())
                .collect(),
        }
    }

    /// Writes to `control`, or to the session `session`. Skips lines that would attach to a process
    /// of which the model does not predict the state.
    pub fn write_control(&mut self, session: Option<usize>) -> Result<()> {
        let owner = session.map_or(Owner::Control, Owner::Session);
        let words = self.words();
        let mut bytes = command::command(&mut self.rng, &words);
        while self.table.attaches_unknown_pid(&bytes) {
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
