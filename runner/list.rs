// SPDX-License-Identifier: GPL-2.0

//! `mn-inject list`: the scenarios with what each expects.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::SimpleFormat;
use crate::model::{Arming, Expectation, ReaperWord};
use crate::scenario::Scenario;

/// One scenario in the JSON list.
#[derive(Serialize)]
struct Entry {
    name: String,
    about: &'static str,
    arming: Arming,
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
                    about: scenario.trigger.about,
                    arming: scenario.arming,
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
    let mut text = format!(
        "{}: {} {} call(s) of {}, ",
        scenario.trigger.about, want.calls, want.context, want.event
    );
    text.push_str(&match scenario.arming {
        Arming::Inject(errno) if want.calls.admits(0) => {
            format!("armed with {errno}, nothing due")
        }
        Arming::Inject(errno) => format!("each fails with {errno}"),
        Arming::Filtered(errno) => format!("armed with {errno} elsewhere, nothing due"),
        Arming::Unarmed => "not armed, nothing due".into(),
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
