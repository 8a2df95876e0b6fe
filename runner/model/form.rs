// SPDX-License-Identifier: GPL-2.0

//! Form of the check in the kernel under test: the one demanded, and the one recognised.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Form of the check: the one that a kernel promises, or the one that the user demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The form of the seed patch: info line, and a pr_warn in blockable context
    Seed,
    /// The form of mainline since 5.4: info line, and a WARN unless -EAGAIN in non-blockable context
    Mainline,
}

impl Form {
    /// Both forms.
    pub const ALL: [Form; 2] = [Form::Seed, Form::Mainline];

    /// Name of the form, in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Seed => "seed",
            Form::Mainline => "mainline",
        }
    }
}

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
