// SPDX-License-Identifier: GPL-2.0

//! Prints a result in the format that the user chose.

use std::io::{self, Write};

use serde::Serialize;

use crate::model::Report;
use crate::model::matrix::MatrixReport;
use crate::oracle::mutants::MutantsReport;
use crate::report::format::{Format, SimpleFormat};
use crate::report::{human, json, ktap, matrix, mutants};

/// Prints the report of a run, and flushes `out`.
///
/// # Errors
///
/// A write to `out` fails.
pub fn print(report: &Report, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human => human::print(report, out)?,
        Format::Ktap => ktap::print(report, out)?,
        Format::Json => json::print(report, out)?,
    }
    out.flush()
}

/// A result that is printed as text for a person, or as JSON with all of its fields.
pub trait Human: Serialize {
    /// Writes the text for a person.
    ///
    /// # Errors
    ///
    /// A write to `out` fails.
    fn human(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl Human for MatrixReport {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        matrix::print(self, out)
    }
}

impl Human for MutantsReport {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        mutants::print(self, out)
    }
}

/// Prints a result that has no form in KTAP, and flushes `out`.
///
/// # Errors
///
/// A write to `out` fails.
pub fn print_simple(
    result: &impl Human,
    format: SimpleFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        SimpleFormat::Human => result.human(out)?,
        SimpleFormat::Json => json::print(result, out)?,
    }
    out.flush()
}
