// SPDX-License-Identifier: GPL-2.0

//! A table that a person reads at a glance, with the evidence under every failure.

use std::io::{self, Write};

use crate::exit::Exit;
use crate::model::{Expect, Report, ScenarioResult, Verdict, VmInfo};

use super::tally::Tally;
use super::text::{evidence, one_line};

/// Where the text of a scenario's lines starts.
const INDENT: &str = "      ";

pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    head(report, out)?;
    table(report, out)?;
    closing(report, out)
}

fn fact(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<9}{}", one_line(value))
}

fn head(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    fact(out, "tool", &report.tool)?;
    match &report.kernel {
        Some(kernel) => {
            let text = format!("{} {} {}", kernel.release, kernel.machine, kernel.version);
            fact(out, "kernel", &text)?;
        }
        None => fact(out, "kernel", "never answered")?,
    }
    if let Some(vm) = &report.vm {
        machine(vm, out)?;
    }
    let demanded = match report.expect {
        Expect::Auto => "",
        Expect::Seed => ", seed demanded",
        Expect::Mainline => ", mainline demanded",
    };
    fact(out, "check", &format!("{}{demanded}", report.form))?;
    writeln!(out)
}

fn machine(vm: &VmInfo, out: &mut dyn Write) -> io::Result<()> {
    let text = format!("{}, {}, config {}", vm.source, vm.base, vm.config);
    fact(out, "source", &text)?;
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

fn table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    const NAME: &str = "scenario";
    let names = report.scenarios.iter().map(|scenario| scenario.name.len());
    let width = names.max().unwrap_or(0).max("kernel-form".len());
    writeln!(
        out,
        "{INDENT}{NAME:<width$}  {:>7} {:>8} {:>8}",
        "calls", "injected", "matched"
    )?;
    line(out, &report.form_verdict, "kernel-form")?;
    details(out, &report.form_verdict)?;
    for scenario in &report.scenarios {
        line(out, &scenario.verdict, &row(scenario, width))?;
        details(out, &scenario.verdict)?;
        for foreign in &scenario.foreign {
            writeln!(out, "{INDENT}of another driver: {}", one_line(foreign))?;
        }
    }
    writeln!(out)
}

fn row(scenario: &ScenarioResult, width: usize) -> String {
    let name = one_line(&scenario.name);
    match &scenario.observation {
        Some(o) => format!(
            "{name:<width$}  {:>7} {:>8} {:>8}",
            o.counters.calls,
            o.counters.injected,
            scenario.matched.len()
        ),
        None => name.into_owned(),
    }
}

fn line(out: &mut dyn Write, verdict: &Verdict, text: &str) -> io::Result<()> {
    let word = match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail { .. } => "FAIL",
        Verdict::NoVerdict { .. } => "????",
        Verdict::Skip { .. } => "SKIP",
    };
    writeln!(out, "{word}  {text}")
}

fn details(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Fail { findings } => evidence(findings)
            .iter()
            .try_for_each(|line| writeln!(out, "{INDENT}{line}")),
        Verdict::NoVerdict { reasons } => reasons
            .iter()
            .try_for_each(|reason| writeln!(out, "{INDENT}no verdict: {}", one_line(reason))),
        Verdict::Skip { reason } => writeln!(out, "{INDENT}{}", one_line(reason)),
    }
}

fn closing(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let tally = Tally::of(report);
    for problem in &tally.problems {
        writeln!(out, "no verdict on the run: {}", one_line(problem))?;
    }
    let exit = super::exit(report);
    if exit != Exit::Pass
        && let Some(vm) = &report.vm
    {
        for (what, path) in &vm.logs {
            writeln!(out, "{what}: {path}")?;
        }
    }
    let verdict = match exit {
        Exit::Pass => "PASS",
        Exit::Fail => "FAIL",
        Exit::Skip => "SKIP",
        _ => "NO VERDICT",
    };
    let missing = match tally.missing {
        0 => String::new(),
        missing => format!(", {missing} never ran"),
    };
    writeln!(
        out,
        "{verdict}: {} of {} scenarios passed, {} failed, {} without a verdict, {} skipped{missing} \
         ({}.{} s)",
        tally.passed,
        report.planned,
        tally.failed,
        tally.no_verdict,
        tally.skipped,
        report.millis / 1000,
        report.millis % 1000 / 100,
    )
}
