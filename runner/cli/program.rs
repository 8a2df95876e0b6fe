// SPDX-License-Identifier: GPL-2.0

//! Frame of a program: parses its command line and turns the outcome into an exit code.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use clap::Parser;

use crate::model::exit::Exit;

/// Option with which the exit code is one for `git bisect run`.
const GIT_BISECT: &str = "--git-bisect";

/// Parses the command line of the program `name`, and passes it to `carry_out`. An error is printed
/// on standard error.
pub fn main<C: Parser>(name: &str, carry_out: impl FnOnce(C) -> Result<Exit>) -> Exit {
    // Not from the parsed command line: an error in that must not make a commit bad either.
    if std::env::args_os().any(|word| word == GIT_BISECT) {
        bisecting(|| exit(name, carry_out))
    } else {
        exit(name, carry_out)
    }
}

/// Exit code for `git bisect run`.
fn bisecting(exit: impl FnOnce() -> Exit) -> Exit {
    // Rust's own code after a panic, 101, would be that of a bad commit.
    catch_unwind(AssertUnwindSafe(exit))
        .unwrap_or(Exit::Abort)
        .for_git_bisect()
}

/// Outcome of the program.
fn exit<C: Parser>(name: &str, carry_out: impl FnOnce(C) -> Result<Exit>) -> Exit {
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. clap's own code for the others is 2, which the
            // kselftest runner counts as a pass.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Pass
            };
            // If this write fails, there is no other place to report it.
            let _ = error.print();
            return exit;
        }
    };
    match carry_out(cli) {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::NoVerdict,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            Exit::Unavailable
        }
    }
}

/// Whether the reader of the output has closed it. Then the verdict was not delivered, and there is
/// no use in an error message.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_makes_no_commit_bad() {
        assert_eq!(bisecting(|| panic!("on purpose")), Exit::Abort);
        assert_eq!(bisecting(|| Exit::NoVerdict), Exit::Untestable);
    }
}
