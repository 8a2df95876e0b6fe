// SPDX-License-Identifier: GPL-2.0

//! The tasks, and their options as the command line and the guest get them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use mn_inject::model::Form;

/// Options of `cases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CasesOptions {
    /// Only the cases whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
}

/// Options of `stress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct StressOptions {
    /// Duration in seconds
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Seed of the random choices; the same seed makes the same choices
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Unload and load the module this many times under load, and end with the last one instead
    /// of after --seconds
    #[arg(long, value_name = "N")]
    pub reloads: Option<u64>,
}

/// Options of `fuzz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FuzzOptions {
    /// Number of writes
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    pub writes: u64,
    /// Seed of the random choices; the same seed makes the same writes
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
}

/// Options of `hostile`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct HostileOptions {
    /// Disturb the runs in this way (may be repeated; all if not given)
    #[arg(long, value_name = "NAME")]
    pub condition: Vec<String>,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Number of runs to kill
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub kills: u64,
    /// Seed of the random choices: moments of kills, stops and jumps
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
}

/// Options of `flood`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FloodOptions {
    /// Minimum number of callbacks to make fail
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub failures: u64,
    /// The form of the check that the kernel must have; without it, the one that is recognised
    #[arg(long, value_enum, value_name = "FORM")]
    pub expect: Option<Form>,
}

/// Options of `bench`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct BenchOptions {
    /// Measure everything so many times
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Path of the module with a notifier that does nothing; not on the command line of `vm`.
    #[arg(skip)]
    pub null: Option<PathBuf>,
    /// Nanoseconds per instruction, where time is virtual.
    #[arg(skip)]
    pub instruction_ns: Option<u32>,
}

/// Options of `fail-nth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FailNthOptions {
    /// Only the walks whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
}

/// An exercise with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Carry out the module's cases.
    Cases(CasesOptions),
    /// Load and unload the module, attach processes and make callbacks fail, all at once.
    Stress(StressOptions),
    /// Write nonsense to the module's files.
    Fuzz(FuzzOptions),
    /// Run the scenarios while they are disturbed, and kill the run.
    Hostile(HostileOptions),
    /// Make very many callbacks fail.
    Flood(FloodOptions),
    /// Measure the cost of notifiers.
    Bench(BenchOptions),
    /// Make each allocation of each system call fail.
    FailNth(FailNthOptions),
}

impl Task {
    /// Name of its command.
    pub const fn name(&self) -> &'static str {
        match self {
            Task::Cases(_) => "cases",
            Task::Stress(_) => "stress",
            Task::Fuzz(_) => "fuzz",
            Task::Hostile(_) => "hostile",
            Task::Flood(_) => "flood",
            Task::Bench(_) => "bench",
            Task::FailNth(_) => "fail-nth",
        }
    }

    /// Seed of its random choices, if it makes any.
    pub const fn seed(&self) -> Option<u64> {
        match self {
            Task::Stress(options) => Some(options.seed),
            Task::Fuzz(options) => Some(options.seed),
            Task::Hostile(options) => Some(options.seed),
            Task::Cases(_) | Task::Flood(_) | Task::Bench(_) | Task::FailNth(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_can_be_sent_to_the_guest() {
        for task in [
            Task::Cases(CasesOptions {
                only: vec!["zap".to_owned()],
            }),
            Task::Stress(StressOptions {
                seconds: 1,
                seed: 2,
                reloads: Some(3),
            }),
            Task::Fuzz(FuzzOptions { writes: 1, seed: 2 }),
            Task::Hostile(HostileOptions {
                condition: vec!["load".to_owned()],
                only: Vec::new(),
                kills: 3,
                seed: 1,
            }),
            Task::Flood(FloodOptions {
                failures: 7,
                expect: Some(Form::Mainline),
            }),
            Task::Bench(BenchOptions {
                rounds: 3,
                null: Some("/null.ko".into()),
                instruction_ns: Some(32),
            }),
            Task::FailNth(FailNthOptions {
                only: vec!["attach-*".to_owned()],
            }),
        ] {
            let value = serde_json::to_value(&task).unwrap();
            assert_eq!(serde_json::from_value::<Task>(value).unwrap(), task);
        }
    }
}
