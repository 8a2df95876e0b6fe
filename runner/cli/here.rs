// SPDX-License-Identifier: GPL-2.0

//! Does what the command line says, on this machine.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Command, ListArgs, Process, RunArgs, list, rules};
use crate::model::exit::Exit;
use crate::model::{Part, Progress, RunOptions};
use crate::observe::CGROUP_PREFIX;
use crate::observe::watch::Ownership;
use crate::report::format::Format;
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
        Command::Vm(command) => vm::main(command),
        Command::Process(process) => process.main(),
    }
}

impl Process {
    /// Is that process, to its end.
    ///
    /// # Errors
    ///
    /// It cannot do what it is told.
    pub fn main(self) -> Result<Exit> {
        match self {
            Process::Target => trigger::subject::main(),
            Process::Helper => trigger::helper::main(),
            Process::Guard => trigger::guard::main(CGROUP_PREFIX),
        }?;
        Ok(Exit::Pass)
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

/// Runs the scenarios on the kernel that is running.
///
/// # Errors
///
/// They could not be run, or the report cannot be written.
pub fn run_here(args: &RunArgs) -> Result<Exit> {
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

fn write_line(file: &mut impl Write, progress: &Progress) -> io::Result<()> {
    serde_json::to_writer(&mut *file, progress)?;
    file.write_all(b"\n")
}
