// SPDX-License-Identifier: GPL-2.0

//! Report of `vm matrix` for a person: a table with a row for each run, and below it the evidence
//! for every run that is no pass.

use std::io::{self, Write};

use crate::model::exit::Exit;
use crate::model::matrix::{MatrixReport, MatrixRun};
use crate::model::{Counts, Tally};
use crate::report::human::{fact, source, why_no_pass};
use crate::report::text::{one_line, seconds, table, verdict_word};

/// Columns with counts of scenarios.
#[expect(clippy::type_complexity, reason = "a table of names and fields")]
const COUNTS: &[(&str, fn(&Counts) -> usize)] = &[
    ("passed", |count| count.passed),
    ("failed", |count| count.failed),
    ("no verdict", |count| count.no_verdict),
    ("skipped", |count| count.skipped),
    ("known bugs", |count| count.known_bugs),
];

/// Cell of a run without a report.
const NOTHING: &str = "-";

pub(super) fn print(report: &MatrixReport, out: &mut dyn Write) -> io::Result<()> {
    fact(out, "tool", &report.tool)?;
    writeln!(out)?;
    let mut rows = vec![header()];
    rows.extend(report.runs.iter().map(row));
    table(&rows, out)?;
    for run in &report.runs {
        if run.exit() != Exit::Pass {
            behind(run, out)?;
        }
    }
    let exits: Vec<_> = report.runs.iter().map(MatrixRun::exit).collect();
    let count = |wanted: &[Exit]| exits.iter().filter(|exit| wanted.contains(exit)).count();
    let (passed, failed) = (count(&[Exit::Pass]), count(&[Exit::Fail]));
    let skipped = count(&[Exit::Skip]);
    writeln!(
        out,
        "\n{}: {passed} of {} runs passed, {failed} failed, {} without a verdict, {skipped} skipped",
        verdict_word(report.exit()),
        exits.len(),
        exits.len() - passed - failed - skipped,
    )
}

fn header() -> Vec<String> {
    let counts = COUNTS.iter().map(|(name, _)| *name);
    ["kernel", "source", "base", "config", "verdict"]
        .into_iter()
        .chain(counts)
        .chain(["seconds", "report"])
        .map(str::to_owned)
        .collect()
}

fn row(run: &MatrixRun) -> Vec<String> {
    let report = run.report.as_ref();
    let vm = report.and_then(|report| report.vm.as_ref());
    let tally = report.map(Tally::of);
    let nothing = || NOTHING.to_owned();
    // The name of the package repeats the name of the kernel.
    let version = vm.map(source).map(|text| match text.split_once(' ') {
        Some((_, version)) => version.to_owned(),
        None => text,
    });
    let mut row = vec![
        run.kernel.clone(),
        version.unwrap_or_else(nothing),
        run.base.clone(),
        run.config.clone(),
        verdict_word(run.exit()).to_owned(),
    ];
    row.extend(COUNTS.iter().map(|(_, of)| {
        let tally = tally.as_ref();
        tally.map_or_else(nothing, |tally| of(&tally.scenarios).to_string())
    }));
    row.push(report.map_or_else(nothing, |report| seconds(report.millis)));
    let path = vm.and_then(|vm| vm.log("report"));
    row.push(path.map_or_else(nothing, str::to_owned));
    row
}

/// Writes why a run is no pass.
fn behind(run: &MatrixRun, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n== {} {} {}", run.kernel, run.base, run.config)?;
    if let Some(error) = &run.error {
        // The lines after the first are the end of a log.
        let mut lines = error.lines();
        let first = lines.next().unwrap_or_default();
        writeln!(out, "no verdict on the run: {}", one_line(first))?;
        for line in lines {
            writeln!(out, "{}", one_line(line))?;
        }
    }
    match &run.report {
        Some(report) => why_no_pass(report, out),
        None => Ok(()),
    }
}
