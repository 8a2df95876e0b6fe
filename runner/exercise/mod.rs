// SPDX-License-Identifier: GPL-2.0

//! What `stress`, `fuzz`, `hostile` and `flood` are told, and what came of them: not a verdict on
//! the kernel's check, but on the module and whatever it touches, or on this program.

pub mod flood;
pub mod fuzz;
pub mod hostile;
pub mod module_cases;
pub mod perform;
pub mod stress;

use serde::{Deserialize, Serialize};

use crate::model::exit::Exit;
use crate::model::{Expect, KernelInfo, VmInfo};

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

/// What `hostile` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct HostileOptions {
    /// Disturb the runs in this way (may be repeated; all if not given)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(hostile::names()))]
    pub condition: Vec<String>,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// How many runs are killed
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub kills: u64,
    /// Where the random choices start: moments of kills, stops and jumps
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
}

/// What `flood` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct FloodOptions {
    /// How many callbacks fail, at least
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub failures: u64,
    /// The form of the check that the kernel must have
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub expect: Expect,
}

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

/// One of the exercises, with what it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Load, unload, attach and make fail from all sides at once.
    Stress(StressOptions),
    /// Write nonsense to the module's files.
    Fuzz(FuzzOptions),
    /// Run the scenarios while somebody disturbs them, and kill the run.
    Hostile(HostileOptions),
    /// Make very many callbacks fail.
    Flood(FloodOptions),
}

impl Task {
    /// Its name, which is that of its command.
    pub const fn name(&self) -> &'static str {
        match self {
            Task::Stress(_) => "stress",
            Task::Fuzz(_) => "fuzz",
            Task::Hostile(_) => "hostile",
            Task::Flood(_) => "flood",
        }
    }

    /// Where its random choices start, if there are any.
    pub const fn seed(&self) -> Option<u64> {
        match self {
            Task::Stress(options) => Some(options.seed),
            Task::Fuzz(options) => Some(options.seed),
            Task::Hostile(options) => Some(options.seed),
            Task::Flood(_) => None,
        }
    }
}

/// One line on the channel between the guest and the host while an exercise runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The runner is up, on that kernel.
    Begin(KernelInfo),
    /// How far it is.
    Say(String),
    /// What came of it. Nothing follows.
    End(Box<Exercise>),
}

/// The whole of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExerciseReport {
    /// Version of this format; see `docs/report.md`.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// What was to be done.
    pub task: Task,
    /// The command that does it again.
    pub again: String,
    /// The kernel; absent where it never answered.
    pub kernel: Option<KernelInfo>,
    /// The virtual machine; absent on real hardware.
    pub vm: Option<VmInfo>,
    /// What came of it.
    pub exercise: Exercise,
}

/// The current [`ExerciseReport::schema`].
pub const SCHEMA: u32 = 3;

impl ExerciseReport {
    /// The exit code: 1 where something is wrong with the module or the kernel, 70 where that
    /// cannot be known, and 0 only where something was done and all of it was well.
    pub fn exit(&self) -> Exit {
        let Exercise {
            operations,
            findings,
            trouble,
            ..
        } = &self.exercise;
        if !findings.is_empty() {
            Exit::Fail
        } else if !trouble.is_empty() || operations.iter().all(|(_, count)| *count == 0) {
            Exit::NoVerdict
        } else {
            Exit::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(operations: &[u64], findings: &[&str], trouble: &[&str]) -> Exit {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ExerciseReport {
            schema: SCHEMA,
            tool: String::new(),
            task: Task::Fuzz(FuzzOptions { writes: 1, seed: 1 }),
            again: String::new(),
            kernel: None,
            vm: None,
            exercise: Exercise {
                operations: operations
                    .iter()
                    .map(|count| ("write".to_owned(), *count))
                    .collect(),
                findings: texts(findings),
                trouble: texts(trouble),
                millis: 1,
            },
        }
        .exit()
    }

    #[test]
    fn only_what_was_done_and_is_well_passes() {
        assert_eq!(exit(&[0, 1], &[], &[]), Exit::Pass);
        assert_eq!(exit(&[], &[], &[]), Exit::NoVerdict);
        assert_eq!(exit(&[0, 0], &[], &[]), Exit::NoVerdict);
        assert_eq!(exit(&[1], &[], &["cut short"]), Exit::NoVerdict);
        assert_eq!(exit(&[1], &["leak"], &[]), Exit::Fail);
        // What was found was found, however the rest went.
        assert_eq!(exit(&[0], &["leak"], &["cut short"]), Exit::Fail);
    }
}
