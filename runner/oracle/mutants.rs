// SPDX-License-Identifier: GPL-2.0

//! Mutants: kernels that are wrong in one way each, and what came of running the suite on them. A
//! checker that has never said no is not a checker.
//!
//! A mutant is a patch of the kernel, or of the module: one whose module lies must not be blamed on
//! the kernel. Its text above the `---` may say what it is, a line each:
//!
//! | line | meaning |
//! | --- | --- |
//! | `Rule: N` | the rule of the contract that it breaks |
//! | `Base: seed` or `mainline` | the kernel that it is a patch of |
//! | `Config: NAME` | the kernel configuration that it takes to see it |
//! | `Only: GLOB` | the scenarios to run (may be repeated; all if not given) |
//! | `Killed-by: SCENARIO` | a scenario that must fail (may be repeated) |
//! | `Says: WORDS` | words that must stand in the findings of those scenarios (may be repeated) |
//! | `Doubted-by: SCENARIO` | a scenario that must come to no verdict (may be repeated) |
//! | `Doubts: TEXT` | what must stand in its reasons (may be repeated) |
//!
//! Either there must be a failure, or, where something must be doubted, there must be none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::contract::RULES;
use crate::model::exit::Exit;
use crate::model::{FindingKind, Recognised, Report, Verdict};
use crate::report;
use crate::scenario;

/// What a patch says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The rule that it breaks.
    pub rule: Option<u8>,
    /// `seed` or `mainline`.
    pub base: Option<String>,
    /// Name of the kernel configuration.
    pub config: Option<String>,
    /// Patterns of the scenarios to run; empty means all.
    pub only: Vec<String>,
    /// The scenarios that must fail.
    pub killed_by: Vec<String>,
    /// What must stand in their findings.
    pub says: Vec<String>,
    /// The scenarios that must come to no verdict.
    pub doubted_by: Vec<String>,
    /// What must stand in their reasons.
    pub doubts: Vec<String>,
}

/// A patch that makes a kernel wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its file's name, without `.patch`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it says of itself.
    pub claim: Claim,
}

impl Mutant {
    /// Reads a mutant from its file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and a line that claims what cannot be: a rule or a scenario that
    /// there is not, or words that no finding has.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("cannot read the mutant {}", path.display()))?;
        let claim = Claim::parse(&String::from_utf8_lossy(&text))
            .with_context(|| format!("the mutant {}", path.display()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str());
        Ok(Mutant {
            name: name.to_string_lossy().into_owned(),
            path: path.to_owned(),
            claim,
        })
    }
}

impl Claim {
    fn parse(text: &str) -> Result<Self> {
        let mut claim = Claim::default();
        for line in text.lines().take_while(|line| *line != "---") {
            let Some((key, value)) = line.split_once(": ") else {
                continue;
            };
            let value = value.trim();
            match key {
                "Rule" => {
                    let rule = RULES.iter().find(|rule| rule.number.to_string() == value);
                    let rule = rule.with_context(|| format!("there is no rule {value:?}"))?;
                    claim.rule = Some(rule.number);
                }
                "Base" => match value {
                    "seed" | "mainline" => claim.base = Some(value.to_owned()),
                    _ => bail!("{line:?}: the bases are seed and mainline"),
                },
                "Config" => claim.config = Some(value.to_owned()),
                "Only" => claim.only.push(value.to_owned()),
                "Killed-by" => claim.killed_by.push(value.to_owned()),
                "Says" => claim.says.push(value.to_owned()),
                "Doubted-by" => claim.doubted_by.push(value.to_owned()),
                "Doubts" => claim.doubts.push(value.to_owned()),
                _ => {}
            }
        }
        claim.check()?;
        Ok(claim)
    }

    fn check(&self) -> Result<()> {
        let selected = scenario::select(&self.only);
        if selected.is_empty() {
            bail!("{}", scenario::none_matches(&self.only));
        }
        for (key, names) in [
            ("Killed-by", &self.killed_by),
            ("Doubted-by", &self.doubted_by),
        ] {
            for name in names {
                let is_there = |name: &str| selected.iter().any(|scenario| scenario.name() == name);
                if name != Recognised::RESULT && !is_there(name) {
                    bail!("\"{key}: {name}\": there is no such scenario among those that run");
                }
            }
        }
        if self.is_to_be_doubted() && !(self.killed_by.is_empty() && self.says.is_empty()) {
            bail!("what must be doubted (Doubted-by, Doubts) must not be killed (Killed-by, Says)");
        }
        for words in &self.says {
            if !FindingKind::ALL.iter().any(|kind| kind.words() == words) {
                let all: Vec<_> = FindingKind::ALL.iter().map(|kind| kind.words()).collect();
                bail!(
                    "\"Says: {words}\": a finding has one of: {}",
                    all.join("; ")
                );
            }
        }
        Ok(())
    }

    /// Whether there must be no verdict on it.
    fn is_to_be_doubted(&self) -> bool {
        !(self.doubted_by.is_empty() && self.doubts.is_empty())
    }
}

/// A scenario that failed on a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Its name.
    pub scenario: String,
    /// The kinds of its findings, in words, each once.
    pub says: Vec<String>,
    /// The first finding, in a sentence.
    pub first: String,
}

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It failed, by the scenarios and for the reasons that it claims; or it claims none.
    Killed,
    /// There is no verdict on it, and there must be none, for the reasons that it claims.
    Doubted {
        /// The first of the reasons.
        by: String,
        /// What it says.
        says: String,
    },
    /// It did not pass, but not as it claims.
    Otherwise {
        /// What is not as claimed, a sentence each.
        but: Vec<String>,
    },
    /// It passed.
    Survived,
    /// It cannot be known: it was not built, or it did not boot, or it did not run to its end.
    NoVerdict {
        /// Why.
        reasons: Vec<String>,
    },
}

