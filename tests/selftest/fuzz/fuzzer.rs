// SPDX-License-Identifier: GPL-2.0

//! All that is written to, with what it must read, and what was found.

use std::io;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use mn_inject::os::wait::Waiter;

use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::kind::{KINDS, TWO_PASS, is_interval, word};
use crate::fuzz::line::Refusal;
use crate::fuzz::subject::Subject;
use crate::fuzz::table::{Entry, Owner, Table};
use crate::processes::Processes;
use crate::random::Rng;
use crate::task::FuzzOptions;

/// Sessions that are open at a time.
pub const SESSIONS: usize = 2;

/// Processes for `control`, besides one for each target whose settings are written.
pub const IDLE: usize = 3;

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
pub struct Write<'a> {
    /// The file's name.
    pub file: &'a str,
    /// What is written.
    pub bytes: &'a [u8],
    /// Where.
    pub offset: u64,
}

/// All that is written to, and what it must read.
pub struct Fuzzer<'a> {
    /// The choices.
    pub rng: Rng,
    /// Where they start.
    pub seed: u64,
    /// For all waiting.
    pub waiter: &'a Waiter,
    /// Those that are attached, and those that cannot be.
    pub processes: Processes,
    /// `control`.
    pub control: Open,
    /// The device, open more than once.
    pub sessions: Vec<Open>,
    /// The module's other files.
    pub root: Vec<Open>,
    /// The targets whose settings are written.
    pub subjects: Vec<Subject>,
    /// The targets that there must be.
    pub table: Table,
    /// What was done.
    pub counts: Counts,
    /// What was wrong.
    pub findings: Vec<String>,
}

impl<'a> Fuzzer<'a> {
    /// Starts the processes, and attaches a target of every kind.
    pub fn new(options: &FuzzOptions, waiter: &'a Waiter) -> Result<Self> {
        let processes = Processes::start(IDLE + KINDS.len(), waiter)?;
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
        for (kind, pid) in KINDS.into_iter().zip(pids) {
            let name = format!("fuzz-{}", word(kind));
            let mut line = format!("attach {pid} name={name} kind={}", word(kind));
            if is_interval(kind) {
                line.push_str(&format!(" range={NOWHERE}"));
            }
            match self.control.write(line.as_bytes(), 0) {
                Err(error)
                    if kind == TWO_PASS && finding::errno_of(&error) == Errno::EOPNOTSUPP =>
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
                range: is_interval(kind).then_some((0x1000, 0x2000)),
                owner: Owner::Control,
                live: true,
            });
        }
        Ok(())
    }

    /// Where a write goes, which means nothing to the module.
    pub fn offset(&mut self) -> u64 {
        match self.rng.below(4) {
            0 => self.rng.below(8192) as u64,
            1 => self.rng.bits() >> (2 + self.rng.below(60)),
            _ => 0,
        }
    }

    /// Keeps a finding about a write.
    pub fn find(&mut self, write: &Write<'_>, what: &str) {
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

    /// Keeps a finding about no write in particular.
    pub fn note(&mut self, what: &str) {
        self.findings.push(format!(
            "seed {}, after write {}: {what}",
            self.seed, self.counts.writes
        ));
    }

    /// Holds what a write returned against what is due.
    pub fn check_return(
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
}
