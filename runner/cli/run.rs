// SPDX-License-Identifier: GPL-2.0

//! `mn-inject run`: runs the scenarios on the running kernel.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::RunArgs;
use crate::model::exit::Exit;
use crate::model::{
    Event, Ownership, Part, Progress, Recording, RunEvent, RunOptions, SCHEMA, TOOL,
};
use crate::report::format::Format;
use crate::report::recorder::Recorder;
use crate::scenario::{self, Scenario};
use crate::{oracle, report, suite};

/// Runs the scenarios, judges the recording, and prints the report. The exit code is that of the
/// report; [`Exit::Usage`] where no scenario matches.
///
/// # Errors
///
/// The scenarios could not be run, or the recording or the report could not be written.
pub fn run(args: &RunArgs) -> Result<Exit> {
    let only: Vec<String> = match &args.alone {
        Some(name) => vec![name.clone()],
        None => args.suite.only.clone(),
    };
    let selected = scenario::select(&only);
    if selected.is_empty() {
        eprintln!("{}", scenario::none_matches(&only));
        return Ok(Exit::Usage);
    }
    // Before the run, so that a path that cannot be written is an early error.
    let recorder = match &args.output {
        None => None,
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            Some(Recorder::create(&dir.join("results.jsonl"))?)
        }
    };
    let options = RunOptions {
        only,
        part: args
            .alone
            .as_ref()
            .map_or(Part::Together, |name| Part::Alone(name.clone())),
        disposable: args.disposable,
        allow_panic_on_warn: args.allow_panic_on_warn,
    };
    let run = RunEvent {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        expect: args.suite.expect,
        scenarios: selected.iter().map(Scenario::name).collect(),
        parts: vec![options.part.clone()],
    };
    let recording = record(run, &options, args, recorder.as_ref())?;
    let report = oracle::run::report(&recording, args.suite.expect);
    if let Some(dir) = &args.output {
        let path = dir.join("report.json");
        File::create(&path)
            .and_then(|file| {
                let mut file = BufWriter::new(file);
                report::print(&report, Format::Json, &mut file)?;
                file.flush()
            })
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    report::print(&report, args.suite.format, &mut io::stdout().lock())
        .context("cannot print the report")?;
    Ok(report.exit())
}

/// Carries out the scenarios, and shows progress on a terminal. Every line is added to the recording
/// and, if there is one, to the file.
fn record(
    run: RunEvent,
    options: &RunOptions,
    args: &RunArgs,
    recorder: Option<&Recorder>,
) -> Result<Recording> {
    let begin = Instant::now();
    // It draws nothing if standard error is no terminal.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut recording = Recording::new(run.clone());
    let mut first_error = None;
    let mut keep = |recording: Option<&mut Recording>, event: Event| {
        let kept = recorder.map_or(Ok(()), |recorder| recorder.add(&event));
        let taken = recording.map_or(Ok(()), |recording| {
            recording.take(event).map_err(anyhow::Error::msg)
        });
        if let Err(error) = kept.and(taken) {
            first_error.get_or_insert(error);
        }
    };
    keep(None, Event::Run(run));
    let part = &options.part;
    suite::run(
        options,
        args.module.as_deref(),
        Ownership::Shared,
        &mut |sent| {
            match &sent {
                Progress::Begin { plan, .. } => bar.set_length(plan.len() as u64),
                Progress::Start { scenario, .. } => {
                    bar.inc(1);
                    bar.set_message(scenario.clone());
                }
                _ => {}
            }
            let part = part.clone();
            keep(Some(&mut recording), Event::Boot { part, sent });
        },
    )?;
    bar.finish_and_clear();
    let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    keep(
        Some(&mut recording),
        Event::Host {
            vm: None,
            millis,
            sites: Vec::new(),
        },
    );
    match first_error {
        Some(error) => Err(error),
        None => Ok(recording),
    }
}
