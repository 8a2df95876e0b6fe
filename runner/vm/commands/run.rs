// SPDX-License-Identifier: GPL-2.0

//! `vm run`: runs the scenarios on one kernel.

use std::io::Write;

use anyhow::{Context, Result};

use crate::model::Report;
use crate::model::exit::Exit;
use crate::report::format::Format;
use crate::scenario;
use crate::vm::args::VmRunArgs;
use crate::vm::boot::suite::{self, Suite};
use crate::vm::build::kernel::is_of_kernel;
use crate::vm::build::provide::{Needs, provide};
use crate::vm::commands::repeat;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::output;
use crate::vm::host::progress::Ui;
use crate::vm::host::slots::Slots;

/// `vm run`
pub fn run(args: &VmRunArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.suite.only).is_empty() {
        ui.text(&scenario::none_matches(&args.suite.only));
        return Ok(Exit::Usage);
    }
    let cache = Cache::open()?;
    // First, as the build takes long: an output directory that cannot be written is an early error.
    let output = output(args.output.as_deref(), &cache)?;
    let built = match provide(&args.kernel, Needs::default(), &cache, ui) {
        Err(error) if args.git_bisect && is_of_kernel(&error) => {
            ui.text(&format!(
                "mn-inject: this kernel cannot be tested: {error:#}"
            ));
            return Ok(Exit::Untestable);
        }
        built => built?,
    };
    let suite = Suite {
        expect: args.suite.expect,
        only: &args.suite.only,
        accel: args.accel,
        append: args.append.as_deref(),
        output: &output,
    };
    if args.times > 1 {
        let exit = repeat::run(args.times, &built, &suite, &cache, ui)?;
        ui.line("output", &output.display().to_string());
        return Ok(exit);
    }
    let report = suite::judge(&built, &suite, &Slots::of_this_machine(), &cache, ui)?;
    show(&report, args.suite.format)?;
    ui.line("output", &output.display().to_string());
    Ok(report.exit())
}

fn show(report: &Report, format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    crate::report::print(report, format, &mut out)
        .and_then(|()| out.flush())
        .context("cannot write the report to stdout")
}
