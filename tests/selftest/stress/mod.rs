// SPDX-License-Identifier: GPL-2.0

//! Everything that can be done with the module, by many processes and threads at once, at random.
//!
//! Each worker and each victim draws what it does next from a stream of its own that comes of the
//! seed: on as many processors, the same seed makes the same choices. In which order they meet is
//! the kernel's affair, and whom a choice hits depends on who is there by then, so two runs are
//! alike but not the same.
//!
//! What is wrong is a finding: an error that nothing explains, a counter that goes back, a line
//! that is not as documented, a start without an end, a worker or victim that stands still. What
//! the kernel says in its log is for the caller to judge.

pub mod attach;
pub mod choice;
pub mod controller;
pub mod counts;
pub mod errno;
pub mod held;
pub mod keeper;
pub mod knobs;
pub mod parse;
pub mod reads;
pub mod reaping;
pub mod reload;
pub mod session;
pub mod victim;
pub mod victims;
pub mod watch;
pub mod worker;
pub mod world;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::geteuid;

use mn_inject::injector;
use mn_inject::os::cgroup;
use mn_inject::os::kernel;
use mn_inject::os::wait::Waiter;

use crate::exercise::Exercise;
use crate::stress::counts::Counts;
use crate::stress::watch::{Crew, Phase};
use crate::stress::worker::{CALLBACKS, INJECTED, Worker};
use crate::stress::world::World;
use crate::task::StressOptions;

/// The device whose open files are sessions.
pub const DEVICE: &str = "/dev/mmu_notifier_inject";

/// How many workers use the module as people do.
const CONTROLLERS: u64 = 4;

/// How long a worker may stand still, and on a kernel with lock checks, where all takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_DEBUG: Duration = Duration::from_secs(60);

/// Time between two looks at everybody.
const LOOK: Duration = Duration::from_millis(100);

/// Time between two lines of progress.
const SAY: Duration = Duration::from_secs(1);

/// What is counted besides the operations of the tables.
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

/// Everything that is counted.
fn names() -> impl Iterator<Item = &'static str> {
    victim::names()
        .chain(controller::TABLE.iter().map(|operation| operation.name))
        .chain(keeper::TABLE.iter().map(|operation| operation.name))
        .chain(reaping::MRELEASE.iter().map(|operation| operation.name))
        .chain(reaping::OOM.iter().map(|operation| operation.name))
        .chain(EXTRAS.iter().copied())
}

/// Works on the module for a while. `module` is its file: it is loaded again from there, and at the
/// end it is as loaded as it was before.
pub fn run(options: &StressOptions, module: &Path, say: &mut dyn FnMut(&str)) -> Exercise {
    let begin = Instant::now();
    let mut exercise = Exercise::default();
    if let Err(error) = try_run(options, module, say, &mut exercise) {
        exercise.trouble.push(format!("{error:#}"));
    }
    exercise.millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    exercise
}

