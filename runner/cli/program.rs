// SPDX-License-Identifier: GPL-2.0

//! Frame of a program: parses its command line and turns the outcome into an exit code.

use std::io;

use anyhow::Result;
use clap::Parser;

use crate::model::exit::Exit;

/// Parses the command line of the program `name`, and passes it to `carry_out`. An error is printed
/// on standard error.
pub fn main<C: Parser>(name: &str, carry_out: impl FnOnce(C) -> Result<Exit>) -> Exit {
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
