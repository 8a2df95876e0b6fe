// SPDX-License-Identifier: GPL-2.0

//! The report of an exercise as text.

use std::io::{self, Write};

use mn_inject::model::exit::Exit;
use mn_inject::report::human::{fact, head};
use mn_inject::report::text::{one_line, seconds};
use mn_inject::report::verdict_word;

use crate::bench::figure::Figure;
use crate::exercise::{CaseResult, CaseVerdict};
use crate::report::ExerciseReport;

/// Number of findings that are printed; the JSON report has all.
const SHOWN: usize = 20;

pub(super) fn print(report: &ExerciseReport, out: &mut dyn Write) -> io::Result<()> {
    let name = report.task.name();
    head(
        &report.tool,
        report.kernel.as_ref(),
        report.vm.as_ref(),
        out,
    )?;
    if let Some(seed) = report.task.seed() {
        fact(out, "seed", &seed.to_string())?;
    }
    fact(out, "again", &report.again)?;
    writeln!(out)?;

    let done = &report.exercise;
    cases(&done.cases, out)?;
    figures(&done.figures, out)?;
    let width = done.operations.iter().map(|(name, _)| name.len()).max();
    for (operation, count) in &done.operations {
        let width = width.unwrap_or_default();
        writeln!(out, "{:<width$}  {count:>10}", one_line(operation))?;
    }
    if !done.operations.is_empty() {
        writeln!(out)?;
    }
    for finding in done.findings.iter().take(SHOWN) {
        // A complaint of the kernel has many lines.
        let mut lines = finding.lines();
        writeln!(out, "FAIL  {}", one_line(lines.next().unwrap_or_default()))?;
        for line in lines {
            writeln!(out, "      {}", one_line(line))?;
        }
    }
    if let Some(more @ 1..) = done.findings.len().checked_sub(SHOWN) {
        writeln!(out, "and {more} more findings; the JSON report has them")?;
    }
    for trouble in &done.trouble {
        writeln!(out, "no verdict on the {name}: {}", one_line(trouble))?;
    }
    let exit = report.exit();
    if exit != Exit::Pass
        && let Some(vm) = &report.vm
    {
        for (what, path) in &vm.logs {
            writeln!(out, "{what}: {path}")?;
        }
    }
    let verdict = verdict_word(exit);
    write!(out, "{verdict}: {name}, ")?;
    if !done.cases.is_empty() {
        let skipped = done.cases_of(CaseVerdict::Skipped);
        write!(out, "{} cases ({skipped} skipped), ", done.cases.len())?;
    }
    if !done.operations.is_empty() {
        let count: u64 = done.operations.iter().map(|(_, count)| count).sum();
        write!(out, "{count} operations, ")?;
    }
    writeln!(
        out,
        "{} findings ({} s)",
        done.wrong(),
        seconds(done.millis)
    )
}

/// Prints one line for each case, and below it the reasons if it is not ok.
fn cases(cases: &[CaseResult], out: &mut dyn Write) -> io::Result<()> {
    for case in cases {
        let word = match case.verdict {
            CaseVerdict::Ok => "ok",
            CaseVerdict::Finding => "FAIL",
            CaseVerdict::Skipped => "skip",
            CaseVerdict::NoVerdict => "no verdict",
        };
        writeln!(out, "{word:<10}  {}", one_line(&case.name))?;
        for line in case.why.iter().flat_map(|why| why.lines()) {
            writeln!(out, "{:<10}  {}", "", one_line(line))?;
        }
    }
    if !cases.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Prints one line for each figure.
fn figures(figures: &[Figure], out: &mut dyn Write) -> io::Result<()> {
    let width = figures.iter().map(|figure| figure.name.len()).max();
    for figure in figures {
        let width = width.unwrap_or_default();
        let name = one_line(&figure.name);
        write!(out, "{name:<width$}  {:>10} {}", figure.value, figure.unit)?;
        if let Some(ratio) = &figure.ratio {
            write!(out, ", {ratio}")?;
        }
        writeln!(out)?;
    }
    if !figures.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}
