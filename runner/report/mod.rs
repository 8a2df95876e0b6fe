// SPDX-License-Identifier: GPL-2.0

//! Prints a report, and derives the exit code from it.

pub mod format;
pub mod human;
pub mod json;
mod ktap;
mod matrix;
mod mutants;
pub mod recorder;
pub mod text;

use std::io::{self, Write};

use crate::model::Report;
use crate::model::exit::Exit;
use crate::model::matrix::MatrixReport;
use crate::oracle::mutants::MutantsReport;
use crate::report::format::{Format, SimpleFormat};

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

/// The exit code of a report.
pub fn exit(report: &Report) -> Exit {
    report.exit()
}
