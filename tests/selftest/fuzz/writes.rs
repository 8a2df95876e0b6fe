// SPDX-License-Identifier: GPL-2.0

//! One write after the other, each held against the description of the interface: what it
//! returns, and what everything then reads.

use std::io;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use mn_inject::os::wait::Waiter;

use crate::fuzz::complaints::Complaints;
use crate::fuzz::files;
use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::finding::ENOUGH;
use crate::fuzz::grammar;
use crate::fuzz::grammar::Words;
use crate::fuzz::processes::Processes;
use crate::fuzz::rng::Rng;
use crate::fuzz::setting;
use crate::fuzz::setting::{Kind, Order, Refusal, SETTINGS};
use crate::fuzz::subject::{READ_ONLY, Subject};
use crate::fuzz::table::{Change, Entry, Owner, Table};
use crate::task::FuzzOptions;

/// After so many writes every file is read.
const ALL_EVERY: u64 = 500;

/// After so many writes one of the processes ends and another begins.
const REPLACE_EVERY: u64 = 1500;

/// After so many writes it is time to say how far it is.
const SAY_EVERY: u64 = 100;

/// Sessions that are open at a time.
const SESSIONS: usize = 2;

/// Processes for `control`, besides one for each target whose settings are written.
const IDLE: usize = 3;

/// Where the interval notifiers of our targets sit: nobody maps anything there.
const NOWHERE: &str = "1000-2000";

/// What was done how often.
#[derive(Debug, Default)]
pub struct Counts {
    /// All writes.
    pub writes: u64,
    /// Those that were taken.
    pub accepted: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Targets that were attached.
    pub attached: u64,
    /// Pieces of files that were read from anywhere.
    pub pieces: u64,
    /// Rounds in which every file was read.
    pub rounds: u64,
    /// Processes that ended with targets on them.
    pub ended: u64,
}

/// A write, as findings show it.
struct Write<'a> {
    file: &'a str,
    bytes: &'a [u8],
    offset: u64,
}

/// All that is written to, and what it must read.
pub struct Fuzzer<'a> {
    rng: Rng,
    seed: u64,
    waiter: &'a Waiter,
    processes: Processes,
    control: Open,
    sessions: Vec<Open>,
    root: Vec<Open>,
    subjects: Vec<Subject>,
    table: Table,
    /// What was done.
    pub counts: Counts,
    /// What was wrong.
    pub findings: Vec<String>,
}

impl<'a> Fuzzer<'a> {
    /// Starts the processes, and attaches a target of every kind.
    pub fn new(options: &FuzzOptions, waiter: &'a Waiter) -> Result<Self> {
        let processes = Processes::start(IDLE + Kind::ALL.len(), waiter)?;
        let mut fuzzer = Fuzzer {
            rng: Rng::new(options.seed),
            seed: options.seed,
            waiter,
            control: Open::new("control")?,
            sessions: (0..SESSIONS)
                .map(|_| Open::session())
                .collect::<Result<_>>()?,
            root: ["help", "total"]
                .into_iter()
                .map(Open::new)
                .collect::<Result<_>>()?,
            subjects: Vec::new(),
            table: Table {
                pids: processes.pids(),
                dead: processes.dead.clone(),
                two_pass: true,
                ..Table::default()
            },
            processes,
            counts: Counts::default(),
            findings: Vec::new(),
        };
        fuzzer.attach_subjects()?;
        Ok(fuzzer)
    }

    /// One target of every kind, each on a process of its own that nothing else is attached to.
    fn attach_subjects(&mut self) -> Result<()> {
        let pids = self.table.pids.split_off(IDLE);
        for (kind, pid) in Kind::ALL.into_iter().zip(pids) {
            let name = format!("fuzz-{}", kind.name());
            let mut line = format!("attach {pid} name={name} kind={}", kind.name());
            if kind.is_interval() {
                line.push_str(&format!(" range={NOWHERE}"));
            }
            match self.control.write(line.as_bytes(), 0) {
                Err(error)
                    if kind == Kind::TwoPass && finding::errno_of(&error) == Errno::EOPNOTSUPP =>
                {
                    self.table.two_pass = false;
                    continue;
                }
                result => result.with_context(|| format!("\"{line}\" failed"))?,
            };
            self.subjects.push(Subject::open(&name, kind)?);
            // Known as any other, but for its process id: no line of ours attaches there again.
            self.table.entries.push(Entry {
                name,
                pid,
                kind,
                range: kind.is_interval().then_some((0x1000, 0x2000)),
                owner: Owner::Control,
                live: true,
            });
        }
        Ok(())
    }

