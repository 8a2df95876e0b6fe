// SPDX-License-Identifier: GPL-2.0

//! Checks of the contents of the module's files, after each write and from time to time.

use anyhow::{Context as _, Result};

use crate::fuzz::entry::Change;
use crate::fuzz::files;
use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::fuzzer::Fuzzer;

impl Fuzzer<'_> {
    /// Checks the directory of a target that was just attached or detached. Returns the deviations.
    pub fn check_change(&mut self, change: &Change) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        match change {
            Change::Attach(entry) => {
                self.counts.attached += 1;
                let settings = Open::new(&format!("targets/{}/settings", entry.name))?.line()?;
                let due = entry.settings_line();
                if settings != due {
                    wrong.push(format!("settings: expected {due:?}, read {settings:?}"));
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

    /// Checks the lists of targets in `control` and in the sessions. Returns the deviations.
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

    /// Detaches all targets but the fuzzer's own after a deviation, so that it is reported once.
    fn resync(&mut self) -> Result<()> {
        let own = self.targets.len();
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

    /// Reads every file and keeps a finding for each deviation.
    pub fn check_all(&mut self) -> Result<()> {
        self.counts.rounds += 1;
        let mut wrong = self.check_table()?;
        for target in &mut self.targets {
            let found = target.check_all()?;
            if !found.is_empty() {
                wrong.extend(found);
                target.resync()?;
            }
            let entry = self
                .table
                .entries
                .iter()
                .find(|entry| entry.name == target.name);
            let due = entry.map_or_else(String::new, |entry| {
                format!("{}\n{}live\n", entry.pid, entry.kind_line())
            });
            let mut seen = String::new();
            for file in &target.read_only[..3] {
                seen.push_str(&file.line()?);
            }
            if seen != due {
                wrong.push(format!(
                    "pid, kind and state of {}: expected {due:?}, read {seen:?}",
                    target.name
                ));
            }
            // Their contents depend on the machine's load, so only that they can be read is checked.
            for file in &target.read_only[3..] {
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
        // Before the processes end: the targets' settings may delay the teardown of their mm.
        for target in &self.targets {
            let line = format!("detach {}", target.name);
            if let Err(error) = self.control.write(line.as_bytes(), 0) {
                eprintln!("mn-selftest: \"{line}\" failed: {error}");
            }
        }
    }
}
