// SPDX-License-Identifier: GPL-2.0

//! A run of the stress: starts the workers, checks their progress until the time is over, and ends
//! them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use mn_inject::injector;
use mn_inject::injector::load::unload;
use mn_inject::os::cgroup;
use mn_inject::os::kernel;
use mn_inject::os::wait::Waiter;

use crate::exercise::Exercise;
use crate::stress::calls::{CALLBACKS, INJECTED};
use crate::stress::counts::Counts;
use crate::stress::leftovers::Subreaper;
use crate::stress::worker::Worker;
use crate::stress::workers::{Phase, Workers};
use crate::stress::world::World;
use crate::stress::{controller, keeper, leftovers, memory, reaping, reload};
use crate::task::StressOptions;

/// Number of workers that use the module's interface.
const CONTROLLERS: u64 = 4;

/// Time limit for a step of a worker. A worker that is stuck stays so, and a guest may have to share
/// its processors with a build, so this is much longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same on a kernel with lockdep, where everything takes longer.
const PATIENCE_DEBUG: Duration = Duration::from_secs(300);

/// Time between two checks of the workers and for the end of the run; at most
/// [`Limit::slice`](mn_inject::os::limit::Limit::slice).
const LOOK: Duration = Duration::from_millis(100);

/// Time between two lines of progress.
const SAY: Duration = Duration::from_secs(1);

/// Names of the counts besides the operations of the tables.
const EXTRAS: &[&str] = &[
    CALLBACKS,
    INJECTED,
    "attach to a held process",
    "attach: no such process",
    "oom kills",
    "pairs looked at",
    "process_mrelease calls",
    "process_mrelease refused",
    reload::REFUSED,
    reload::RELOADS,
    reload::WITH_FILES,
    reload::WITH_TARGETS,
];

/// Names of all counts.
fn names() -> impl Iterator<Item = &'static str> {
    memory::names()
        .chain(controller::TABLE.iter().map(|operation| operation.name))
        .chain(keeper::TABLE.iter().map(|operation| operation.name))
        .chain(reaping::MRELEASE.iter().map(|operation| operation.name))
        .chain(reaping::OOM.iter().map(|operation| operation.name))
        .chain(EXTRAS.iter().copied())
}

/// Runs the stress. `module` is the module's file, from which it is loaded again. At the end the
/// module is loaded if it was loaded before.
pub fn run(
    options: &StressOptions,
    module: &Path,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    check_machine()?;
    // Before any other thread starts, so that the signals are blocked in all of them.
    let waiter = Waiter::new().context("cannot block signals")?;
    if cgroup::missing().is_none() {
        cgroup::remove_stale(reaping::CGROUP_PREFIX)?;
    }
    // Children that a victim leaves behind become children of this process, which waits for them.
    let _subreaper = Subreaper::begin()?;
    let was_loaded = injector::is_there();
    if !was_loaded {
        reload::load(module, c"")?;
    }
    let result = with_module(options, module, &waiter, say, exercise);
    let left = leftovers::children_left();
    if !left.is_empty() {
        exercise.findings.push(format!("left behind: {left}"));
    }
    // If a worker is stuck, unloading would be, too.
    if result.is_ok() {
        if let Err(errno) = unload() {
            exercise
                .findings
                .push(format!("the module cannot be unloaded at the end: {errno}"));
        } else if was_loaded {
            reload::load(module, c"")?;
        }
    }
    result
}

fn check_machine() -> Result<()> {
    if !geteuid().is_root() {
        bail!("not root");
    }
    for file in ["panic_on_warn", "warn_limit"] {
        let on = kernel::number(&format!("/proc/sys/kernel/{file}"));
        if on.is_some_and(|on| on != 0) {
            bail!("{file} is set, and many of the failures end in a WARN");
        }
    }
    Ok(())
}

