// SPDX-License-Identifier: GPL-2.0

//! The formats of reports.

use clap::ValueEnum;

/// How results are printed.
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

/// How something is printed that has no form in KTAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SimpleFormat {
    /// A table.
    #[default]
    Human,
    /// One JSON document.
    Json,
}
