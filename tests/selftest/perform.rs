// SPDX-License-Identifier: GPL-2.0

//! Carries out an exercise, and asks the kernel afterwards whether all is well. Inside the
//! guest and on real hardware alike.

use std::path::Path;

use anyhow::Result;

use mn_inject::injector::LoadedModule;
use mn_inject::model::Ownership;
use mn_inject::observe::complaints::Watch;
use mn_inject::observe::teardown;
use mn_inject::oracle::is_callback_warn;

use crate::exercise::Exercise;
use crate::task::Task;
use crate::{flood, fuzz, hostile, stress};

/// Does it with the module of that file; `fuzz` and `flood` can do with one that is loaded already. `say` hears
/// every second how far it is.
pub fn perform(
    task: &Task,
    module: Option<&Path>,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
) -> Exercise {
    // What disturbs the runs there fills the log, too; each run watches it for itself.
    if let Task::Hostile(options) = task {
        let Some(module) = module else {
            return Exercise {
                trouble: vec!["hostile loads the module itself: say which".to_owned()],
                ..Exercise::default()
            };
        };
        return hostile::run(options, module, machine, say);
    }
    let mut watch = Watch::begin(machine);
    let carried_out = carry_out(task, module, &mut |said| {
        // Before it is overwritten: failures fill the log quickly.
        watch.catch_up(is_callback_warn);
        say(said);
    });
    let (mut exercise, module) = carried_out.unwrap_or_else(|error| {
        let exercise = Exercise {
            trouble: vec![format!("{error:#}")],
            ..Exercise::default()
        };
        (exercise, None)
    });
    say("asking the kernel whether all is well");
    let aftermath = teardown::unload(watch, module, is_callback_warn);
    let complaints = aftermath.complaints.into_iter().map(|complaint| {
        let lines = complaint.lines.join("\n");
        format!("the kernel complained ({}): {lines}", complaint.what)
    });
    exercise.findings.extend(complaints);
    exercise.trouble.extend(aftermath.doubts);
    exercise
}

/// What came of it, and the module where it was loaded here and is so still.
fn carry_out(
    task: &Task,
    module: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<(Exercise, Option<LoadedModule>)> {
    match (task, module) {
        (Task::Stress(options), Some(module)) => Ok((stress::run(options, module, say), None)),
        (Task::Stress(_), None) => anyhow::bail!("stress loads the module itself: say which"),
        (Task::Fuzz(options), module) => {
            let module = load(module)?;
            Ok((fuzz::run(options, say), module))
        }
        (Task::Flood(options), module) => {
            let module = load(module)?;
            Ok((flood::run(options, say), module))
        }
        (Task::Hostile(_), _) => anyhow::bail!("hostile watches for itself"),
    }
}

fn load(module: Option<&Path>) -> Result<Option<LoadedModule>> {
    let load = |path| LoadedModule::load(path, c"");
    module.map(load).transpose()
}
