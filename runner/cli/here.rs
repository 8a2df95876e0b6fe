// SPDX-License-Identifier: GPL-2.0

//! Does what the command line says, on this machine.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use nix::unistd::geteuid;

use crate::cli::{Command, ListArgs, judge, list, rules, run};
use crate::exercise::perform::perform;
use crate::exercise::{self, ExerciseReport, Task, hostile, stress};
use crate::model::Ownership;
use crate::model::TOOL;
use crate::model::exit::Exit;
use crate::observe::CGROUP_PREFIX;
use crate::os::kernel;
use crate::report::format::SimpleFormat;
use crate::vm::build::stage;
use crate::{report, scenario, trigger, vm};

/// Does a command.
///
/// # Errors
///
/// It could not be done; nothing was said about a kernel.
pub fn carry_out(command: Command) -> Result<Exit> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::List(args) => list_scenarios(&args),
        Command::Stress(args) => {
            exercise_here(Task::Stress(args.options), Some(&args.module), args.format)
        }
        Command::Fuzz(args) => exercise_here(
            Task::Fuzz(args.options),
            args.module.as_deref(),
            args.format,
        ),
        Command::Hostile(args) => {
            exercise_here(Task::Hostile(args.options), Some(&args.module), args.format)
        }
        Command::Flood(args) => exercise_here(
            Task::Flood(args.options),
            args.module.as_deref(),
            args.format,
        ),
        Command::Vm(command) => vm::main(command),
        Command::Target => trigger::subject::main().map(|()| Exit::Pass),
        Command::Helper => trigger::helper::main().map(|()| Exit::Pass),
        Command::Guard => trigger::guard::main(CGROUP_PREFIX).map(|()| Exit::Pass),
        Command::Condition(args) => hostile::main(&args).map(|()| Exit::Pass),
        Command::Victim(args) => stress::victim::main(&args).map(|()| Exit::Pass),
    }
}

fn list_scenarios(args: &ListArgs) -> Result<Exit> {
    if args.rules {
        rules::print(args.format, &mut io::stdout().lock())?;
        return Ok(Exit::Pass);
    }
    let scenarios = scenario::select(&args.only);
    if scenarios.is_empty() {
        eprintln!("{}", scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    list::print(&scenarios, args.format, &mut io::stdout().lock())?;
    Ok(Exit::Pass)
}

fn exercise_here(task: Task, module: Option<&Path>, format: SimpleFormat) -> Result<Exit> {
    if !geteuid().is_root() {
        bail!("{} needs root", task.name());
    }
    // Draws nothing where standard error is no terminal.
    let bar = ProgressBar::new_spinner();
    let exercise = perform(&task, module, Ownership::Shared, &mut |said| {
        bar.set_message(said.to_owned())
    });
    bar.finish_and_clear();
    let report = ExerciseReport {
        schema: exercise::SCHEMA,
        tool: TOOL.to_owned(),
        task,
        again: stage::command_line(),
        kernel: Some(kernel::info()),
        vm: None,
        exercise,
    };
    report::print_exercise(&report, format, &mut io::stdout().lock())
        .context("cannot print the report")?;
    Ok(report.exit())
}
