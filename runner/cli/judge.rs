// SPDX-License-Identifier: GPL-2.0

//! `mn-inject judge`: the report of runs that were kept.

use std::fs;
use std::io::{self, Write};

use anyhow::{Context as _, Result};

use crate::cli::JudgeArgs;
use crate::model::Recording;
use crate::model::exit::Exit;
use crate::{oracle, report};

/// Judges each file, and prints its report.
///
/// # Errors
///
/// A file cannot be read; then nothing is printed of any.
pub fn run(args: &JudgeArgs) -> Result<Exit> {
    let mut recordings = Vec::new();
    for path in &args.files {
        let read = || format!("cannot judge {}", path.display());
        let text = fs::read(path).with_context(read)?;
        let text = String::from_utf8_lossy(&text);
        let recording = Recording::read(&text)
            .map_err(anyhow::Error::msg)
            .with_context(read)?;
        recordings.push((path, recording));
    }
    let mut out = io::stdout().lock();
    let mut exits = Vec::new();
    for (path, recording) in &recordings {
        let expect = args.expect.or(recording.run.expect);
        let report = oracle::run::report(recording, expect);
        if recordings.len() > 1 {
            eprintln!("== {}", path.display());
        }
        report::print(&report, args.format, &mut out).context("cannot print the report")?;
        exits.push(report.exit());
    }
    out.flush().context("cannot print the report")?;
    Ok(match exits.as_slice() {
        [exit] => *exit,
        exits => Exit::of_all(exits),
    })
}