/// A mutant, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutantRun {
    /// Its name.
    pub name: String,
    /// What it says of itself, completed by what was asked for on the command line.
    pub claim: Claim,
    /// What came of it.
    pub fate: Fate,
    /// Which scenarios failed.
    pub kills: Vec<Kill>,
    /// Where its report is, if there is one.
    pub report: Option<String>,
    /// How long its guests took, in milliseconds.
    pub millis: u64,
}

/// A kernel as it is, which must pass: else no kill proves anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmodified {
    /// `seed` or `mainline`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// Why it is no pass; empty where it is.
    pub reasons: Vec<String>,
    /// Where its report is, if there is one.
    pub report: Option<String>,
}

/// What came of `vm mutants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutantsReport {
    /// Version of this format; see `docs/report.md`.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// What `--kernel` calls the kernel.
    pub kernel: String,
    /// The kernels as they are that the mutants are made of.
    pub unmodified: Vec<Unmodified>,
    /// The mutants.
    pub mutants: Vec<MutantRun>,
}

/// The current [`MutantsReport::schema`].
pub const SCHEMA: u32 = 2;

/// Why a run is no pass; empty where it is.
pub fn why_no_pass(result: &Result<Report, String>) -> Vec<String> {
    match result {
        Err(error) => vec![error.clone()],
        Ok(report) => why_it_did_not_pass(report),
    }
}

/// The same of a run that has a report.
pub fn why_it_did_not_pass(report: &Report) -> Vec<String> {
    if report::exit(report) == Exit::Pass {
        return Vec::new();
    }
    let mut reasons = report.trouble.clone();
    let bad = report.scenarios.iter().filter(|result| {
        matches!(
            result.verdict,
            Verdict::Fail { .. } | Verdict::NoVerdict { .. }
        )
    });
    reasons.extend(bad.map(|result| format!("{} did not pass", result.name)));
    if reasons.is_empty() {
        reasons.push("nothing passed".to_owned());
    }
    reasons
}

/// The scenarios that failed, and the form.
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

/// What came of a mutant, by the report of the suite on it or by why there is none.
pub fn judge(mutant: &Mutant, result: &Result<Report, String>) -> (Fate, Vec<Kill>) {
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            let reasons = vec![error.clone()];
            return (Fate::NoVerdict { reasons }, Vec::new());
        }
    };
    let kills = kills(report);
    if mutant.claim.is_to_be_doubted() {
        return (doubted(&mutant.claim, report, &kills), kills);
    }
    // What did not run to its end says nothing, whatever failed until then: a kernel that hangs
    // has not been told what is wrong with it.
    if !report.trouble.is_empty() {
        let reasons = report.trouble.clone();
        return (Fate::NoVerdict { reasons }, kills);
    }
    let fate = match report::exit(report) {
        Exit::Fail => {
            let but = contradictions(&mutant.claim, &kills);
            if but.is_empty() {
                Fate::Killed
            } else {
                Fate::Otherwise { but }
            }
        }
        Exit::Pass => Fate::Survived,
        _ => Fate::NoVerdict {
            reasons: why_no_pass(result),
        },
    };
    (fate, kills)
}

/// What came of a mutant on which there must be no verdict.
fn doubted(claim: &Claim, report: &Report, kills: &[Kill]) -> Fate {
    match report::exit(report) {
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

/// What is not as claimed.
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

impl MutantsReport {
    /// The exit code. A mutant that survived, or was killed for another reason than the one it
    /// claims, is a failure: of the scenarios, or of the claim.
    pub fn exit(&self) -> Exit {
        let any = |wanted: fn(&Fate) -> bool| self.mutants.iter().any(|run| wanted(&run.fate));
        if self.unmodified.iter().any(|run| !run.reasons.is_empty()) {
            Exit::NoVerdict
        } else if any(|fate| matches!(fate, Fate::Survived | Fate::Otherwise { .. })) {
            Exit::Fail
        } else if any(|fate| matches!(fate, Fate::NoVerdict { .. })) || self.mutants.is_empty() {
            Exit::NoVerdict
        } else {
            Exit::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_stands_above_the_diff() {
        let text = "Subject: x\n\nIt breaks: something.\n\nRule: 4\nBase: seed\nConfig: debug\n\
                    Only: r04-*\nOnly: munmap-*\nKilled-by: r04-all-agree\n\
                    Says: notifier called differently\n---\nRule: 99\n";
        let claim = Claim::parse(text).unwrap();
        assert_eq!(claim.rule, Some(4));
        assert_eq!(claim.base.as_deref(), Some("seed"));
        assert_eq!(claim.config.as_deref(), Some("debug"));
        assert_eq!(claim.only, ["r04-*", "munmap-*"]);
        assert_eq!(claim.killed_by, ["r04-all-agree"]);
        assert_eq!(claim.says, ["notifier called differently"]);
        assert_eq!(
            Claim::parse("diff --git a/x b/x\n").unwrap(),
            Claim::default()
        );
    }

    #[test]
    fn a_claim_that_cannot_be_is_refused() {
        for (text, words) in [
            ("Rule: 99", "no rule \"99\""),
            ("Rule: 04", "no rule \"04\""),
            ("Base: next", "seed and mainline"),
            ("Only: nothing-*", "no scenario matches"),
            ("Killed-by: r04-nobody", "no such scenario"),
            (
                "Only: munmap-*\nKilled-by: r04-all-agree",
                "among those that run",
            ),
            ("Says: it is wrong", "did not fire when it should"),
            ("Doubted-by: r04-nobody", "no such scenario"),
            ("Doubts: x\nKilled-by: r04-all-agree", "must not be killed"),
        ] {
            let error = Claim::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
