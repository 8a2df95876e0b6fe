// SPDX-License-Identifier: GPL-2.0

//! `mn-inject`: parses the command line and turns the outcome into an exit code.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use mn_inject::cli::Cli;
use mn_inject::cli::here::carry_out;
use mn_inject::guest;
use mn_inject::model::exit::Exit;

fn main() -> ExitCode {
    if guest::is_init() {
        guest::init();
    }
    let cli = match Cli::try_parse() {
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
    match carry_out(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::NoVerdict.into(),
        Err(error) => {
            eprintln!("mn-inject: {error:#}");
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