fn try_run(
    options: &StressOptions,
    module: &Path,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    check_machine()?;
    // Before any thread, so that all of them leave the signals to this one.
    let waiter = Waiter::new().context("cannot block signals")?;
    if cgroup::missing().is_none() {
        cgroup::remove_stale(reaping::CGROUP_PREFIX)?;
    }
    // Whoever a victim leaves behind comes to us, to be waited for.
    let _subreaper = Subreaper::begin()?;
    let was_loaded = injector::is_there();
    if !was_loaded {
        reload::load(module, "")?;
    }
    let result = with_module(options, module, &waiter, say, exercise);
    let left = children_left();
    if !left.is_empty() {
        exercise.findings.push(format!("left behind: {left}"));
    }
    // Where something hangs, unloading would, too.
    if result.is_ok() {
        if let Err(errno) = reload::unload() {
            exercise
                .findings
                .push(format!("the module cannot be unloaded at the end: {errno}"));
        } else if was_loaded {
            reload::load(module, "")?;
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
    remove_stale()?;
    let debug = Path::new("/proc/lockdep").exists();
    let world = Arc::new(World::new(
        options.seed,
        Counts::new(names()),
        if debug { PATIENCE_DEBUG } else { PATIENCE },
    ));
    let mut crew = Crew::new(world.clone());
    let ended = match hire(options, module, &mut crew) {
        Ok(()) => watch(options, waiter, &world, &mut crew, say),
        Err(error) => Err(error),
    };
    let mut said = Instant::now();
    let stuck = crew.dismiss(|| {
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
    if let Err(error) = detach_all() {
        exercise.findings.push(format!("{error:#}"));
    }
    ended
}

/// Starts all workers.
fn hire(options: &StressOptions, module: &Path, crew: &mut Crew) -> Result<()> {
    let world = crew.world().clone();
    let mut number = 0;
    let mut worker = |name: &str| {
        number += 1;
        Worker::new(world.clone(), name.to_owned(), number)
    };
    // The numbers decide the choices, so the order is part of what a seed means.
    crew.start(
        Phase::Last,
        worker("keeper"),
        keeper::begin,
        keeper::step,
        keeper::end,
    )?;
    let module = module.to_owned();
    let wanted = options.reloads;
    let mut took = Duration::ZERO;
    crew.start(
        Phase::First,
        worker("reloader"),
        |_| {},
        move |worker| reload::step(worker, &module, wanted, &mut took),
        |_| {},
    )?;
    crew.start(
        Phase::First,
        worker("mrelease"),
        |_| {},
        |worker| reaping::step(worker, reaping::MRELEASE),
        |_| {},
    )?;
    if cgroup::missing().is_none() {
        crew.start(
            Phase::First,
            worker("oom"),
            |_| {},
            |worker| reaping::step(worker, reaping::OOM),
            |_| {},
        )?;
    }
    for index in 0..CONTROLLERS {
        crew.start(
            Phase::First,
            worker(&format!("controller {index}")),
            |_| {},
            controller::step,
            controller::end,
        )?;
    }
    Ok(())
}

/// Looks at everybody until the time is over, the reloads are done, somebody is stuck, or a signal
/// comes.
fn watch(
    options: &StressOptions,
    waiter: &Waiter,
    world: &World,
    crew: &mut Crew,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let begin = Instant::now();
    let end = Duration::from_secs(options.seconds);
    let mut said = begin;
    while !world.is_stopping() && (options.reloads.is_some() || begin.elapsed() < end) {
        waiter.check()?;
        if said.elapsed() >= SAY {
            said = Instant::now();
            say(&progress(options, world, begin.elapsed()));
            if !crew.goes_on() {
                break;
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// One line about how far it is.
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

/// Whether the process that attached it is gone, for a target of an earlier run that was killed.
fn is_stale(name: &str) -> bool {
    name.strip_prefix("stress.")
        .and_then(|rest| rest.split('.').next())
        .is_some_and(kernel::is_dead)
}

fn control(line: &str) -> Result<()> {
    let path = worker::root("control");
    fs::write(&path, line).with_context(|| format!("{line:?} > {}", path.display()))
}

fn listed() -> Result<Vec<String>> {
    let path = worker::root("control");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse::list(&text)
}

/// Detaches what an earlier run left because it was killed. Everything else is somebody's, and
/// would be lost when the module is unloaded.
fn remove_stale() -> Result<()> {
    for name in listed()? {
        if !is_stale(&name) {
            bail!("the target {name} is not ours, and unloading the module would detach it");
        }
        control(&format!("detach {name}"))?;
    }
    Ok(())
}

/// Detaches everything that is left, and looks that nothing is then.
fn detach_all() -> Result<()> {
    for name in listed()? {
        control(&format!("detach {name}"))?;
    }
    let path = worker::root("targets");
    let left: Vec<_> = fs::read_dir(&path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    if !left.is_empty() {
        bail!("all targets are detached, but there is {left:?}");
    }
    Ok(())
}

/// Which of our children still run, now that none should. Waits for those that have ended.
fn children_left() -> String {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => break,
            Err(Errno::ECHILD) => return String::new(),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return format!("waiting for children failed with {errno}"),
        }
    }
    let own = std::process::id();
    let path = format!("/proc/self/task/{own}/children");
    // An option of the kernel; without it at least that somebody is there.
    fs::read_to_string(path).unwrap_or_else(|_| "some process".into())
}

/// Processes whose parent has ended become our children while this exists.
struct Subreaper {
    before: bool,
}

impl Subreaper {
    fn begin() -> Result<Self> {
        let before = prctl::get_child_subreaper().context("PR_GET_CHILD_SUBREAPER failed")?;
        prctl::set_child_subreaper(true).context("PR_SET_CHILD_SUBREAPER failed")?;
        Ok(Subreaper { before })
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        // It was set by the same call before.
        let _ = prctl::set_child_subreaper(self.before);
    }
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

    #[test]
    fn only_what_a_dead_run_left_is_stale() {
        assert!(!is_stale(&format!("stress.{}.7", std::process::id())));
        assert!(is_stale("stress.4194305.7"));
        assert!(!is_stale("mn-inject.4194305-7"));
        assert!(!is_stale("4194305"));
    }
}
