// SPDX-License-Identifier: GPL-2.0

//! The frame of a program: parses its command line and turns the outcome into an exit code.

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::model::exit::Exit;

/// Parses the command line of the program of that name, and carries out what it says.
pub fn main<C: Parser>(name: &str, carry_out: impl FnOnce(C) -> Result<Exit>) -> ExitCode {
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
            // Nobody is left to be told if this fails.
            let _ = error.print();
            return exit.into();
        }
    };
    match carry_out(cli) {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::NoVerdict.into(),
        Err(error) => {
            eprintln!("{name}: {error:#}");
            Exit::Unavailable.into()
        }
    }
}

/// Whether whoever reads our output is gone: nothing more to say, and nobody was told a verdict.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
