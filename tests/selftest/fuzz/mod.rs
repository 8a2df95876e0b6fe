// SPDX-License-Identifier: GPL-2.0

//! Writes to the module's files all that somebody may ever write to them, and holds each write
//! against a description of the interface that does not come from the module: it is either taken
//! and reads back the same, or refused, and nothing has changed.

mod files;
mod finding;
mod grammar;
mod race;
mod rng;
pub mod setting;
pub mod subject;
mod table;
mod writes;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use mn_inject::os::wait::Waiter;

use crate::complaints::Complaints;
use crate::exercise::Exercise;
use crate::fuzz::files::Open;
use crate::fuzz::writes::Fuzzer;
use crate::task::FuzzOptions;

/// One of so many writes is made by several threads at once.
const RACING: u64 = 10;

/// So many of them are made before it is said how far it is.
const RACE: u64 = 4000;

/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Demands that nobody has attached anything: this wants the module for itself.
pub fn demand_no_targets() -> Result<()> {
    let others = Open::new("control")?.read()?;
    if !others.is_empty() {
        bail!(
            "there are targets already, and this wants the module for itself; detach them, or load the module again:\n{others}"
        );
    }
    Ok(())
}

/// Makes the writes.
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
    // Said more often than anybody wants to hear it.
    let mut next = Instant::now();
    let mut say_at_times = |what: &str| {
        if Instant::now() >= next {
            say(what);
            next = Instant::now() + SAY_EVERY;
        }
    };
    let writes = options.writes - racing;
    let result = fuzzer.run(writes, complaints, &mut say_at_times);
    let counts = std::mem::take(&mut fuzzer.counts);
    exercise.findings.append(&mut fuzzer.findings);
    drop(fuzzer);
    for (operation, count) in [
        ("writes", counts.writes),
        ("writes accepted", counts.accepted),
        ("writes refused", counts.refused),
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
            // What follows is more of the same.
            break;
        }
    }
    exercise
        .operations
        .push(("concurrent writes".into(), raced));
    Ok(())
}
