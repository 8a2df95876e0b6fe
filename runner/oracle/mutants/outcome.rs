// SPDX-License-Identifier: GPL-2.0

//! The report of `vm mutants`.

use serde::{Deserialize, Serialize};

use crate::model::exit::Exit;
use crate::oracle::mutants::claim::Claim;
use crate::oracle::mutants::judge::{Fate, Kill};

/// A mutant and its fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutantRun {
    /// Name of the mutant.
    pub name: String,
    /// Its claim, completed from the command line.
    pub claim: Claim,
    /// Its fate.
    pub fate: Fate,
    /// Scenarios that failed.
    pub kills: Vec<Kill>,
    /// Whether all scenarios ran that the claim admits. If not, only those ran that could notice;
    /// others might fail as well.
    pub complete: bool,
    /// Path of the report that its fate follows from, if there is one.
    pub report: Option<String>,
    /// Duration of its guests in all runs, in milliseconds.
    pub millis: u64,
}

/// An unmodified kernel. Unless it passes, no kill proves anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmodified {
    /// `seed` or `mainline`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// `qemu` or `uml`.
    pub machine: String,
    /// Reasons why it does not pass, in the whole suite or in the first run of one of its mutants;
    /// empty if it passes.
    pub reasons: Vec<String>,
    /// Path of the report of the whole suite, if there is one.
    pub report: Option<String>,
}

/// Report of `vm mutants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutantsReport {
    /// Version of this format; see `docs/report.md`.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// Name of the kernel, as `--kernel` has it.
    pub kernel: String,
    /// Unmodified kernels that the mutants are made of.
    pub unmodified: Vec<Unmodified>,
    /// Mutants in the order in which they were given.
    pub mutants: Vec<MutantRun>,
}

/// The current [`MutantsReport::schema`].
pub const SCHEMA: u32 = 4;

impl MutantsReport {
    /// Exit code. A mutant that survived, or was killed for another reason than it claims, is a
    /// failure, of the scenarios or of the claim.
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
