// SPDX-License-Identifier: GPL-2.0

//! What came of a task: not a verdict on the kernel's check, but on the module and whatever it
//! touches, or on `mn-inject`.

use serde::{Deserialize, Serialize};

/// What came of an exercise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// What was done how often: (operation, count), in an order that never changes.
    pub operations: Vec<(String, u64)>,
    /// What was wrong, each with all that it takes to do it again.
    pub findings: Vec<String>,
    /// Why the exercise proves nothing, where it does not (it could not be carried out).
    pub trouble: Vec<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Exercise {
    /// Whether nothing is wrong, and nothing kept it from coming to its end.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty() && self.trouble.is_empty()
    }
}
