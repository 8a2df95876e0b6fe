// SPDX-License-Identifier: GPL-2.0

//! `mn-inject list --rules`: the contract, as a document or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::contract::{Needs, RULE_ROWS, RULES, Rule, RuleRow};
use crate::model::Form;
use crate::model::NotifierKind;
use crate::report::format::SimpleFormat;
use crate::report::{Human, print_simple};
use crate::scenario::cases::Boot;
use crate::scenario::{self, Scenario, known_bugs};

/// The contract as one document.
#[derive(Serialize)]
struct Contract {
    rules: &'static [Rule],
    clauses: &'static [RuleRow],
    scenarios: Vec<About>,
}

/// A scenario, with the rules that it is about.
#[derive(Serialize)]
struct About {
    name: String,
    rules: &'static [u8],
    breaks: bool,
    needs: Option<Needs>,
    boot: Boot,
    known_bug: Option<&'static str>,
}

/// Prints the contract in Markdown, which is docs/contract.md, or as JSON.
///
/// # Errors
///
/// A write to `out` fails.
pub fn print(format: SimpleFormat, out: &mut dyn Write) -> io::Result<()> {
    let about = |scenario: &Scenario| About {
        name: scenario.name(),
        rules: scenario.rules(),
        breaks: scenario.breaks(),
        needs: scenario.needs(),
        boot: scenario.boot(),
        known_bug: known_bugs::of_scenario(&scenario.name()).map(|bug| bug.about),
    };
    let contract = Contract {
        rules: RULES,
        clauses: RULE_ROWS,
        scenarios: scenario::select(&[]).iter().map(about).collect(),
    };
    print_simple(&contract, format, out)
}

impl Human for Contract {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        markdown(self, out)
    }
}

fn markdown(contract: &Contract, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# The contract of invalidate_range_start\n")?;
    writeln!(
        out,
        "This is what `mn-inject list --rules` prints. The tables are in `runner/contract/`,\n\
         `runner/scenario/cases.rs` and `runner/scenario/known_bugs.rs`; the oracle computes from\n\
         them which messages are due."
    )?;
    for rule in contract.rules {
        writeln!(out, "\n## Rule {}\n\n{}\n", rule.number, rule.text)?;
        writeln!(out, "From: {}", rule.source)?;
        clauses(rule, contract, out)?;
        scenarios(rule, contract, out)?;
    }
    bugs(out)
}

/// The table of the known bugs.
fn bugs(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## Known bugs of the kernel\n")?;
    writeln!(out, "| what | seen on | scenarios |")?;
    writeln!(out, "| --- | --- | --- |")?;
    for bug in known_bugs::BUGS {
        let scenarios: Vec<_> = known_bugs::scenarios_of(bug)
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

/// The table of the clauses of a rule, where it has any.
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
        let mut kinds = all("any", kinds, NotifierKind::WITH_START.len());
        if let Some(except) = clause.except {
            kinds = format!("{kinds}; except {except}");
        }
        let contexts = clause
            .contexts
            .iter()
            .map(|context| context.to_string())
            .collect();
        let messages = |form| {
            let words: Vec<_> = clause
                .messages(form)
                .iter()
                .map(|message| message.word())
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
            clause.behaviour.words(),
            kinds,
            all("any", contexts, 2),
            if clause.breaks { "yes" } else { "no" },
            messages(Form::Seed),
            messages(Form::Mainline),
            clause.needs.map_or("", Needs::option),
        )?;
    }
    Ok(())
}

/// The names of the scenarios that keep a rule, and of those that break it.
fn scenarios(rule: &Rule, contract: &Contract, out: &mut dyn Write) -> io::Result<()> {
    for (breaks, word) in [(false, "Keep it"), (true, "Break it")] {
        let names: Vec<_> = contract
            .scenarios
            .iter()
            .filter(|about| about.breaks == breaks && about.rules.contains(&rule.number))
            .map(|about| match (about.known_bug, about.boot) {
                (Some(_), _) => format!("`{}` (known bug)", about.name),
                (None, Boot::Shared) => format!("`{}`", about.name),
                (None, Boot::Spoiled) => format!("`{}` (spoils)", about.name),
                (None, Boot::Own) => format!("`{}` (alone)", about.name),
            })
            .collect();
        if !names.is_empty() {
            writeln!(out, "\n{word}: {}", names.join(", "))?;
        }
    }
    Ok(())
}
