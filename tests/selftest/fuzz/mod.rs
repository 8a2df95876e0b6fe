// SPDX-License-Identifier: GPL-2.0

//! Writes to the module's files all that somebody may ever write to them, and holds each write
//! against a description of the interface that does not come from the module: it is either taken
//! and reads back the same, or refused, and nothing has changed.

pub mod complaints;
mod files;
mod finding;
mod grammar;
pub mod processes;
mod race;
mod rng;
pub mod setting;
pub mod subject;
mod table;
mod writes;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use mn_inject::model::MODULE_NAME;
use mn_inject::os::wait::Waiter;

use crate::exercise::Exercise;
use crate::fuzz::complaints::Complaints;
use crate::fuzz::files::Open;
use crate::fuzz::writes::Fuzzer;
use crate::module_cases;
use crate::module_cases::Part;
use crate::task::FuzzOptions;

/// One of so many writes is made by several threads at once.
const RACING: u64 = 10;

/// So many of them are made before it is said how far it is.
const RACE: u64 = 4000;

/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Carries out the cases of [`robust`], and then makes the writes.
pub fn run(options: &FuzzOptions, say: &mut dyn FnMut(&str)) -> Exercise {
    let begin = Instant::now();
    let mut exercise = Exercise::default();
    if let Err(error) = carry_out(options, say, &mut exercise) {
        exercise.trouble.push(format!("{error:#}"));
    }
    exercise.millis = begin.elapsed().as_millis() as u64;
    exercise
}

/// Refuses a module that may break the kernel's rules: what is written here would tell it to.
fn demand_harmless() -> Result<()> {
    let name = format!("mn-inject.{}-harmless", std::process::id());
    let control = Open::new("control")?;
    let say = |line: String| {
        control
            .write(line.as_bytes(), 0)
            .with_context(|| format!("\"{line}\" failed"))
    };
    say(format!(
        "attach {} name={name} kind=none",
        std::process::id()
    ))?;
    // Without a notifier nothing comes of it, even where it is taken.
    let taken =
        Open::new(&format!("targets/{name}/remove")).map(|remove| remove.write(b"1", 0).is_ok());
    say(format!("detach {name}"))?;
    if taken? {
        bail!(
            "the module is loaded with breach=1, and what is written here would bring the machine down; load it without (rmmod {MODULE_NAME}, and once more)"
        );
    }
    Ok(())
}

fn carry_out(
    options: &FuzzOptions,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let waiter = Waiter::new().context("cannot block signals")?;
    let others = Open::new("control")?.read()?;
    if !others.is_empty() {
        bail!(
            "there are targets already, and this wants the module for itself; detach them, or load the module again:\n{others}"
        );
    }
    demand_harmless()?;
    let mut complaints = Complaints::listen()?;
    module_cases::run(Part::Quiet, &waiter, &mut complaints, say, exercise)?;

    let racing = options.writes / RACING;
    say("the first write");
    let mut fuzzer = Fuzzer::new(options, &waiter)?;
    // Said more often than anybody wants to hear it.
    let mut next = Instant::now();
    let mut say_at_times = |what: &str| {
        if Instant::now() >= next {
            say(what);
            next = Instant::now() + SAY_EVERY;
        }
    };
    let writes = options.writes - racing;
    let result = fuzzer.run(writes, &mut complaints, &mut say_at_times);
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
        let findings = race::run(share, options.seed, raced, &waiter)?;
        raced += share;
        if !findings.is_empty() {
            // What follows is more of the same.
            exercise.findings.extend(findings);
            break;
        }
    }
    exercise
        .operations
        .push(("concurrent writes".into(), raced));
    exercise.findings.extend(complaints.heard()?);
    module_cases::run(Part::Loud, &waiter, &mut complaints, say, exercise)
}
