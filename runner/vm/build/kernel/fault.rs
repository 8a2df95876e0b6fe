// SPDX-License-Identifier: GPL-2.0

//! Whether a build failed because of the kernel that is built, or because of the machine.

use crate::vm::build::stage::StageError;

/// The kernel dropped options that were asked for; with the message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Dropped(pub(super) String);

/// Stages that compile what belongs to the kernel under test.
const STAGES: [&str; 2] = ["kernel", "module"];

/// Whether an error is one of the kernel under test: it, or the module on it, cannot be configured
/// or compiled.
pub fn is_of_kernel(error: &anyhow::Error) -> bool {
    error.is::<Dropped>()
        || error
            .downcast_ref::<StageError>()
            .is_some_and(|error| STAGES.contains(&error.stage()) && !error.is_of_machine())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use anyhow::{Context as _, Result};

    use super::*;
    use crate::vm::build::stage::{self, Log};
    use crate::vm::host::progress::Ui;

    /// The error of a shell script as a stage.
    fn failed(stage: &'static str, script: &str) -> Result<anyhow::Error> {
        let dir = tempfile::tempdir()?;
        let ui = Ui::new();
        let task = ui.begin(stage, "fails");
        let mut log = Log::create(dir.path().join("log"))?;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let result = stage::run(&task, &mut log, &mut command, |_| {});
        result.err().context("it did not fail")
    }

    #[test]
    fn a_kernel_that_does_not_build_is_told_from_a_machine_that_fails() -> Result<()> {
        let broken = "echo 'mm/x.c:1: error: x'; exit 2";
        for stage in ["kernel", "module"] {
            assert!(is_of_kernel(&failed(stage, broken)?));
            // Callers may say more.
            assert!(is_of_kernel(
                &failed(stage, broken)?.context("in this tree")
            ));
        }
        let error = failed("kernel", broken)?.downcast::<StageError>()?;
        let error = error.renamed("mm".as_ref(), "/tree/mm".as_ref()).into();
        assert!(
            format!("{error:#}").contains(" /tree/mm/x.c:1: error"),
            "{error:#}"
        );
        assert!(is_of_kernel(&error));
        assert!(!is_of_kernel(&failed("bindgen", broken)?));
        let full = "echo 'cc: No space left on device'; exit 2";
        assert!(!is_of_kernel(&failed("kernel", full)?));
        assert!(!is_of_kernel(&failed("kernel", "kill -KILL $$")?));
        assert!(is_of_kernel(&Dropped(String::new()).into()));
        assert!(!is_of_kernel(&anyhow::anyhow!("cannot read a file")));
        Ok(())
    }
}
