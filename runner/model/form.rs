// SPDX-License-Identifier: GPL-2.0

//! Form of the check in the kernel under test: the one demanded, and the one recognised.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Form in which the kernel under test enforces the rule on failures, as its messages show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recognised {
    /// Info line, and `pr_warn("%pS callback failure not allowed\n")` in blockable context: the
    /// seed patch.
    Seed,
    /// Info line, and `WARN_ON(blockable || _ret != -EAGAIN)` (mainline since 5.4).
    Mainline,
    /// Info line only (before 2018): the kernel has no check.
    InfoOnly,
    /// Failures in blockable context were reported in more than one form.
    Mixed,
    /// No callback failed in blockable context, so the form cannot be recognised.
    Unknown,
}

impl Recognised {
    /// Name of the verdict on the form, which stands among the names of the scenarios in reports.
    pub const RESULT: &str = "kernel-form";
}

impl fmt::Display for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Recognised::Seed => "seed (info + pr_warn)",
            Recognised::Mainline => "mainline (info + WARN_ON)",
            Recognised::InfoOnly => "none (info line only, as before 2018)",
            Recognised::Mixed => "mixed (complaints of more than one form)",
            Recognised::Unknown => "unknown (nothing failed in blockable context)",
        })
    }
}

/// Form that the user demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Recognise the form and hold the kernel to it.
    #[default]
    Auto,
    /// The kernel must have the seed patch.
    Seed,
    /// The kernel must have the form of mainline since 5.4.
    Mainline,
}
