// SPDX-License-Identifier: GPL-2.0

//! `mn-inject list`: the scenarios with what each expects, and the contract.

use std::io::{self, Write};

use serde::Serialize;

use crate::cases::Case;
use crate::cli::SimpleFormat;
use crate::contract::{CLAUSES, Clause, Needs, Promise, RULES, Rule};
use crate::known;
use crate::model::{Arming, Expectation, NotifierKind, ReaperWord, Role};
use crate::scenario::{self, Cast, Scenario};

/// One scenario in the JSON list.
#[derive(Serialize)]
struct Entry {
    name: String,
    about: &'static str,
    rules: &'static [u8],
    breaks: bool,
    notifiers: Vec<Role>,
    expectation: Expectation,
}

/// Prints the scenarios.
pub fn print(
    scenarios: &[Scenario],
    format: SimpleFormat,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match format {
        SimpleFormat::Human => Ok(human(scenarios, out)?),
        SimpleFormat::Json => {
            let entries: Vec<_> = scenarios
                .iter()
                .map(|scenario| Entry {
                    name: scenario.name(),
                    about: scenario.about(),
                    rules: scenario.rules(),
                    breaks: scenario.breaks(),
                    notifiers: scenario.roles(),
                    expectation: scenario.expectation(),
                })
                .collect();
            serde_json::to_writer_pretty(&mut *out, &entries)?;
            Ok(writeln!(out)?)
        }
    }
}

fn human(scenarios: &[Scenario], out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<_> = scenarios.iter().map(Scenario::name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (scenario, name) in scenarios.iter().zip(names) {
        writeln!(out, "{name:width$}  {}", expected(scenario))?;
    }
    Ok(())
}

/// What a scenario expects, in words.
fn expected(scenario: &Scenario) -> String {
    let want = scenario.expectation();
    let arming = match scenario.cast {
        Cast::One(arming) => arming,
        Cast::Case(case) => return about_case(scenario, case),
    };
    let mut text = format!(
        "{}: {} {} call(s) of {}, ",
        scenario.about(),
        want.calls,
        want.context,
        want.event
    );
    text.push_str(&match arming {
        Arming::Inject(errno) if want.calls.admits(0) => {
            format!("armed with {errno}, nothing due")
        }
        Arming::Inject(errno) => format!("each fails with {errno}"),
        Arming::Filtered(errno) => format!("armed with {errno} elsewhere, nothing due"),
        Arming::Unarmed | Arming::Misbehave(_) => "not armed, nothing due".into(),
    });
    if want.outcome != 0 {
        text.push_str(&format!("; the system call returns {}", want.outcome));
    }
    match want.reaper {
        Some(ReaperWord::Reaped) => text.push_str("; reaped"),
        Some(ReaperWord::UnableToReap) => text.push_str("; unable to reap"),
        None => {}
    }
    text
}

/// The same of a case of the contract: which rules it keeps or breaks.
fn about_case(scenario: &Scenario, case: &Case) -> String {
    let rules: Vec<_> = case.rules.iter().map(u8::to_string).collect();
    let verb = if case.breaks { "breaks" } else { "keeps" };
    let noun = if case.rules.len() == 1 {
        "rule"
    } else {
        "rules"
    };
    let mut text = format!("{}: {verb} {noun} {}", case.about, rules.join(", "));
    if let Some(needs) = case.needs {
        text.push_str(&format!("; {}", needs.reason()));
    }
    if scenario.is_alone() {
        text.push_str("; on a boot of its own");
    }
    text
}

/// The contract as one document.
#[derive(Serialize)]
struct Contract {
    rules: &'static [Rule],
    clauses: &'static [Clause],
    scenarios: Vec<About>,
}

/// Which rules a scenario is about.
#[derive(Serialize)]
struct About {
    name: String,
    rules: &'static [u8],
    breaks: bool,
    needs: Option<Needs>,
    is_alone: bool,
    known_bug: Option<&'static str>,
}

/// Prints the contract: in Markdown, which is docs/contract.md, or as JSON.
pub fn print_rules(format: SimpleFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    let about = |scenario: &Scenario| About {
        name: scenario.name(),
        rules: scenario.rules(),
        breaks: scenario.breaks(),
        needs: scenario.needs(),
        is_alone: scenario.is_alone(),
        known_bug: known::of_scenario(&scenario.name()).map(|bug| bug.about),
    };
    let contract = Contract {
        rules: RULES,
        clauses: CLAUSES,
        scenarios: scenario::select(&[]).iter().map(about).collect(),
    };
    match format {
        SimpleFormat::Human => Ok(markdown(&contract, out)?),
        SimpleFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &contract)?;
            Ok(writeln!(out)?)
        }
    }
}

