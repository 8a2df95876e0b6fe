// SPDX-License-Identifier: GPL-2.0

//! What `stress` and `fuzz` are told, and what came of them: not a verdict on the kernel's check,
//! but on the module and on whatever it touches.

use serde::{Deserialize, Serialize};

/// What `stress` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct StressOptions {
    /// How long, in seconds
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Where the random choices start; the same seed makes the same choices
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Unload and load the module this many times under load, and end with the last one instead
    /// of after --seconds
    #[arg(long, value_name = "N")]
    pub reloads: Option<u64>,
}

/// What `fuzz` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FuzzOptions {
    /// How many writes
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    pub writes: u64,
    /// Where the random choices start; the same seed makes the same writes
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
}

/// What came of `stress` or `fuzz`.
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
