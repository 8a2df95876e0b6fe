// SPDX-License-Identifier: GPL-2.0

//! Carries out a task, then checks the kernel's log, the same inside the guest and on real
//! hardware.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use mn_inject::injector::load::demand_file;
use mn_inject::injector::{LoadedModule, is_there};
use mn_inject::model::{MODULE_NAME, Ownership};
use mn_inject::observe::complaints::Watch;
use mn_inject::observe::teardown;
use mn_inject::oracle::is_callback_warn;
use mn_inject::os::wait::Waiter;

use crate::complaints::{self, Complaints};
use crate::exercise::Exercise;
use crate::module_cases::rig::Rig;
use crate::module_cases::{self, Part};
use crate::task::Task;
use crate::{bench, fail_nth, flood, fuzz, hostile, stress};

/// Carries out the task with the module of that file, which `stress`, `hostile` and `bench` load
/// themselves; `cases`, `fuzz` and `flood` can also use a
/// module that is already loaded. `say` is called every second with the progress.
pub fn perform(
    task: &Task,
    module: Option<&Path>,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
) -> Exercise {
    let begin = Instant::now();
    let mut exercise = Exercise::default();
    if let Err(error) = carry_out(task, module, machine, say, &mut exercise) {
        exercise.trouble.push(format!("{error:#}"));
    }
    exercise.millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    exercise
}

fn carry_out(
    task: &Task,
    module: Option<&Path>,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    // The conditions there fill the log, too; each run watches the log itself.
    if let Task::Hostile(options) = task {
        let module = demanded(module, task)?;
        return hostile::run(options, module, machine, say, exercise);
    }
    let mut watch = Watch::begin(machine);
    let mut loaded = None;
    let done = watched(task, module, &mut watch, &mut loaded, say, exercise);
    say("asking the kernel whether all is well");
    let aftermath = teardown::unload(watch, loaded, is_callback_warn);
    let complaints = aftermath.complaints.iter().map(complaints::text);
    exercise.findings.extend(complaints);
    exercise.trouble.extend(aftermath.doubts);
    done
}

/// Carries out a task while the kernel's log is watched. `loaded` receives the module if it is
/// loaded here.
fn watched(
    task: &Task,
    module: Option<&Path>,
    watch: &mut Watch,
    loaded: &mut Option<LoadedModule>,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    // These load and unload the module themselves.
    if !matches!(task, Task::Stress(_) | Task::Bench(_) | Task::FailNth(_)) {
        let load = |path| LoadedModule::load(path, c"");
        *loaded = module.map(load).transpose()?;
    }
    let mut catching_up = |watch: &mut Watch, said: &str| {
        // Failures fill the log quickly: read it before it is overwritten.
        watch.catch_up(is_callback_warn);
        say(said);
    };
    match task {
        Task::Cases(_) | Task::Fuzz(_) => step_by_step(task, module, watch, say, exercise),
        Task::Stress(options) => {
            let module = demanded(module, task)?;
            let say = &mut |said: &str| catching_up(watch, said);
            stress::run(options, module, say, exercise)
        }
        Task::Flood(options) => {
            let say = &mut |said: &str| catching_up(watch, said);
            flood::run(options, say, exercise)
        }
        Task::Bench(options) => {
            let module = demanded(module, task)?;
            let say = &mut |said: &str| catching_up(watch, said);
            bench::run(options, module, say, exercise)
        }
        Task::FailNth(options) => {
            let module = demanded(module, task)?;
            let waiter = Waiter::new().context("cannot block signals")?;
            let complaints = &mut Complaints::new(watch);
            fail_nth::run(options, module, &waiter, complaints, say, exercise)
        }
        Task::Hostile(_) => bail!("hostile watches for itself"),
    }
}

/// Runs the module's cases, and between the quiet and the loud ones the writes of the fuzz. The
/// kernel's complaints are read after each step.
fn step_by_step(
    task: &Task,
    module: Option<&Path>,
    watch: &mut Watch,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let waiter = Waiter::new().context("cannot block signals")?;
    let mut complaints = Complaints::new(watch);
    // Complaints about loading the module belong to no step.
    exercise.findings.extend(complaints.since_last());
    let rig = Rig::new(&waiter, module);
    let only = match task {
        Task::Cases(options) => options.only.as_slice(),
        _ => {
            fuzz::demand_no_targets()?;
            &[]
        }
    };
    module_cases::demand_harmless()?;
    module_cases::run(Part::Quiet, only, &rig, &mut complaints, say, exercise)?;
    if let Task::Fuzz(options) = task {
        fuzz::run(options, &waiter, &mut complaints, say, exercise)?;
    }
    module_cases::run(Part::Loud, only, &rig, &mut complaints, say, exercise)
}

/// The module's file, for a task that loads the module itself, perhaps many times.
fn demanded<'a>(module: Option<&'a Path>, task: &Task) -> Result<&'a Path> {
    let name = task.name();
    let module = module.with_context(|| format!("{name} loads the module itself: say which"))?;
    if is_there() {
        bail!(
            "the module is loaded already, and {name} loads it itself: unload it first \
             (rmmod {MODULE_NAME})"
        );
    }
    demand_file(module, MODULE_NAME)?;
    Ok(module)
}
