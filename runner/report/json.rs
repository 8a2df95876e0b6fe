// SPDX-License-Identifier: GPL-2.0

//! Reports as JSON. docs/report.md describes the fields.

use std::io::{self, Write};

use serde::Serialize;

/// Writes the report as one JSON document with a newline at its end.
///
/// # Errors
///
/// A write to `out` fails.
pub fn print(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
