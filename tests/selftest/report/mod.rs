// SPDX-License-Identifier: GPL-2.0

//! The report of a task, and its exit code.

mod human;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use mn_inject::model::exit::Exit;
use mn_inject::model::{KernelInfo, VmInfo};
use mn_inject::report::format::SimpleFormat;
use mn_inject::report::json;
use mn_inject::vm::build::stage::quote;

use crate::NAME;
use crate::exercise::{CaseVerdict, Exercise};
use crate::task::Task;

/// The report of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExerciseReport {
    /// Version of this format; see `docs/report.md`.
    pub schema: u32,
    /// `mn-selftest` and its version.
    pub tool: String,
    /// The task and its options.
    pub task: Task,
    /// The command that repeats it.
    pub again: String,
    /// The kernel; absent if the guest did not begin.
    pub kernel: Option<KernelInfo>,
    /// The virtual machine; absent on real hardware.
    pub vm: Option<VmInfo>,
    /// The outcome.
    pub exercise: Exercise,
}

/// The current [`ExerciseReport::schema`].
pub const SCHEMA: u32 = 5;

impl ExerciseReport {
    /// The exit code: 1 if there is a finding, 70 if the exercise proves nothing, 4 if all cases
    /// are skipped, and 0 only if something was done and there is no finding.
    pub fn exit(&self) -> Exit {
        let exercise = &self.exercise;
        let is_done = exercise.operations.iter().any(|(_, count)| *count > 0)
            || exercise.cases_of(CaseVerdict::Ok) > 0;
        if exercise.wrong() > 0 {
            Exit::Fail
        } else if exercise.is_in_trouble() {
            Exit::NoVerdict
        } else if is_done {
            Exit::Pass
        } else if exercise.cases_of(CaseVerdict::Skipped) > 0 {
            Exit::Skip
        } else {
            Exit::NoVerdict
        }
    }

    /// Prints the report.
    ///
    /// # Errors
    ///
    /// `out` cannot be written to.
    pub fn print(&self, format: SimpleFormat, out: &mut dyn Write) -> io::Result<()> {
        match format {
            SimpleFormat::Human => human::print(self, out)?,
            SimpleFormat::Json => json::print(self, out)?,
        }
        out.flush()
    }
}

/// The command line of this program, quoted for a shell.
pub fn command_line() -> String {
    let words: Vec<_> = std::env::args_os()
        .skip(1)
        .map(|word| quote(&word.to_string_lossy()))
        .collect();
    format!("{NAME} {}", words.join(" "))
}
