// SPDX-License-Identifier: GPL-2.0

//! All walks of a run.

use std::path::Path;

use anyhow::{Result, ensure};

use mn_inject::injector::LoadedModule;
use mn_inject::injector::load::demand_absent;
use mn_inject::os::wait::Waiter;

use crate::complaints::Complaints;
use crate::exercise::Exercise;
use crate::fail_nth::faults::Faults;
use crate::fail_nth::table::{Walk, select};
use crate::fail_nth::tolerated::TOLERATED;
use crate::fail_nth::walk::{Counts, Tools};
use crate::fail_nth::world::Stage;
use crate::module_cases::rig::Rig;
use crate::task::FailNthOptions;

/// Makes the walks of the task with the module of that file and adds the operations and findings
/// to `exercise`.
///
/// # Errors
///
/// Something could not be used; this is trouble and not a finding.
pub fn run(
    options: &FailNthOptions,
    module: &Path,
    waiter: &Waiter,
    complaints: &mut Complaints<'_>,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let mut counts = Counts::default();
    let done = walks(options, module, waiter, complaints, say, &mut counts);
    for (operation, count) in [
        ("walks", counts.walks),
        ("walks skipped", counts.skipped),
        ("walks that left out the last faults", counts.cut),
        ("faults injected", counts.faults),
        (
            "calls that failed with the errno of the fault",
            counts.failed,
        ),
        (
            "loads that succeeded after a fault in the kernel's part",
            counts.in_kernel,
        ),
        ("faults that the kernel did not print", counts.unseen),
    ] {
        exercise.operations.push((operation.into(), count));
    }
    for one in TOLERATED {
        let count = counts.tolerated.get(one.why).copied();
        let operation = format!("{}: {}", one.functions[0], one.why);
        exercise
            .operations
            .push((operation, count.unwrap_or_default()));
    }
    exercise.findings.append(&mut counts.findings);
    exercise.trouble.append(&mut counts.trouble);
    done
}

fn walks(
    options: &FailNthOptions,
    module: &Path,
    waiter: &Waiter,
    complaints: &mut Complaints<'_>,
    say: &mut dyn FnMut(&str),
    counts: &mut Counts,
) -> Result<()> {
    demand_absent()?;
    let rig = &Rig::new(waiter, Some(module));
    let faults = &Faults::new()?;
    let (loading, others): (Vec<Walk>, Vec<Walk>) = select(&options.only)
        .into_iter()
        .partition(|walk| walk.loads);
    let loaded = LoadedModule::load(module, c"")?;
    let stage = Stage::new(rig);
    let mut tools = Tools {
        stage: &stage,
        faults,
        complaints,
    };
    for walk in &others {
        counts.walk(walk, &mut tools, say)?;
    }
    drop(stage);
    drop(loaded);
    ensure!(demand_absent().is_ok(), "the module could not be unloaded");
    let stage = Stage::new(rig);
    let mut tools = Tools {
        stage: &stage,
        faults,
        complaints,
    };
    for walk in &loading {
        counts.walk(walk, &mut tools, say)?;
    }
    Ok(())
}
