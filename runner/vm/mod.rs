// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm`: builds a kernel, boots it, and gives a verdict on it.
//!
//! [`build`] makes a kernel and the module; [`boot`] runs guests and makes a report of the lines that
//! they send; [`commands`] has a file for each command; [`host`] has what they need of the machine:
//! cache, progress, signals.

pub mod arch;
pub mod args;
pub mod boot;
pub mod build;
pub mod commands;
pub mod config_line;
pub mod host;
pub mod kernels;

use anyhow::Result;

use crate::model::exit::Exit;
use crate::vm::args::VmCommand;
use crate::vm::commands::{floor, matrix, mutants, run, shell};
use crate::vm::host::progress::Ui;
use crate::vm::host::signals::Interrupted;
use crate::vm::host::{cache, signals};

/// Carries out a command, and returns its exit code. A failure is printed on standard error, and
/// becomes [`Exit::Unavailable`].
///
/// # Errors
///
/// The signal handlers cannot be installed.
pub fn main(command: VmCommand) -> Result<Exit> {
    with_ui("mn-inject", |ui| match command {
        VmCommand::Run(args) => run::run(&args, ui),
        VmCommand::Matrix(args) => matrix::run(&args, ui),
        VmCommand::Mutants(args) => mutants::run(&args, ui),
        VmCommand::Build(args) => commands::build::run(&args, ui),
        VmCommand::Shell(args) => shell::run(&args, ui),
        VmCommand::Floor(args) => floor::run(&args, ui),
        VmCommand::Clean => cache::clean(ui).map(|()| Exit::Pass),
    })
}

/// Calls `work` for the program `program`. SIGINT and SIGTERM end it with [`Exit::Interrupted`]. A
/// failure is printed on standard error, and becomes [`Exit::Unavailable`].
///
/// # Errors
///
/// The signal handlers cannot be installed.
pub fn with_ui(program: &str, work: impl FnOnce(&Ui) -> Result<Exit>) -> Result<Exit> {
    signals::install()?;
    let ui = Ui::new();
    Ok(work(&ui).unwrap_or_else(|error| {
        if error.is::<Interrupted>() {
            ui.text(&format!("{program}: interrupted"));
            return Exit::Interrupted;
        }
        ui.text(&format!("{program}: {error:#}"));
        Exit::Unavailable
    }))
}
