// SPDX-License-Identifier: GPL-2.0

//! The functions of a kernel that call notifiers, and the scenarios that reached them.
//! `docs/report.md` describes their JSON.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Context, NotifierKind};

/// A function that calls notifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name. A function that is inlined into it has no name of its own.
    pub function: String,
    /// The number of calls in it.
    pub calls: usize,
    /// The places of the calls in the source, as `FILE:LINE`, where it is known. In a recording of a
    /// version before 14 there are none.
    #[serde(default)]
    pub places: Vec<String>,
}

/// A function that calls notifiers, and the scenarios in which it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteCoverage {
    /// Its name.
    pub function: String,
    /// The number of calls in it, which the module's log does not tell apart.
    pub calls: usize,
    /// Their places in the source, as `FILE:LINE`, where it is known.
    pub places: Vec<String>,
    /// The scenarios.
    pub scenarios: BTreeSet<String>,
    /// The kinds of notifiers that it called.
    pub kinds: Vec<NotifierKind>,
    /// The contexts of the calls.
    pub contexts: Vec<Context>,
    /// Whether a callback failed in one of them.
    pub has_failed: bool,
    /// The reason why it was not reached; absent where none is known.
    pub why_not: Option<String>,
}

impl SiteCoverage {
    /// Whether a scenario made it call a notifier.
    pub fn is_reached(&self) -> bool {
        !self.scenarios.is_empty()
    }
}

/// The functions of a kernel that call notifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The functions, in the order of their addresses.
    pub sites: Vec<SiteCoverage>,
    /// The number of those that were reached.
    pub reached: usize,
}
