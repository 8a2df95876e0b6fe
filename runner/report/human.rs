// SPDX-License-Identifier: GPL-2.0

//! Report for a person: a table, with the evidence for every result that is no pass below it.

use std::io::{self, Write};

use crate::model::exit::Exit;
use crate::model::{
    Form, KernelInfo, Recognised, Report, ScenarioResult, Tally, UnitTest, Verdict, VmInfo,
};
use crate::report::text::{evidence, one_line, seconds, verdict_word};

/// Indentation of the lines under a scenario.
const INDENT: &str = "      ";

/// Maximum number of complaints of the kernel that are printed; the JSON report has all.
const COMPLAINTS: usize = 3;

pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    head(
        &report.tool,
        report.kernel.as_ref(),
        report.vm.as_ref(),
        out,
    )?;
    let demanded = match report.expect {
        None => "",
        Some(Form::Seed) => ", seed demanded",
        Some(Form::Mainline) => ", mainline demanded",
    };
    fact(out, "check", &format!("{}{demanded}", report.form))?;
    writeln!(out)?;
    table(report, out)?;
    unit_tests(&report.unit_tests, out)?;
    behind(report, out)?;
    closing(report, out)
}

/// Prints only the results that are no pass, and the closing lines.
pub(super) fn why_no_pass(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut wrong = report.unit_tests.clone();
    wrong.retain(|test| test.verdict != Verdict::Pass);
    unit_tests(&wrong, out)?;
    behind(report, out)?;
    closing(report, out)
}

/// Writes a line of the head of a report: a name and its value.
pub fn fact(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<9}{}", one_line(value))
}

/// Writes the head of a report: the tool, the kernel and the virtual machine.
pub fn head(
    tool: &str,
    kernel: Option<&KernelInfo>,
    vm: Option<&VmInfo>,
    out: &mut dyn Write,
) -> io::Result<()> {
    fact(out, "tool", tool)?;
    match kernel {
        Some(kernel) => {
            let text = format!("{} {} {}", kernel.release, kernel.machine, kernel.version);
            fact(out, "kernel", &text)?;
        }
        None => fact(out, "kernel", "never answered")?,
    }
    match vm {
        Some(vm) => machine(vm, out),
        None => Ok(()),
    }
}

/// The source of a kernel, marked where this program was not tested with it.
pub(super) fn source(vm: &VmInfo) -> String {
    let mark = if vm.tested { "" } else { " (untested)" };
    format!("{}{mark}", vm.source)
}

/// Writes the lines about the virtual machine.
fn machine(vm: &VmInfo, out: &mut dyn Write) -> io::Result<()> {
    let text = format!("{}, {}, config {}", source(vm), vm.base, vm.config);
    fact(out, "source", &text)?;
    for line in &vm.config_add {
        fact(out, "option", line)?;
    }
    if let Some(commit) = &vm.commit {
        fact(out, "commit", commit)?;
    }
    for patch in &vm.patches {
        fact(out, "patch", patch)?;
    }
    let why = if vm.accelerator_reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", vm.accelerator_reason)
    };
    fact(out, "vm", &format!("{}{why}", vm.accelerator))
}

