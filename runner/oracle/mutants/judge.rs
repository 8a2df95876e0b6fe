// SPDX-License-Identifier: GPL-2.0

//! The fate of a mutant, by the report of a run.

use serde::{Deserialize, Serialize};

use crate::model::exit::Exit;
use crate::model::{Report, Verdict};
use crate::oracle::mutants::claim::{Claim, Mutant};

/// A scenario that failed on a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Name of the scenario.
    pub scenario: String,
    /// Kinds of its findings, in words, each once.
    pub says: Vec<String>,
    /// First finding, in a sentence.
    pub first: String,
}

/// Fate of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It failed, in the scenarios and for the reasons that it claims; or it claims none.
    Killed,
    /// It has no verdict, as it must have none, for the reasons that it claims.
    Doubted {
        /// First scenario of the claim that has no verdict.
        by: String,
        /// First reason of that scenario.
        says: String,
    },
    /// It did not pass, but not as it claims.
    Otherwise {
        /// Differences from the claim, a sentence each.
        but: Vec<String>,
    },
    /// It passed.
    Survived,
    /// Unknown: it could not be built or booted, or a run did not reach its end.
    NoVerdict {
        /// Reasons, a sentence each.
        reasons: Vec<String>,
    },
}

/// Reasons why a failure in the first run ([`Claim::first`]) on a mutant proves nothing, by the report
/// of the same run on the unmodified kernel; empty if there are none. A skipped scenario and a known
/// bug of the kernel are no reasons.
pub fn why_no_control(first: &Report) -> Vec<String> {
    match first.exit() {
        Exit::Pass | Exit::Skip => Vec::new(),
        _ => first.problems(),
    }
}

/// Scenarios that failed, and the form of the check if it did.
fn kills(report: &Report) -> Vec<Kill> {
    let failed = report.verdicts().filter_map(|(name, verdict)| {
        let Verdict::Fail { findings } = verdict else {
            return None;
        };
        let mut says: Vec<String> = Vec::new();
        for finding in findings {
            let words = finding.kind.words();
            if !says.iter().any(|said| said == words) {
                says.push(words.to_owned());
            }
        }
        Some(Kill {
            scenario: name.to_owned(),
            says,
            first: findings
                .first()
                .map_or_else(String::new, |finding| finding.text.clone()),
        })
    });
    failed.collect()
}

/// Judges a mutant by the report of a run, or by the reason why there is none. Returns its fate and
/// the scenarios that failed.
pub fn judge(mutant: &Mutant, result: Result<&Report, &str>) -> (Fate, Vec<Kill>) {
    match result {
        Ok(report) => {
            let kills = kills(report);
            (fate(&mutant.claim, report, &kills), kills)
        }
        Err(error) => {
            let reasons = vec![error.to_owned()];
            (Fate::NoVerdict { reasons }, Vec::new())
        }
    }
}

/// Whether the first run on a mutant ([`Claim::first`]) settles its fate: it was killed, in the
/// scenarios and for the reasons that it claims.
pub fn is_settled(mutant: &Mutant, first: &Report) -> bool {
    fate(&mutant.claim, first, &kills(first)) == Fate::Killed
}

fn fate(claim: &Claim, report: &Report, kills: &[Kill]) -> Fate {
    if claim.is_to_be_doubted() {
        return doubted(claim, report, kills);
    }
    // A run that did not reach its end proves nothing, whatever failed until then: a kernel that
    // hangs has not shown what is wrong with it.
    if !report.trouble.is_empty() {
        let reasons = report.trouble.clone();
        return Fate::NoVerdict { reasons };
    }
    match report.exit() {
        Exit::Fail => {
            let but = contradictions(claim, kills);
            if but.is_empty() {
                Fate::Killed
            } else {
                Fate::Otherwise { but }
            }
        }
        Exit::Pass => Fate::Survived,
        _ => Fate::NoVerdict {
            reasons: report.problems(),
        },
    }
}

/// Fate of a mutant that must have no verdict.
fn doubted(claim: &Claim, report: &Report, kills: &[Kill]) -> Fate {
    match report.exit() {
        Exit::Pass => return Fate::Survived,
        Exit::NoVerdict => {}
        _ => {
            let first = kills.first().map_or("it", |kill| kill.scenario.as_str());
            let but = vec![format!("{first} failed: the kernel is blamed for it")];
            return Fate::Otherwise { but };
        }
    }
    let doubts: Vec<(&str, &[String])> = report
        .verdicts()
        .filter_map(|(name, verdict)| match verdict {
            Verdict::NoVerdict { reasons } => Some((name, reasons.as_slice())),
            _ => None,
        })
        .collect();
    let mut but = Vec::new();
    let mut claimed: Vec<&(&str, &[String])> = Vec::new();
    for name in &claim.doubted_by {
        match doubts.iter().find(|(doubted, _)| doubted == name) {
            Some(doubt) => claimed.push(doubt),
            None => but.push(format!("{name} has a verdict")),
        }
    }
    if claim.doubted_by.is_empty() {
        claimed.extend(&doubts);
    }
    for text in &claim.doubts {
        let mut reasons = claimed.iter().flat_map(|(_, reasons)| *reasons);
        if !reasons.any(|reason| reason.contains(text)) {
            but.push(format!("no reason says \"{text}\""));
        }
    }
    match claimed.first() {
        Some((by, reasons)) if but.is_empty() => Fate::Doubted {
            by: (*by).to_owned(),
            says: reasons.first().cloned().unwrap_or_default(),
        },
        None if but.is_empty() => Fate::NoVerdict {
            reasons: report.trouble.clone(),
        },
        _ => Fate::Otherwise { but },
    }
}

/// Differences from a claim, a sentence each.
fn contradictions(claim: &Claim, kills: &[Kill]) -> Vec<String> {
    let mut but = Vec::new();
    let mut said: Vec<&String> = Vec::new();
    for name in &claim.killed_by {
        match kills.iter().find(|kill| kill.scenario == *name) {
            Some(kill) => said.extend(&kill.says),
            None => but.push(format!("{name} did not fail")),
        }
    }
    if claim.killed_by.is_empty() {
        said.extend(kills.iter().flat_map(|kill| &kill.says));
    }
    for words in &claim.says {
        if !said.contains(&words) {
            but.push(format!("nobody said \"{words}\""));
        }
    }
    but
}
