// SPDX-License-Identifier: GPL-2.0

//! A run of the fuzzer: most writes one after the other, and some by several threads at once.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use mn_inject::os::wait::Waiter;

use crate::complaints::Complaints;
use crate::exercise::Exercise;
use crate::fuzz::entry::Owner;
use crate::fuzz::files::Open;
use crate::fuzz::finding::ENOUGH;
use crate::fuzz::fuzzer::{Fuzzer, IDLE, SESSIONS};
use crate::fuzz::race;
use crate::task::FuzzOptions;

/// Number of writes after which every file is read.
const ALL_EVERY: u64 = 500;

/// Number of writes after which one of the processes is replaced.
const REPLACE_EVERY: u64 = 1500;

/// Number of writes after which the progress is reported.
const PROGRESS_AFTER: u64 = 100;

/// One of this many writes is made by several threads at once.
const RACING: u64 = 10;

/// Number of concurrent writes between two reports of the progress.
const RACE: u64 = 4000;

/// Least time between two reports of the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Checks that there are no targets, since the fuzzer needs the module for itself.
///
/// # Errors
///
/// There are targets, or `control` cannot be read.
pub fn demand_no_targets() -> Result<()> {
    let others = Open::new("control")?.read()?;
    if !others.is_empty() {
        bail!(
            "there are targets already, and this wants the module for itself; detach them, or load the module again:\n{others}"
        );
    }
    Ok(())
}

/// Makes all writes of the task and adds the operations and findings to `exercise`.
///
/// # Errors
///
/// A process or a file could not be used, or the time is over; this is trouble and not a finding.
pub fn run(
    options: &FuzzOptions,
    waiter: &Waiter,
    complaints: &mut Complaints<'_>,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let racing = options.writes / RACING;
    say("the first write");
    let mut fuzzer = Fuzzer::new(options, waiter)?;
    // Progress comes up more often than is worth printing.
    let mut next = Instant::now();
    let mut say_limited = |what: &str| {
        if Instant::now() >= next {
            say(what);
            next = Instant::now() + PROGRESS_EVERY;
        }
    };
    let writes = options.writes - racing;
    let result = fuzzer.run(writes, complaints, &mut say_limited);
    let counts = std::mem::take(&mut fuzzer.counts);
    exercise.findings.append(&mut fuzzer.findings);
    drop(fuzzer);
    for (operation, count) in [
        ("writes", counts.writes),
        ("writes accepted", counts.accepted),
        ("writes refused", counts.refused),
        ("lines of settings accepted", counts.lines),
        ("targets attached", counts.attached),
        ("pieces read", counts.pieces),
        ("rounds of all files", counts.rounds),
        ("processes ended", counts.ended),
    ] {
        exercise.operations.push((operation.into(), count));
    }
    result?;

    let mut raced = 0;
    while raced < racing {
        say(&format!("{raced} of {racing} writes by several threads"));
        let share = (racing - raced).min(RACE);
        let findings = race::run(share, options.seed, raced, waiter)?;
        raced += share;
        let complaints = complaints.since_last().into_iter();
        let complaints = complaints
            .map(|what| format!("seed {}, several threads at once: {what}", options.seed));
        let before = exercise.findings.len();
        exercise
            .findings
            .extend(findings.into_iter().chain(complaints));
        if exercise.findings.len() > before {
            // Further findings are mostly consequences of the first ones.
            break;
        }
    }
    exercise
        .operations
        .push(("concurrent writes".into(), raced));
    Ok(())
}

impl Fuzzer<'_> {
    /// Makes the writes that come one after the other.
    fn run(
        &mut self,
        writes: u64,
        complaints: &mut Complaints<'_>,
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
                self.note_all(complaints);
            }
            if done.is_multiple_of(PROGRESS_AFTER) {
                say(&format!("{done} of {writes} writes"));
            }
        }
        self.note_all(complaints);
        self.check_all()
    }

    /// Records the kernel's complaints as findings.
    fn note_all(&mut self, complaints: &mut Complaints<'_>) {
        for what in complaints.since_last() {
            self.note(&what);
        }
    }

    fn step(&mut self) -> Result<()> {
        match self.rng.below(100) {
            0..65 => self.write_setting(),
            65..80 => self.write_settings(),
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

    /// Closes a session, which detaches its targets, and opens it again.
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

    /// Ends a process that may have targets attached, and starts another one.
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
}
