// SPDX-License-Identifier: GPL-2.0

//! Carries out `stress` or `fuzz`. Inside the guest and on real hardware alike.

use std::path::Path;

use anyhow::Result;

use crate::exercise::{Exercise, Task};
use crate::inject::LoadedModule;
use crate::{fuzz, stress};

/// Does it with the module of that file; `fuzz` can do with one that is loaded already. `say` hears
/// every second how far it is.
pub fn perform(task: &Task, module: Option<&Path>, say: &mut dyn FnMut(&str)) -> Exercise {
    try_perform(task, module, say).unwrap_or_else(|error| Exercise {
        trouble: vec![format!("{error:#}")],
        ..Exercise::default()
    })
}

fn try_perform(task: &Task, module: Option<&Path>, say: &mut dyn FnMut(&str)) -> Result<Exercise> {
    match (task, module) {
        (Task::Stress(options), Some(module)) => Ok(stress::run(options, module, say)),
        (Task::Stress(_), None) => anyhow::bail!("stress loads the module itself: say which"),
        (Task::Fuzz(options), module) => {
            let _module = module.map(LoadedModule::load).transpose()?;
            Ok(fuzz::run(options, say))
        }
    }
}