/// Writes the verdicts: a table with a row for each trigger and a column for each setting of the
/// injector, and below it a line for each case of the contract.
fn table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<(String, Vec<(String, &'static str)>)> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let mut cases = Vec::new();
    for scenario in &report.scenarios {
        let Some(setting) = &scenario.setting else {
            cases.push(scenario);
            continue;
        };
        let (trigger, setting) = (one_line(&scenario.trigger), one_line(setting).into_owned());
        if !columns.contains(&setting) {
            columns.push(setting.clone());
        }
        let cell = (setting, word(&scenario.verdict));
        match rows.iter_mut().find(|(name, _)| *name == trigger) {
            Some((_, cells)) => cells.push(cell),
            None => rows.push((trigger.into_owned(), vec![cell])),
        }
    }

    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = width.max(Recognised::RESULT.len());
    let mut header = format!("{:<width$}", "");
    for column in &columns {
        header.push_str(&format!("  {column:<WORD$}"));
    }
    writeln!(out, "{}", header.trim_end())?;
    writeln!(
        out,
        "{:<width$}  {}",
        Recognised::RESULT,
        word(&report.form_verdict)
    )?;
    for (name, cells) in &rows {
        let mut row = format!("{name:<width$}");
        for column in &columns {
            // Two results with one name make the run "no verdict"; the last of them is shown.
            let cell = cells.iter().rev().find(|(setting, _)| setting == column);
            let cell = cell.map_or("", |(_, word)| word);
            row.push_str(&format!("  {cell:<0$}", column.len().max(WORD)));
        }
        writeln!(out, "{}", row.trim_end())?;
    }
    writeln!(out)?;
    for scenario in &cases {
        writeln!(
            out,
            "{:<WORD$}  {}",
            word(&scenario.verdict),
            one_line(&scenario.name)
        )?;
    }
    if !cases.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Writes a line for each of these unit tests of the module.
fn unit_tests(tests: &[UnitTest], out: &mut dyn Write) -> io::Result<()> {
    for test in tests {
        writeln!(out, "{}  {}", word(&test.verdict), one_line(&test.name))?;
        if test.verdict != Verdict::Pass {
            details(out, &test.verdict)?;
        }
    }
    if !tests.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the evidence for every result that is no pass, and the lines of other drivers.
fn behind(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_empty = true;
    if !matches!(report.form_verdict, Verdict::Pass) {
        writeln!(out, "{}  kernel-form", word(&report.form_verdict))?;
        details(out, &report.form_verdict)?;
        is_empty = false;
    }
    for scenario in &report.scenarios {
        if let Verdict::Skip { reason } = &scenario.verdict {
            match skipped.iter_mut().find(|(known, _)| known == reason) {
                Some((_, names)) => names.push(&scenario.name),
                None => skipped.push((reason, vec![&scenario.name])),
            }
            continue;
        }
        let is_plain = scenario.foreign.is_empty() && scenario.bug_gone.is_none();
        if scenario.verdict == Verdict::Pass && is_plain {
            continue;
        }
        is_empty = false;
        writeln!(out, "{}  {}", word(&scenario.verdict), counts(scenario))?;
        details(out, &scenario.verdict)?;
        if let Some(bug) = &scenario.bug_gone {
            writeln!(out, "{INDENT}the known bug is gone: {}", one_line(bug))?;
        }
        for foreign in &scenario.foreign {
            writeln!(out, "{INDENT}of another driver: {}", one_line(foreign))?;
        }
    }
    for (reason, names) in &skipped {
        is_empty = false;
        let names = match names.as_slice() {
            names if names.len() > 3 => format!("{} scenarios", names.len()),
            names => names.join(", "),
        };
        writeln!(out, "SKIP  {}: {}", one_line(&names), one_line(reason))?;
    }
    if !is_empty {
        writeln!(out)?;
    }
    Ok(())
}

/// The name of a scenario with its numbers.
fn counts(scenario: &ScenarioResult) -> String {
    let name = one_line(&scenario.name);
    match &scenario.observation {
        Some(o) => format!(
            "{name} ({} calls, {} made to fail, {} messages matched)",
            o.counters().calls,
            o.counters().injected,
            scenario.matched.len()
        ),
        None => name.into_owned(),
    }
}

/// Width of the longest word for a verdict.
const WORD: usize = 4;

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail { .. } => "FAIL",
        Verdict::KnownBug { .. } => "BUG",
        Verdict::NoVerdict { .. } => "????",
        Verdict::Skip { .. } => "SKIP",
    }
}

/// Writes the evidence for a verdict.
fn details(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Fail { findings } => evidence(findings)
            .iter()
            .try_for_each(|line| writeln!(out, "{INDENT}{line}")),
        Verdict::KnownBug { reason, findings } => {
            writeln!(out, "{INDENT}known bug of the kernel: {}", one_line(reason))?;
            evidence(findings)
                .iter()
                .try_for_each(|line| writeln!(out, "{INDENT}{line}"))
        }
        Verdict::NoVerdict { reasons } => reasons
            .iter()
            .try_for_each(|reason| writeln!(out, "{INDENT}no verdict: {}", one_line(reason))),
        Verdict::Skip { reason } => writeln!(out, "{INDENT}{}", one_line(reason)),
    }
}

/// Writes what concerns the run as a whole: trouble, complaints, logs, and the verdict with the
/// counts.
fn closing(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let tally = Tally::of(report);
    for problem in &tally.problems {
        writeln!(out, "no verdict on the run: {}", one_line(problem))?;
    }
    for complaint in report.complaints.iter().take(COMPLAINTS) {
        writeln!(out, "{}:", one_line(&complaint.what))?;
        for line in &complaint.lines {
            writeln!(out, "{INDENT}{}", one_line(line))?;
        }
    }
    let exit = report.exit();
    if exit != Exit::Pass
        && let Some(vm) = &report.vm
    {
        for (what, path) in &vm.logs {
            writeln!(out, "{what}: {path}")?;
        }
    }
    if let Some(coverage) = &report.coverage {
        let (reached, all) = (coverage.reached, coverage.sites.len());
        writeln!(
            out,
            "coverage: {reached} of {all} functions that call notifiers"
        )?;
    }
    let verdict = verdict_word(exit);
    let missing = match tally.missing {
        0 => String::new(),
        missing => format!(", {missing} never ran"),
    };
    let scenarios = &tally.scenarios;
    let known_bugs = match scenarios.known_bugs {
        0 => String::new(),
        1 => ", 1 known bug of the kernel".to_owned(),
        count => format!(", {count} known bugs of the kernel"),
    };
    let unit_tests = match report.unit_tests.len() {
        0 => String::new(),
        count => format!("; {} of {count} unit tests passed", tally.unit_tests.passed),
    };
    writeln!(
        out,
        "{verdict}: {} of {} scenarios passed, {} failed, {} without a verdict, {} skipped\
         {known_bugs}{missing}{unit_tests} ({} s)",
        scenarios.passed,
        report.planned - report.unit_tests.len().min(report.planned),
        scenarios.failed,
        scenarios.no_verdict,
        scenarios.skipped,
        seconds(report.millis),
    )
}