    /// Makes all writes.
    pub fn run(
        &mut self,
        writes: u64,
        complaints: &mut Complaints,
        say: &mut dyn FnMut(&str),
    ) -> Result<()> {
        self.check_all()?;
        while self.counts.writes < writes {
            if self.findings.len() >= ENOUGH {
                self.findings
                    .push(format!("more than {ENOUGH} findings: stopped there"));
                return Ok(());
            }
            self.step()?;
            let done = self.counts.writes;
            if done.is_multiple_of(ALL_EVERY) {
                self.waiter.check()?;
                self.check_all()?;
            }
            if done.is_multiple_of(REPLACE_EVERY) {
                self.replace_process()?;
                for what in complaints.heard()? {
                    self.note(&what);
                }
            }
            if done.is_multiple_of(SAY_EVERY) {
                say(&format!("{done} of {writes} writes"));
            }
        }
        self.check_all()
    }

    fn step(&mut self) -> Result<()> {
        match self.rng.below(100) {
            0..80 => self.write_setting(),
            80..85 => self.write_order(),
            85..91 => self.write_control(None),
            91..95 => {
                let session = self.rng.below(SESSIONS);
                if self.rng.one_in(20) {
                    self.reopen(session)?;
                }
                self.write_control(Some(session))
            }
            _ => self.write_read_only(),
        }
    }

    /// Where a write goes, which means nothing to the module.
    fn offset(&mut self) -> u64 {
        match self.rng.below(4) {
            0 => self.rng.below(8192) as u64,
            1 => self.rng.bits() >> (2 + self.rng.below(60)),
            _ => 0,
        }
    }

    fn find(&mut self, write: &Write<'_>, what: &str) {
        let at = match write.offset {
            0 => String::new(),
            offset => format!(" at offset {offset}"),
        };
        self.findings.push(format!(
            "seed {}, write {}: {} to {}{at}: {what}",
            self.seed,
            self.counts.writes,
            finding::shown(write.bytes),
            write.file
        ));
    }

    /// Holds what a write returned against what is due.
    fn check_return(
        &mut self,
        write: &Write<'_>,
        due: Result<&str, &Refusal>,
        result: &io::Result<usize>,
    ) {
        let (right, expected) = match (due, result) {
            (Ok(_), Ok(count)) if *count == write.bytes.len() => (true, String::new()),
            (Ok(reads), _) => (false, format!("{} and then {reads:?}", write.bytes.len())),
            (Err(refusal), Err(error)) if refusal.contains(&finding::errno_of(error)) => {
                (true, String::new())
            }
            (Err(refusal), _) => (false, finding::errnos(refusal)),
        };
        if due.is_ok() {
            self.counts.accepted += 1;
        } else {
            self.counts.refused += 1;
        }
        if !right {
            let what = format!("expected {expected}, got {}", finding::returned(result));
            self.find(write, &what);
        }
    }

    /// Writes to a file of a target. Sometimes in two halves, each of which is a line for itself.
    fn write_setting(&mut self) -> Result<()> {
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
    fn write_order(&mut self) -> Result<()> {
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
    fn write_read_only(&mut self) -> Result<()> {
        let which = self.rng.below(self.subjects.len());
        let bytes = match self.rng.below(3) {
            0 => b"0\n".to_vec(),
            _ => {
                let rule = self.rng.pick(&SETTINGS).rule;
                grammar::value(&mut self.rng, rule, Kind::Plain)
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
        let mut due = setting::line(&bytes).err().unwrap_or_default();
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
    fn write_control(&mut self, session: Option<usize>) -> Result<()> {
        let owner = session.map_or(Owner::Control, Owner::Session);
        let words = self.words();
        let mut bytes = grammar::command(&mut self.rng, &words);
        while self.table.means_a_stranger(&bytes) {
            bytes = grammar::command(&mut self.rng, &words);
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

    /// What is wrong with the folder of a target that was just attached or detached.
    fn check_change(&mut self, change: &Change) -> Result<Vec<String>> {
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
    fn check_table(&mut self) -> Result<Vec<String>> {
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

    /// Closes a session, with which its targets go, and opens it again.
    fn reopen(&mut self, session: usize) -> Result<()> {
        let new = Open::session()?;
        drop(std::mem::replace(&mut self.sessions[session], new));
        self.table
            .entries
            .retain(|entry| entry.owner != Owner::Session(session));
        for what in self.check_table()? {
            self.note(&format!("closed session {session}: {what}"));
        }
        Ok(())
    }

    /// Ends a process that may have targets on it.
    fn replace_process(&mut self) -> Result<()> {
        let (old, new) = self.processes.replace(self.rng.below(IDLE), self.waiter)?;
        self.table.died(old);
        self.table.pids.push(new);
        self.counts.ended += 1;
        for what in self.check_table()? {
            self.note(&format!("process {old} ended: {what}"));
        }
        Ok(())
    }

    fn note(&mut self, what: &str) {
        self.findings.push(format!(
            "seed {}, after write {}: {what}",
            self.seed, self.counts.writes
        ));
    }

    /// Reads every file.
    fn check_all(&mut self) -> Result<()> {
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
