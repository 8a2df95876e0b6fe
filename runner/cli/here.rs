// SPDX-License-Identifier: GPL-2.0

//! Does what the command line says, on this machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use nix::unistd::geteuid;

use crate::cli::{Command, ListArgs, RunArgs, list, rules};
use crate::exercise::perform::perform;
use crate::exercise::{self, ExerciseReport, Task, hostile, stress};
use crate::model::exit::Exit;
use crate::model::{Part, Progress, RunOptions, TOOL};
use crate::observe::CGROUP_PREFIX;
use crate::observe::complaints::Ownership;
use crate::os::kernel;
use crate::report::format::{Format, SimpleFormat};
use crate::vm::build::stage;
use crate::{report, scenario, suite, trigger, vm};

/// Does a command.
///
/// # Errors
///
/// It could not be done; nothing was said about a kernel.
pub fn carry_out(command: Command) -> Result<Exit> {
    match command {
        Command::Run(args) => run_here(&args),
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

fn run_here(args: &RunArgs) -> Result<Exit> {
    let only: Vec<String> = match &args.alone {
        Some(name) => vec![name.clone()],
        None => args.suite.only.clone(),
    };
    if scenario::select(&only).is_empty() {
        eprintln!("{}", scenario::none_matches(&only));
        return Ok(Exit::Usage);
    }
    // Made before anything runs, so that a path that cannot be written costs nothing.
    let mut kept = match &args.output {
        None => None,
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            let path = dir.join("results.jsonl");
            let file =
                File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            Some((dir, path, BufWriter::new(file)))
        }
    };
    let options = RunOptions {
        expect: args.suite.expect,
        only,
        part: args
            .alone
            .as_ref()
            .map_or(Part::Together, |name| Part::Alone(name.clone())),
        disposable: args.disposable,
        allow_panic_on_warn: args.allow_panic_on_warn,
    };
    // Draws nothing where standard error is no terminal.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut lost = None;
    let module = args.module.as_deref();
    let report = suite::run(&options, module, Ownership::Shared, &mut |progress| {
        match progress {
            Progress::Begin { plan, .. } => bar.set_length(plan.len() as u64),
            Progress::Start { scenario, .. } => {
                bar.inc(1);
                bar.set_message(scenario.clone());
            }
            _ => {}
        }
        if let Some((_, _, file)) = &mut kept
            && let Err(error) = write_line(file, progress)
        {
            lost = Some(error);
        }
    })?;
    bar.finish_and_clear();

    if let Some((dir, path, mut file)) = kept {
        if let Some(error) = lost.or_else(|| file.flush().err()) {
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        let path = dir.join("report.json");
        let mut file = BufWriter::new(
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?,
        );
        report::print(&report, Format::Json, &mut file)
            .and_then(|()| file.flush())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    report::print(&report, args.suite.format, &mut io::stdout().lock())
        .context("cannot print the report")?;
    Ok(report::exit(&report))
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

fn write_line(file: &mut impl Write, progress: &Progress) -> io::Result<()> {
    serde_json::to_writer(&mut *file, progress)?;
    file.write_all(b"\n")
}
