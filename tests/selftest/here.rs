// SPDX-License-Identifier: GPL-2.0

//! Carries out a command on this machine.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use nix::unistd::geteuid;

use mn_inject::cli::run;
use mn_inject::model::Ownership;
use mn_inject::model::exit::Exit;
use mn_inject::os::kernel;
use mn_inject::report::format::SimpleFormat;

use crate::cli::Command;
use crate::module_cases::table;
use crate::perform::perform;
use crate::report::ExerciseReport;
use crate::task::Task;
use crate::usage::nothing_matches;
use crate::{TOOL, bench, hostile, report, stress, vm};

/// Carries out a command.
///
/// # Errors
///
/// The command could not be carried out; there is no result about the module.
pub fn carry_out(command: Command) -> Result<Exit> {
    match command {
        Command::Cases(args) if args.list => {
            io::stdout().write_all(table::markdown().as_bytes())?;
            Ok(Exit::Pass)
        }
        Command::Cases(args) => {
            let args = args.here;
            here(Task::Cases(args.options), args.module, args.format)
        }
        Command::Fuzz(args) => here(Task::Fuzz(args.options), args.module, args.format),
        Command::Stress(args) => here(Task::Stress(args.options), args.module, args.format),
        Command::Hostile(args) => here(Task::Hostile(args.options), args.module, args.format),
        Command::Flood(args) => here(Task::Flood(args.options), args.module, args.format),
        Command::Bench(args) => {
            let mut here_args = args.here;
            here_args.options.null = Some(args.null);
            here(
                Task::Bench(here_args.options),
                here_args.module,
                here_args.format,
            )
        }
        Command::Measured => bench::process::main().map(|()| Exit::Pass),
        Command::FailNth(args) => here(Task::FailNth(args.options), args.module, args.format),
        Command::Vm(command) => vm::main(command),
        Command::Run(args) => run::run(&args),
        Command::Process(process) => process.main(),
        Command::Condition(args) => hostile::main(&args).map(|()| Exit::Pass),
        Command::Victim(args) => stress::victim::main(&args).map(|()| Exit::Pass),
    }
}

fn here(task: Task, module: Option<PathBuf>, format: SimpleFormat) -> Result<Exit> {
    if let Some(why) = nothing_matches(&task) {
        eprintln!("{why}");
        return Ok(Exit::Usage);
    }
    if !geteuid().is_root() {
        bail!("{} needs root", task.name());
    }
    // Draws nothing if standard error is not a terminal.
    let bar = ProgressBar::new_spinner();
    let module = module.as_deref();
    let exercise = perform(&task, module, Ownership::Shared, &mut |said| {
        bar.set_message(said.to_owned())
    });
    bar.finish_and_clear();
    let report = ExerciseReport {
        schema: report::SCHEMA,
        tool: TOOL.to_owned(),
        task,
        again: report::command_line(),
        kernel: Some(kernel::info()),
        vm: None,
        exercise,
    };
    report
        .print(format, &mut io::stdout().lock())
        .context("cannot print the report")?;
    Ok(report.exit())
}
