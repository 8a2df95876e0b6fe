// SPDX-License-Identifier: GPL-2.0

//! `mn-inject judge`: makes the reports of recorded runs again, without the kernel.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cli::JudgeArgs;
use crate::model::exit::Exit;
use crate::model::{Recording, Report};
use crate::oracle;
use crate::report;
use crate::report::format::Format;
use crate::report::text::one_line;

/// The argument that stands for standard input.
const STDIN: &str = "-";

/// Prints the report of each recording. The exit code is that of the report, or of all together:
/// [`Exit::of_all()`].
///
/// # Errors
///
/// A file cannot be read or is no recording, or a report cannot be printed. All files are read
/// before the first report is printed.
pub fn run(args: &JudgeArgs) -> Result<Exit> {
    let recordings = recordings(&args.files)?;
    let several = recordings.len() > 1;
    let mut out = io::stdout().lock();
    let mut exits = Vec::new();
    for (name, recording) in &recordings {
        let expect = args.expect.or(recording.run.expect);
        let report = oracle::run::report(recording, expect);
        let name = several.then_some(name.as_str());
        print(name, &report, args.format, &mut out).context("cannot print the report")?;
        exits.push(report.exit());
    }
    Ok(match exits.as_slice() {
        [exit] => *exit,
        exits => Exit::of_all(exits),
    })
}

/// Reads recordings, each with its name.
///
/// # Errors
///
/// A file cannot be read, or is no recording.
pub(super) fn recordings(files: &[PathBuf]) -> Result<Vec<(String, Recording)>> {
    let mut recordings = Vec::new();
    for path in files {
        let name = name(path);
        let recording = read(path).with_context(|| format!("cannot judge {name}"))?;
        recordings.push((name, recording));
    }
    Ok(recordings)
}

/// The name of an input, as messages have it.
fn name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        one_line(&path.display().to_string()).into_owned()
    }
}

fn read(path: &Path) -> Result<Recording> {
    let file = if path == Path::new(STDIN) {
        let mut file = Vec::new();
        io::stdin().lock().read_to_end(&mut file)?;
        file
    } else if path.is_dir() {
        bail!("it is a directory; name the results.jsonl in it");
    } else {
        fs::read(path)?
    };
    Recording::read(&file).map_err(anyhow::Error::msg)
}

/// Prints a report, under its name where there are several. The name is part of the text for a
/// person; the other formats have no place for it, so it goes to standard error.
fn print(
    name: Option<&str>,
    report: &Report,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    match (name, format) {
        (None, _) => {}
        (Some(name), Format::Human) => writeln!(out, "== {name}")?,
        (Some(name), Format::Ktap | Format::Json) => eprintln!("== {name}"),
    }
    report::print(report, format, out)
}
