// SPDX-License-Identifier: GPL-2.0

//! The report of `vm mutants` for people: a row for each mutant, and below the table whatever is not
//! as it should be.

use std::io::{self, Write};

use crate::oracle::mutants::{Fate, MutantRun, MutantsReport};

use crate::report::human::fact;
use crate::report::text::{one_line, seconds, shortened, table};
use crate::report::verdict_word;

pub(super) fn print(report: &MutantsReport, out: &mut dyn Write) -> io::Result<()> {
    fact(out, "tool", &report.tool)?;
    fact(out, "kernel", &report.kernel)?;
    writeln!(out)?;
    let header = [
        "mutant",
        "rule",
        "base",
        "config",
        "machine",
        "fate",
        "by",
        "which says",
        "seconds",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(report.mutants.iter().map(row));
    table(&rows, out)?;

    for unmodified in &report.unmodified {
        for reason in &unmodified.reasons {
            writeln!(
                out,
                "\nno verdict: the kernel as it is ({}, {}, {}) does not pass, so no kill proves \
                 anything: {}",
                unmodified.base,
                unmodified.config,
                unmodified.machine,
                one_line(reason)
            )?;
        }
    }
    for run in &report.mutants {
        let (word, lines) = match &run.fate {
            Fate::Killed | Fate::Doubted { .. } => continue,
            Fate::Survived => ("SURVIVED", &Vec::new()),
            Fate::Otherwise { but } => ("OTHERWISE", but),
            Fate::NoVerdict { reasons } => ("NO VERDICT", reasons),
        };
        writeln!(out, "\n{word}  {}", one_line(&run.name))?;
        for line in lines.iter().flat_map(|line| line.lines()) {
            writeln!(out, "      {}", one_line(line))?;
        }
        if let Some(path) = &run.report {
            writeln!(out, "      report: {path}")?;
        }
    }
    let count = |wanted: fn(&Fate) -> bool| {
        let mutants = report.mutants.iter();
        mutants.filter(|run| wanted(&run.fate)).count()
    };
    writeln!(
        out,
        "\n{}: {} of {} mutants killed, {} doubted as they must be, {} otherwise than claimed, {} \
         survived, {} without a verdict",
        verdict_word(report.exit()),
        count(|fate| matches!(fate, Fate::Killed)),
        report.mutants.len(),
        count(|fate| matches!(fate, Fate::Doubted { .. })),
        count(|fate| matches!(fate, Fate::Otherwise { .. })),
        count(|fate| matches!(fate, Fate::Survived)),
        count(|fate| matches!(fate, Fate::NoVerdict { .. })),
    )
}

fn row(run: &MutantRun) -> Vec<String> {
    const NOTHING: &str = "-";
    let claim = &run.claim;
    let word = match run.fate {
        Fate::Killed => "killed",
        Fate::Doubted { .. } => "doubted",
        Fate::Otherwise { .. } => "OTHERWISE",
        Fate::Survived => "SURVIVED",
        Fate::NoVerdict { .. } => "NO VERDICT",
    };
    // The scenario that it claims, if that is one of those that failed.
    let claimed = |name: &String| claim.killed_by.contains(name);
    let kill = run
        .kills
        .iter()
        .find(|kill| claimed(&kill.scenario))
        .or(run.kills.first());
    let (by, says) = match (&run.fate, kill) {
        (Fate::Doubted { by, says }, _) => (by.clone(), shortened(says)),
        (_, None) => (NOTHING.to_owned(), NOTHING.to_owned()),
        (_, Some(kill)) => {
            // Of a run that was not complete, the number says nothing about the mutant.
            let by = match run.kills.len() - 1 {
                more if more > 0 && run.complete => format!("{} (+{more})", kill.scenario),
                _ => kill.scenario.clone(),
            };
            (by, kill.says.join(", "))
        }
    };
    vec![
        run.name.clone(),
        claim
            .rule
            .map_or_else(|| NOTHING.to_owned(), |n| n.to_string()),
        claim.base.clone().unwrap_or_default(),
        claim.config.clone().unwrap_or_default(),
        claim.machine.clone().unwrap_or_default(),
        word.to_owned(),
        by,
        says,
        seconds(run.millis),
    ]
}
