// SPDX-License-Identifier: GPL-2.0

//! Carries out `stress` or `fuzz`, and asks the kernel afterwards whether all is well. Inside the
//! guest and on real hardware alike.

use std::path::Path;

use anyhow::Result;

use crate::aftermath;
use crate::exercise::{Exercise, Task};
use crate::inject::LoadedModule;
use crate::oracle::is_callback_warn;
use crate::watch::{Machine, Watch};
use crate::{fuzz, stress};

/// Does it with the module of that file; `fuzz` can do with one that is loaded already. `say` hears
/// every second how far it is.
pub fn perform(
    task: &Task,
    module: Option<&Path>,
    machine: Machine,
    say: &mut dyn FnMut(&str),
) -> Exercise {
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
    let aftermath = aftermath::of(watch, module, is_callback_warn);
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
            let module = module
                .map(|path| LoadedModule::load(path, c""))
                .transpose()?;
            Ok((fuzz::run(options, say), module))
        }
    }
}
