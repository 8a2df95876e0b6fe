// SPDX-License-Identifier: GPL-2.0

//! Prints a report, and derives the exit code from it.

pub mod format;
pub mod human;
pub mod json;
mod ktap;
mod matrix;
mod mutants;
mod tally;
pub mod text;

use std::io::{self, Write};

use crate::model::Report;
use crate::model::exit::Exit;
use crate::model::matrix::MatrixReport;
use crate::oracle::mutants::MutantsReport;
use crate::report::format::{Format, SimpleFormat};

use tally::Tally;

/// Prints the report.
pub fn print(report: &Report, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human => human::print(report, out)?,
        Format::Ktap => ktap::print(report, out)?,
        Format::Json => json::print(report, out)?,
    }
    out.flush()
}

/// Prints what came of `vm matrix`.
pub fn print_matrix(
    report: &MatrixReport,
    format: SimpleFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        SimpleFormat::Human => matrix::print(report, out)?,
        SimpleFormat::Json => json::print(report, out)?,
    }
    out.flush()
}

/// Prints what came of `vm mutants`.
pub fn print_mutants(
    report: &MutantsReport,
    format: SimpleFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        SimpleFormat::Human => mutants::print(report, out)?,
        SimpleFormat::Json => json::print(report, out)?,
    }
    out.flush()
}

/// What an exit code means for the kernel.
pub const fn verdict_word(exit: Exit) -> &'static str {
    match exit {
        Exit::Pass => "PASS",
        Exit::Fail => "FAIL",
        Exit::Skip => "SKIP",
        _ => "NO VERDICT",
    }
}

/// The exit code.
///
/// | the run | the results | exit |
/// | --- | --- | --- |
/// | in trouble, or not one result for each planned scenario | any | 70 |
/// | whole | the form, a scenario or a unit test failed | 1 |
/// | whole | none failed, one has no verdict | 70 |
/// | whole | all scenarios skipped, or none planned | 4 |
/// | whole | the rest passed | 0 |
///
/// A unit test that passes says nothing about the kernel, so alone it makes no run a pass.
///
/// A failure outranks a missing verdict: its own evidence is sound, and the kernel is wrong
/// whatever the other scenario would have said.
pub fn exit(report: &Report) -> Exit {
    let tally = Tally::of(report);
    if !tally.problems.is_empty() {
        Exit::NoVerdict
    } else if tally.scenarios.failed + tally.unit_tests.failed > 0 || tally.form_failed {
        Exit::Fail
    } else if tally.scenarios.no_verdict + tally.unit_tests.no_verdict > 0 || tally.form_no_verdict
    {
        Exit::NoVerdict
    } else if tally.scenarios.passed == 0 {
        Exit::Skip
    } else {
        Exit::Pass
    }
}