fn with_module(
    options: &StressOptions,
    module: &Path,
    waiter: &Waiter,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    if !injector::is_there() {
        bail!(
            "{} is not there: mount debugfs on /sys/kernel/debug",
            injector::FOLDER
        );
    }
    leftovers::remove_stale()?;
    let debug = Path::new("/proc/lockdep").exists();
    let world = Arc::new(World::new(
        options.seed,
        Counts::new(names()),
        if debug { PATIENCE_DEBUG } else { PATIENCE },
    ));
    let mut workers = Workers::new(world.clone());
    let ended = match start_workers(options, module, &mut workers) {
        Ok(()) => watch(options, waiter, &world, &mut workers, say),
        Err(error) => Err(error),
    };
    let mut said = Instant::now();
    let stuck = workers.end_all(|| {
        if said.elapsed() >= SAY {
            said = Instant::now();
            say("waiting for the workers to end");
        }
    });
    exercise.operations = world.counts.list();
    exercise.findings = world.findings();
    if stuck {
        bail!("a worker is stuck and holds the module, so nothing can be put away");
    }
    if let Err(error) = leftovers::detach_all() {
        exercise.findings.push(format!("{error:#}"));
    }
    ended
}

/// Starts all workers.
fn start_workers(options: &StressOptions, module: &Path, workers: &mut Workers) -> Result<()> {
    let world = workers.world().clone();
    let mut number = 0;
    let mut worker = |name: &str| {
        number += 1;
        Worker::new(world.clone(), name.to_owned(), number)
    };
    // The choices depend on the numbers, so another order changes the choices of a seed.
    workers.start(
        Phase::Last,
        worker("keeper"),
        keeper::begin,
        keeper::step,
        keeper::end,
    )?;
    let module = module.to_owned();
    let wanted = options.reloads;
    let mut took = Duration::ZERO;
    workers.start(
        Phase::First,
        worker("reloader"),
        |_| {},
        move |worker| reload::step(worker, &module, wanted, &mut took),
        |_| {},
    )?;
    workers.start(
        Phase::First,
        worker("mrelease"),
        |_| {},
        |worker| reaping::step(worker, reaping::MRELEASE),
        |_| {},
    )?;
    if cgroup::missing().is_none() {
        workers.start(
            Phase::First,
            worker("oom"),
            |_| {},
            |worker| reaping::step(worker, reaping::OOM),
            |_| {},
        )?;
    }
    for index in 0..CONTROLLERS {
        workers.start(
            Phase::First,
            worker(&format!("controller {index}")),
            |_| {},
            controller::step,
            controller::end,
        )?;
    }
    Ok(())
}

/// Checks the workers and victims until the time is over, the reloads are done, a worker is stuck,
/// or a signal comes.
fn watch(
    options: &StressOptions,
    waiter: &Waiter,
    world: &World,
    workers: &mut Workers,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let begin = Instant::now();
    let end = Duration::from_secs(options.seconds);
    let mut said = begin;
    while !world.is_stopping() && (options.reloads.is_some() || begin.elapsed() < end) {
        waiter.check()?;
        // At every look: of a longer gap, their limits count only a part.
        if !workers.goes_on() {
            break;
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            say(&progress(options, world, begin.elapsed()));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Makes a line of progress.
fn progress(options: &StressOptions, world: &World, elapsed: Duration) -> String {
    let counts = &world.counts;
    let of = match options.reloads {
        Some(wanted) => format!("{} of {wanted} reloads", counts.of(reload::RELOADS)),
        None => format!(
            "of {} s, {} reloads",
            options.seconds,
            counts.of(reload::RELOADS)
        ),
    };
    let done: u64 = counts
        .list()
        .iter()
        .filter(|(name, _)| !EXTRAS.contains(&name.as_str()))
        .map(|(_, count)| count)
        .sum();
    format!(
        "{} s {of}, {done} operations, {} callbacks, {} failures injected, {} targets, {} findings",
        elapsed.as_secs(),
        counts.of(CALLBACKS),
        counts.of(INJECTED),
        world.targets().len(),
        world.findings().len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut known = Vec::new();
        for name in names() {
            assert!(!known.contains(&name), "{name}");
            known.push(name);
        }
    }
}