fn markdown(contract: &Contract, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# The contract of invalidate_range_start\n")?;
    writeln!(
        out,
        "This is what `mn-inject list --rules` prints; the tables are in `runner/contract.rs`,\n\
         `runner/cases.rs` and `runner/known.rs`, and the oracle computes from them what is due."
    )?;
    for rule in contract.rules {
        writeln!(out, "\n## Rule {}\n\n{}\n", rule.number, rule.text)?;
        writeln!(out, "From: {}", rule.source)?;
        clauses(rule, contract, out)?;
        scenarios(rule, contract, out)?;
    }
    writeln!(out, "\n## Known bugs of the kernel\n")?;
    writeln!(out, "| what | seen on | scenarios |")?;
    writeln!(out, "| --- | --- | --- |")?;
    for bug in known::BUGS {
        let scenarios: Vec<_> = bug
            .scenarios
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        writeln!(
            out,
            "| {} | {} | {} |",
            bug.about,
            bug.seen_on.join(", "),
            scenarios.join(", ")
        )?;
    }
    Ok(())
}

fn clauses(rule: &Rule, contract: &Contract, out: &mut dyn Write) -> io::Result<()> {
    let mut clauses = contract
        .clauses
        .iter()
        .filter(|clause| clause.rule == rule.number)
        .peekable();
    if clauses.peek().is_none() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| a notifier | kind | context | breaks it | seed says | mainline says | needs |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    for clause in clauses {
        let all = |any: &str, words: Vec<String>, of: usize| match words.len() {
            len if len == of => any.to_owned(),
            _ => words.join(", "),
        };
        let kinds = clause.kinds.iter().map(|kind| kind.to_string()).collect();
        let contexts = clause
            .contexts
            .iter()
            .map(|context| context.to_string())
            .collect();
        let said = |promise| {
            let words: Vec<_> = clause
                .said(promise)
                .iter()
                .map(|notice| notice.word())
                .collect();
            if words.is_empty() {
                "nothing".to_owned()
            } else {
                words.join(", ")
            }
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            clause.act.words(),
            all("any", kinds, NotifierKind::ALL.len()),
            all("any", contexts, 2),
            if clause.breaks { "yes" } else { "no" },
            said(Promise::Seed),
            said(Promise::Mainline),
            clause.needs.map_or("", Needs::option),
        )?;
    }
    Ok(())
}

fn scenarios(rule: &Rule, contract: &Contract, out: &mut dyn Write) -> io::Result<()> {
    for (breaks, word) in [(false, "Keep it"), (true, "Break it")] {
        let names: Vec<_> = contract
            .scenarios
            .iter()
            .filter(|about| about.breaks == breaks && about.rules.contains(&rule.number))
            .map(|about| match (about.known_bug, about.is_alone) {
                (Some(_), _) => format!("`{}` (known bug)", about.name),
                (None, true) => format!("`{}` (alone)", about.name),
                (None, false) => format!("`{}`", about.name),
            })
            .collect();
        if !names.is_empty() {
            writeln!(out, "\n{word}: {}", names.join(", "))?;
        }
    }
    Ok(())
}
