// SPDX-License-Identifier: GPL-2.0

//! What everything must read, after each write and now and then.

use anyhow::{Context as _, Result};

use crate::fuzz::files;
use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::fuzzer::Fuzzer;
use crate::fuzz::setting;
use crate::fuzz::table::Change;

impl Fuzzer<'_> {
    /// What is wrong with the folder of a target that was just attached or detached.
    pub fn check_change(&mut self, change: &Change) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        match change {
            Change::Attach(entry) => {
                self.counts.attached += 1;
                let settings = Open::new(&format!("targets/{}/settings", entry.name))?.line()?;
                if settings != setting::settings_line(&setting::defaults()) {
                    wrong.push(format!("a new target's settings are {settings:?}"));
                }
                let kind = Open::new(&format!("targets/{}/kind", entry.name))?.line()?;
                if kind != entry.kind_line() {
                    let due = entry.kind_line();
                    wrong.push(format!("kind: expected {due:?}, read {kind:?}"));
                }
                let pid = Open::new(&format!("targets/{}/pid", entry.name))?.line()?;
                if pid != format!("{}\n", entry.pid) {
                    wrong.push(format!("pid: expected {}, read {pid:?}", entry.pid));
                }
            }
            Change::Detach(name) => {
                if files::folder(name).exists() {
                    wrong.push("the target's folder is still there".into());
                }
            }
        }
        Ok(wrong)
    }

    /// What is wrong with the lists of targets.
    pub fn check_table(&mut self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut compare = |name: &str, due: String, seen: String| {
            if seen != due {
                wrong.push(format!("{name}: {}", finding::difference(&due, &seen)));
            }
        };
        let all = self.table.text();
        compare("control", all.clone(), self.control.read()?);
        for (index, session) in self.sessions.iter().enumerate() {
            let name = format!("session {index}");
            compare(
                &name,
                self.table.session_text(index),
                session.read_session()?,
            );
        }
        if self.rng.one_in(16) {
            self.counts.pieces += 1;
            wrong.extend(self.control.check_piece(&mut self.rng, &all)?);
        }
        if !wrong.is_empty() {
            self.resync()?;
        }
        Ok(wrong)
    }

    /// After a deviation: detaches all but our own targets, so that it is found once.
    fn resync(&mut self) -> Result<()> {
        let own = self.subjects.len();
        for line in self.control.read()?.lines().skip(own) {
            let name = line
                .split(' ')
                .next()
                .and_then(|word| word.strip_prefix("name="))
                .with_context(|| format!("control has no name in {line:?}"))?;
            let line = format!("detach {name}");
            self.control
                .write(line.as_bytes(), 0)
                .with_context(|| format!("\"{line}\" failed"))?;
        }
        self.table.entries.truncate(own);
        Ok(())
    }

    /// Reads every file.
    pub fn check_all(&mut self) -> Result<()> {
        self.counts.rounds += 1;
        let mut wrong = self.check_table()?;
        for subject in &mut self.subjects {
            let found = subject.check_all()?;
            if !found.is_empty() {
                wrong.extend(found);
                subject.resync()?;
            }
            let entry = self
                .table
                .entries
                .iter()
                .find(|entry| entry.name == subject.name);
            let due = entry.map_or_else(String::new, |entry| {
                format!("{}\n{}live\n", entry.pid, entry.kind_line())
            });
            let mut seen = String::new();
            for file in &subject.read_only[..3] {
                seen.push_str(&file.line()?);
            }
            if seen != due {
                wrong.push(format!(
                    "pid, kind and state of {}: expected {due:?}, read {seen:?}",
                    subject.name
                ));
            }
            // What they say depends on what the machine does; that they can be read does not.
            for file in &subject.read_only[3..6] {
                file.read()?;
            }
        }
        for file in &self.root {
            if !file.read()?.ends_with('\n') {
                wrong.push(format!("{} does not end with a newline", file.name));
            }
        }
        for what in wrong {
            self.note(&what);
        }
        Ok(())
    }
}

impl Drop for Fuzzer<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.resync() {
            eprintln!("mn-selftest: {error:#}");
        }
        // Before the processes end: their settings may make an end take long.
        for subject in &self.subjects {
            let line = format!("detach {}", subject.name);
            if let Err(error) = self.control.write(line.as_bytes(), 0) {
                eprintln!("mn-selftest: \"{line}\" failed: {error}");
            }
        }
    }
}
