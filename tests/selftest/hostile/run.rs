// SPDX-License-Identifier: GPL-2.0

//! The sequence: an undisturbed run, one run under each condition, and the kills.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use mn_inject::injector::LoadedModule;
use mn_inject::model::Ownership;
use mn_inject::model::exit::Exit;
use mn_inject::os::wait::Waiter;
use mn_inject::scenario;

use crate::exercise::Exercise;
use crate::hostile::compare::{compare, without_verdict};
use crate::hostile::condition::{Condition, ConditionArgs, Disturber};
use crate::hostile::conditions::CONDITIONS;
use crate::hostile::kills;
use crate::hostile::trial::Trials;
use crate::task::HostileOptions;

/// Carries out the hostile task with the module of that file.
pub fn run(
    options: &HostileOptions,
    module: &Path,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    if scenario::select(&options.only).is_empty() {
        bail!("{}", scenario::none_matches(&options.only));
    }
    let chosen: Vec<&Condition> = match options.condition.as_slice() {
        [] => CONDITIONS.iter().collect(),
        names => CONDITIONS
            .iter()
            .filter(|condition| names.iter().any(|name| name == condition.name))
            .collect(),
    };
    let waiter = Waiter::new().context("cannot block signals")?;
    let mut trials = Trials::new(options, machine, &waiter, say)?;

    let loaded = LoadedModule::load(module, c"breach=1")?;
    let baseline = trials.undisturbed(None)?;
    if baseline.exit() == Exit::NoVerdict {
        bail!(
            "undisturbed there is no verdict on this kernel already: {}",
            without_verdict(&baseline).join("; ")
        );
    }
    exercise.operations.push((
        "scenarios undisturbed".to_owned(),
        baseline.verdicts().count() as u64,
    ));
    for condition in chosen {
        let disturbed = trials.disturbed(condition)?;
        let compared = compare(condition.name, &baseline, &disturbed.report);
        for (what, count) in [
            (condition.unit, disturbed.acts),
            ("scenarios with the same verdict", compared.same),
            ("scenarios without a verdict", compared.open),
        ] {
            let name = format!("{}: {what}", condition.name);
            exercise.operations.push((name, count));
        }
        exercise.findings.extend(compared.findings);
        exercise.findings.extend(disturbed.finding);
        if disturbed.acts == 0 {
            exercise.trouble.push(format!(
                "{}: it never came to disturb anything",
                condition.name
            ));
        }
    }
    drop(loaded);

    kills::run(options, module, &baseline, &mut trials, exercise)
}

/// Body of the process of a [`Disturber`].
pub fn main(args: &ConditionArgs) -> Result<()> {
    let condition = CONDITIONS
        .iter()
        .find(|condition| condition.name == args.name)
        .with_context(|| format!("there is no condition {:?}", args.name))?;
    Disturber::main(condition, args)
}
