// SPDX-License-Identifier: GPL-2.0

//! Report as KTAP version 1 (Documentation/dev-tools/ktap.rst). It is not nested, as some parsers
//! lose the names of the parents.
//!
//! Test 1 is the form of the check. A run that proves nothing as a whole fails there, so the KTAP
//! output alone does not look like a pass.

use std::io::{self, Write};

use crate::model::{Recognised, Report, Tally, Verdict};
use crate::report::text::{evidence, one_line};

pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let tally = Tally::of(report);
    let mut totals = Totals::default();
    writeln!(out, "KTAP version 1")?;
    writeln!(out, "1..{}", report.planned + 1)?;

    let form = if !tally.problems.is_empty() {
        &Verdict::NoVerdict {
            reasons: tally.problems.clone(),
        }
    } else if report.form_verdict == Verdict::Pass
        && tally.scenarios.passed + tally.scenarios.failed == 0
    {
        // The form alone must not make a run without results look like a pass.
        &Verdict::Skip {
            reason: "no scenario passed or failed".to_owned(),
        }
    } else {
        &report.form_verdict
    };
    diagnostic(out, &format!("form: {}", report.form))?;
    result(out, 1, Recognised::RESULT, form, &mut totals)?;
    for (number, scenario) in (2..).zip(&report.scenarios) {
        for line in &scenario.foreign {
            diagnostic(out, &format!("of another driver: {line}"))?;
        }
        if let Some(bug) = &scenario.bug_gone {
            diagnostic(out, &format!("the known bug is gone: {bug}"))?;
        }
        result(out, number, &scenario.name, &scenario.verdict, &mut totals)?;
    }
    for (number, test) in (2 + report.scenarios.len()..).zip(&report.unit_tests) {
        result(out, number, &test.name, &test.verdict, &mut totals)?;
    }

    totals.error += tally.missing;
    let Totals {
        pass,
        fail,
        xfail,
        skip,
        error,
    } = totals;
    writeln!(
        out,
        "# Totals: pass:{pass} fail:{fail} xfail:{xfail} xpass:0 skip:{skip} error:{error}"
    )
}

#[derive(Default)]
struct Totals {
    pass: usize,
    fail: usize,
    xfail: usize,
    skip: usize,
    error: usize,
}

/// Writes a result line after its evidence: parsers assign the lines before it to the test.
fn result(
    out: &mut dyn Write,
    number: usize,
    name: &str,
    verdict: &Verdict,
    totals: &mut Totals,
) -> io::Result<()> {
    // A '#' would start a directive, and some parsers change other characters.
    let name: String = name
        .chars()
        .map(|c| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' => c,
            _ => '_',
        })
        .collect();
    match verdict {
        Verdict::Pass => {
            totals.pass += 1;
            writeln!(out, "ok {number} {name}")
        }
        Verdict::Fail { findings } => {
            totals.fail += 1;
            for line in evidence(findings) {
                diagnostic(out, &line)?;
            }
            writeln!(out, "not ok {number} {name}")
        }
        Verdict::KnownBug { reason, findings } => {
            totals.xfail += 1;
            for line in evidence(findings) {
                diagnostic(out, &line)?;
            }
            let reason = one_line(reason);
            writeln!(out, "not ok {number} {name} # XFAIL {reason}")
        }
        Verdict::NoVerdict { reasons } => {
            totals.error += 1;
            for reason in reasons {
                diagnostic(out, &format!("no verdict: {reason}"))?;
            }
            writeln!(out, "not ok {number} {name} # ERROR no verdict")
        }
        Verdict::Skip { reason } => {
            totals.skip += 1;
            let reason = one_line(reason);
            writeln!(out, "ok {number} {name} # SKIP {reason}")
        }
    }
}

/// Writes a diagnostic line. Text that a parser would take for a line of its own is changed.
fn diagnostic(out: &mut dyn Write, line: &str) -> io::Result<()> {
    let mut line = one_line(line).into_owned();
    // kunit.py searches every line for these, and stops reading there.
    for end in [
        "List of all partitions:",
        "Kernel panic - not syncing: VFS:",
        "reboot: System halted",
    ] {
        line = line.replace(end, &end.replace(": ", ":").replace(' ', "_"));
    }
    // "# Subtest:" would start a nested test.
    if line.starts_with("Subtest:") {
        line.insert(0, '_');
    }
    writeln!(out, "# {line}")
}
