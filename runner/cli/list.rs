// SPDX-License-Identifier: GPL-2.0

//! `mn-inject list`: the scenarios with what each expects, or the contract.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::cli::{ListArgs, rules};
use crate::model::exit::Exit;
use crate::model::{Arming, Expectation, Notifier, ReaperMessage};
use crate::report::format::SimpleFormat;
use crate::report::json;
use crate::scenario::cases::{Boot, Case};
use crate::scenario::{self, Scenario, Setting};

/// One scenario in the JSON list.
#[derive(Serialize)]
struct Entry {
    name: String,
    about: &'static str,
    rules: &'static [u8],
    breaks: bool,
    notifiers: Vec<Notifier>,
    expectation: Expectation,
}

impl Entry {
    fn of(scenario: &Scenario) -> Self {
        Entry {
            name: scenario.name(),
            about: scenario.about(),
            rules: scenario.rules(),
            breaks: scenario.breaks(),
            notifiers: scenario.notifiers(),
            expectation: scenario.expectation(),
        }
    }
}

/// Prints the list that the arguments ask for. The exit code is [`Exit::Usage`] where no scenario
/// matches.
///
/// # Errors
///
/// A write to standard output fails.
pub fn run(args: &ListArgs) -> Result<Exit> {
    let mut out = io::stdout().lock();
    if args.rules {
        rules::print(args.format, &mut out).context("cannot print the contract")?;
        return Ok(Exit::Pass);
    }
    let scenarios = scenario::select(&args.only);
    if scenarios.is_empty() {
        eprintln!("{}", scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    match args.format {
        SimpleFormat::Human => human(&scenarios, &mut out),
        SimpleFormat::Json => {
            let entries: Vec<_> = scenarios.iter().map(Entry::of).collect();
            json::print(&entries, &mut out)
        }
    }
    .and_then(|()| out.flush())
    .context("cannot print the scenarios")?;
    Ok(Exit::Pass)
}

fn human(scenarios: &[Scenario], out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<_> = scenarios.iter().map(Scenario::name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (scenario, name) in scenarios.iter().zip(names) {
        writeln!(out, "{name:width$}  {}", expected(scenario))?;
    }
    Ok(())
}

/// Describes the expectation of a scenario in words.
fn expected(scenario: &Scenario) -> String {
    let want = scenario.expectation();
    let arming = match scenario.setting {
        Setting::One(arming) | Setting::Mirrored(arming) => arming,
        Setting::Edge => Arming::Unarmed,
        Setting::Case(case) => return about_case(scenario, case),
    };
    let mut text = format!(
        "{}: {} {} call(s) of {}, ",
        scenario.about(),
        want.calls,
        want.context,
        want.event
    );
    text.push_str(&match arming {
        Arming::Fail(errno) if want.calls.admits(0) => {
            format!("armed with {errno}, nothing due")
        }
        Arming::Fail(errno) => format!("each fails with {errno}"),
        Arming::Filtered(errno) => format!("armed with {errno} elsewhere, nothing due"),
        Arming::Unarmed | Arming::AtStart(_) | Arming::AtEnd(_) | Arming::AtRelease(_) => {
            "not armed, nothing due".into()
        }
    });
    if matches!(scenario.setting, Setting::Mirrored(_) | Setting::Edge) {
        text.push_str("; a mirror watches the page table");
    }
    if want.outcome != 0 {
        text.push_str(&format!("; the system call returns {}", want.outcome));
    }
    match want.reaper {
        Some(ReaperMessage::Reaped) => text.push_str("; reaped"),
        Some(ReaperMessage::UnableToReap) => text.push_str("; unable to reap"),
        None => {}
    }
    text
}

/// Describes a case of the contract: the rules that it keeps or breaks.
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
    match scenario.boot() {
        Boot::Shared => {}
        Boot::Spoiled => text.push_str("; leaves its boot spoiled"),
        Boot::Own => text.push_str("; on a boot of its own"),
    }
    text
}
