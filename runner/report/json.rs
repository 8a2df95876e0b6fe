// SPDX-License-Identifier: GPL-2.0

//! The whole report as JSON. The fields are described in docs/report.md.

use std::io::{self, Write};

use serde::Serialize;

/// Prints the report, with a newline at its end.
pub fn print(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
