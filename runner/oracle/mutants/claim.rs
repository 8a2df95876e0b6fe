// SPDX-License-Identifier: GPL-2.0

//! The claim of a mutant: lines above the `---` of its patch.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::contract::RULES;
use crate::model::{FindingKind, Recognised};
use crate::scenario;

/// Claim of a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Rule of the contract that it breaks.
    pub rule: Option<u8>,
    /// Kernel that it is a patch of: `seed` or `mainline`.
    pub base: Option<String>,
    /// Name of the kernel configuration.
    pub config: Option<String>,
    /// Machine that it needs: `qemu` or `uml`.
    pub machine: Option<String>,
    /// Patterns of the scenarios to run; empty means all.
    pub only: Vec<String>,
    /// Scenarios that must fail.
    pub killed_by: Vec<String>,
    /// Kinds of findings, in words, that they must have.
    pub says: Vec<String>,
    /// Scenarios that must have no verdict.
    pub doubted_by: Vec<String>,
    /// Text that must be in their reasons.
    pub doubts: Vec<String>,
}

/// A patch that makes a kernel wrong, or the module lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Name of its file, without `.patch`.
    pub name: String,
    /// Path of its file.
    pub path: PathBuf,
    /// Its claim.
    pub claim: Claim,
}

impl Mutant {
    /// Reads a mutant from its file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line of the claim names an unknown rule or scenario, or words
    /// that no finding has.
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
                "Machine" => match value {
                    "qemu" | "uml" => claim.machine = Some(value.to_owned()),
                    _ => bail!("{line:?}: the machines are qemu and uml"),
                },
                "Config" => claim.config = Some(value.to_owned()),
                "Only" => claim.only.push(value.to_owned()),
                "Killed-by" => claim.killed_by.extend(value.split(", ").map(str::to_owned)),
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

    /// Whether the mutant must have no verdict.
    pub(super) fn is_to_be_doubted(&self) -> bool {
        !(self.doubted_by.is_empty() && self.doubts.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_from_above_the_diff() {
        let text = "Subject: x\n\nIt breaks: something.\n\nRule: 4\nBase: seed\nConfig: debug\n\
                    Only: r04-*\nOnly: munmap-*\nKilled-by: r04-all-agree\n\
                    Killed-by: r04-last-refuses, r04-first-refuses\nSays: notifier called differently\n---\nRule: 99\n";
        let claim = Claim::parse(text).unwrap();
        assert_eq!(claim.rule, Some(4));
        assert_eq!(claim.base.as_deref(), Some("seed"));
        assert_eq!(claim.config.as_deref(), Some("debug"));
        assert_eq!(claim.only, ["r04-*", "munmap-*"]);
        assert_eq!(
            claim.killed_by,
            ["r04-all-agree", "r04-last-refuses", "r04-first-refuses"]
        );
        assert_eq!(claim.says, ["notifier called differently"]);
        assert_eq!(
            Claim::parse("diff --git a/x b/x\n").unwrap(),
            Claim::default()
        );
    }

    #[test]
    fn an_impossible_claim_is_an_error() {
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
