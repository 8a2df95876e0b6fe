// SPDX-License-Identifier: GPL-2.0

//! What came of `vm matrix`: many runs, and one answer.

use serde::{Deserialize, Serialize};

use crate::model::Report;
use crate::model::exit::Exit;

/// One row: a kernel in a form and a configuration, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixRun {
    /// What `--kernel` calls it.
    pub kernel: String,
    /// `seed` or `mainline`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// Why there is no report, where there is none: it could not be built, or not booted.
    pub error: Option<String>,
    /// The report, as `vm run` gives it.
    pub report: Option<Report>,
}

/// All runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixReport {
    /// Version of this format; see `docs/report.md`. Raised with every change that a reader
    /// could notice, except those of [`Report`], which has a version of its own.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The runs, in the order of the plan.
    pub runs: Vec<MatrixRun>,
}

/// The current [`MatrixReport::schema`].
pub const SCHEMA: u32 = 1;

impl MatrixRun {
    /// The exit code that it would have by itself, and no verdict where it could not run.
    pub fn exit(&self) -> Exit {
        self.report.as_ref().map_or(Exit::NoVerdict, Report::exit)
    }
}

impl MatrixReport {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        let exits: Vec<_> = self.runs.iter().map(MatrixRun::exit).collect();
        Exit::of_all(&exits)
    }
}
