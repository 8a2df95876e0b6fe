// SPDX-License-Identifier: GPL-2.0

//! The report of `vm mutants`.

use serde::{Deserialize, Serialize};

use crate::model::exit::Exit;
use crate::oracle::mutants::claim::Claim;
use crate::oracle::mutants::judge::{Fate, Kill};

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
    /// Whether all scenarios ran that the claim admits. Where not, those that could notice ran,
    /// and killed it as claimed: others might fail as well.
    pub complete: bool,
    /// Where the report is that its fate follows from, if there is one.
    pub report: Option<String>,
    /// How long its guests took in all runs, in milliseconds.
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
    /// Why it is no pass, or why what is run first on its mutants proves nothing; empty where
    /// neither is so.
    pub reasons: Vec<String>,
    /// Where the report of the whole suite is, if there is one.
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
pub const SCHEMA: u32 = 3;

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
