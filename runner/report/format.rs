// SPDX-License-Identifier: GPL-2.0

//! Formats of reports.

use clap::ValueEnum;

/// Format of the report of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, with the evidence under every failure.
    #[default]
    Human,
    /// KTAP version 1.
    Ktap,
    /// One JSON document; see docs/report.md.
    Json,
}

/// Format of an output that has no form in KTAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SimpleFormat {
    /// A table.
    #[default]
    Human,
    /// One JSON document.
    Json,
}
