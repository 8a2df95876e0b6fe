// SPDX-License-Identifier: GPL-2.0

//! Report of `vm matrix`: runs on several kernels, and one verdict.

use serde::{Deserialize, Serialize};

use crate::model::Report;
use crate::model::exit::Exit;

/// Row of the matrix: a kernel with a base and a configuration, and the result of its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixRun {
    /// Name of the kernel, as `--kernel` takes it.
    pub kernel: String,
    /// `seed` or `mainline`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// Why there is no report: the kernel could not be built or booted. Absent where there is one.
    pub error: Option<String>,
    /// The report, as `vm run` makes it.
    pub report: Option<Report>,
}

/// Report of `vm matrix`.
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
    /// The exit code of this run alone: [`Exit::NoVerdict`] where there is no report.
    pub fn exit(&self) -> Exit {
        self.report.as_ref().map_or(Exit::NoVerdict, Report::exit)
    }
}

impl MatrixReport {
    /// The exit code of all runs together: [`Exit::of_all()`].
    pub fn exit(&self) -> Exit {
        let exits: Vec<_> = self.runs.iter().map(MatrixRun::exit).collect();
        Exit::of_all(&exits)
    }
}
