// SPDX-License-Identifier: GPL-2.0

//! State of the fuzzer: the open files, their expected contents, and the findings.

use std::io;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use mn_inject::os::wait::Waiter;

use crate::fuzz::entry::{Entry, Owner};
use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::kind::{KINDS, TWO_PASS, is_interval, word};
use crate::fuzz::line::Refusal;
use crate::fuzz::subject::Target;
use crate::fuzz::table::Table;
use crate::processes::Processes;
use crate::random::Rng;
use crate::task::FuzzOptions;

/// Number of sessions that are open at the same time.
pub const SESSIONS: usize = 2;

/// Number of idle processes for lines to `control`, besides one for each target whose settings are
/// written.
pub const IDLE: usize = 3;

/// Range of the fuzzer's own interval notifiers, in which nothing is ever mapped.
const NOWHERE: &str = "1000-2000";

/// Counts of the operations of a run.
#[derive(Debug, Default)]
pub struct Counts {
    /// Writes, accepted or not.
    pub writes: u64,
    /// Writes that the module must accept.
    pub accepted: u64,
    /// Writes that must fail.
    pub refused: u64,
    /// Lines that set several settings, and that the module must accept.
    pub lines: u64,
    /// Targets attached.
    pub attached: u64,
    /// Reads of a part of a file at a random offset.
    pub pieces: u64,
    /// Rounds in which every file was read.
    pub rounds: u64,
    /// Processes ended that may have had targets attached.
    pub ended: u64,
}

/// A write as shown in findings.
pub struct Write<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes written.
    pub bytes: &'a [u8],
    /// File offset of the write.
    pub offset: u64,
}

/// The fuzzer: all files that it writes to, and their expected contents.
pub struct Fuzzer<'a> {
    /// Source of all random choices.
    pub rng: Rng,
    /// Seed of `rng`.
    pub seed: u64,
    /// Limits every wait.
    pub waiter: &'a Waiter,
    /// Processes to which targets are attached, and pids with which that fails.
    pub processes: Processes,
    /// The module's file `control`.
    pub control: Open,
    /// Open sessions of the device.
    pub sessions: Vec<Open>,
    /// Read-only files in the module's directory.
    pub root: Vec<Open>,
    /// Targets whose settings are written, each on a process of its own.
    pub targets: Vec<Target>,
    /// Targets that must exist.
    pub table: Table,
    /// Counts of the operations done.
    pub counts: Counts,
    /// Findings so far.
    pub findings: Vec<String>,
}

impl<'a> Fuzzer<'a> {
    /// Starts the processes and attaches one target of every kind.
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
            root: ["help", "total", "breach"]
                .into_iter()
                .map(Open::new)
                .collect::<Result<_>>()?,
            targets: Vec::new(),
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
        fuzzer.attach_targets()?;
        Ok(fuzzer)
    }

    /// Attaches one target of every kind, each to a process of its own that has no other target.
    fn attach_targets(&mut self) -> Result<()> {
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
            self.targets.push(Target::open(&name, kind)?);
            // In the table like any other target. Its pid is not in `pids`, so no generated line
            // attaches to that process again.
            self.table.entries.push(Entry {
                name,
                pid,
                kind,
                range: is_interval(kind).then_some((0x1000, 0x2000)),
                owner: Owner::Control,
                live: true,
                values: Vec::new(),
            });
        }
        Ok(())
    }

    /// Draws the file offset of a write, which the module must ignore.
    pub fn offset(&mut self) -> u64 {
        match self.rng.below(4) {
            0 => self.rng.below(8192) as u64,
            1 => self.rng.bits() >> (2 + self.rng.below(60)),
            _ => 0,
        }
    }

    /// Records a finding about a write.
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

    /// Records a finding that belongs to no single write.
    pub fn note(&mut self, what: &str) {
        self.findings.push(format!(
            "seed {}, after write {}: {what}",
            self.seed, self.counts.writes
        ));
    }

    /// Compares the return value of a write with the expected one: `due` is the resulting content, or
    /// the errnos allowed.
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
