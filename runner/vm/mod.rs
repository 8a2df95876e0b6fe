// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm`: from a machine with nothing to a verdict on a kernel.
//!
//! [`build`] makes a kernel and the module, [`boot`] runs guests and makes a report of what they
//! send, [`commands`] has a file for each command, and [`host`] is what all of them need of the
//! machine.

pub mod args;
pub mod boot;
pub mod build;
pub mod commands;
pub mod host;
pub mod kernels;

use anyhow::Result;

use crate::model::exit::Exit;
use crate::vm::args::VmCommand;
use crate::vm::commands::{floor, matrix, mutants, run, shell};
use crate::vm::host::progress::Ui;
use crate::vm::host::signals::Interrupted;
use crate::vm::host::{cache, signals};

/// Does a command, and says on stderr what kept it from being done.
///
/// # Errors
///
/// None that a user could cause: those are told and become [`Exit::Unavailable`].
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

/// Does `work` for the program of that name, which SIGINT and SIGTERM interrupt, and says on stderr
/// what kept it from being done.
///
/// # Errors
///
/// None that a user could cause: those are told and become [`Exit::Unavailable`].
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
