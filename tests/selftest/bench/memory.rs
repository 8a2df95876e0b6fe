// SPDX-License-Identifier: GPL-2.0

//! The memory of a target.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use mn_inject::injector::{LoadedModule, control_file};
use mn_inject::os::cgroup;
use mn_inject::os::cgroup::Cgroup;
use mn_inject::os::wait::Waiter;
use mn_inject::trigger::helper::{Answer, Helper};
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::bench::figure::Figure;
use crate::bench::process::STEP;
use crate::bench::run::Targets;

/// Number of targets that are attached. The kernel charges up to 64 pages in advance, so the figure
/// is exact to 2.6 kB.
const TARGETS: u64 = 100;

/// Memory limit of the cgroup in bytes.
const LIMIT: u64 = 256 << 20;

/// Sizes of the log that are measured: the default, and the least.
const LOGS: &[(&str, &std::ffi::CStr)] = &[
    ("memory of a target, log_kib=512", c"log_kib=512"),
    ("memory of a target, log_kib=4", c"log_kib=4"),
];

/// Measures how much a target is charged for.
///
/// # Errors
///
/// There is no memory cgroup, or a target cannot be attached.
pub fn figures(module: &Path, waiter: &Waiter, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    if let Some(why) = cgroup::missing() {
        anyhow::bail!("the memory of a target cannot be measured: {why}");
    }
    let mut figures = Vec::new();
    for (name, parameters) in LOGS {
        say(name);
        let loaded = LoadedModule::load(module, parameters)?;
        figures.push(Figure {
            name: (*name).to_owned(),
            value: charged(waiter, say)? / TARGETS,
            unit: "bytes".to_owned(),
            ratio: None,
        });
        drop(loaded);
    }
    Ok(figures)
}

/// Bytes that are charged to the process that attaches the targets.
fn charged(waiter: &Waiter, say: &mut dyn FnMut(&str)) -> Result<u64> {
    let subject = Subject::start(Operation::Hold, waiter, STEP)?;
    let name = format!("mn-inject.{}-bench", std::process::id());
    let cgroup = Cgroup::new(&name, LIMIT)?;
    let mut helper = Helper::start()?;
    cgroup.add(helper.pid())?;
    let mut targets = Targets::new("memory", subject.pid());
    let mut attach = |targets: &mut Targets| -> Result<()> {
        let line = targets.next("plain");
        let answer = helper.write(&control_file(), &line, waiter, STEP)?;
        ensure!(answer == Answer::Done(0), "\"{line}\": {answer}");
        Ok(())
    };
    // The first one also pays for what is allocated once.
    attach(&mut targets)?;
    let before = cgroup.charged()?;
    for _ in 0..TARGETS {
        attach(&mut targets)?;
    }
    let charged = cgroup.charged()?.checked_sub(before);
    targets.detach(say)?;
    // Waits for the process, which must end before its cgroup can be removed.
    drop(helper);
    subject.finish(waiter, STEP)?;
    charged.context("less was charged than before")
}
