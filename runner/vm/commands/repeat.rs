// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm run --times N`: whether a kernel has the same verdict each time.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::model::exit::Exit;
use crate::vm::boot::suite;
use crate::vm::boot::suite::Suite;
use crate::vm::build::kernel::Built;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;
use crate::vm::host::slots::Slots;

/// Runs the suite a number of times, each with a directory of its own below the output. Returns the
/// worst exit code.
pub fn run(times: u32, built: &Built, suite: &Suite<'_>, cache: &Cache, ui: &Ui) -> Result<Exit> {
    let slots = Slots::of_this_machine();
    let mut exits = Vec::new();
    let mut scenarios = 0;
    for number in 1..=times {
        let output = suite.output.join(format!("{number:04}"));
        cache::make_dir(&output)?;
        let suite = Suite {
            output: &output,
            ..suite.clone()
        };
        let ui = ui.of_run(format!("{number} of {times}"));
        let report = suite::judge(built, &suite, &slots, cache, &ui)?;
        let exit = report.exit();
        if exit != Exit::Pass {
            tell(number, exit, &report.problems(), &output)?;
        }
        scenarios = report.scenarios.len();
        exits.push(exit);
    }
    let passed = exits.iter().filter(|exit| **exit == Exit::Pass).count();
    let info = &built.info;
    writeln!(
        std::io::stdout(),
        "{passed} of {times} runs of {scenarios} scenarios passed on {}, {}, config {}",
        info.source,
        info.base,
        info.config
    )
    .context("cannot write to stdout")?;
    Ok(Exit::of_all(&exits))
}

/// Prints why a run is not a pass.
fn tell(number: u32, exit: Exit, reasons: &[String], output: &Path) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "run {number}: exit code {}", exit as u8)
        .and_then(|()| {
            reasons
                .iter()
                .try_for_each(|reason| writeln!(out, "      {}", reason.replace('\n', "; ")))
        })
        .and_then(|()| {
            writeln!(
                out,
                "      report: {}",
                output.join("report.json").display()
            )
        })
        .context("cannot write to stdout")
}
