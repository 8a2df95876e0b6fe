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

use crate::exercise::Task;
use crate::model::exit::Exit;
use crate::vm::args::VmCommand;
use crate::vm::commands::{exercise, floor, matrix, mutants, run, shell};
use crate::vm::host::progress::Ui;
use crate::vm::host::signals::Interrupted;
use crate::vm::host::{cache, signals};

/// Does a command, and says on stderr what kept it from being done.
///
/// # Errors
///
/// None that a user could cause: those are told and become [`Exit::Unavailable`].
pub fn main(command: VmCommand) -> Result<Exit> {
    signals::install()?;
    let ui = Ui::new();
    let result = match command {
        VmCommand::Run(args) => run::run(&args, &ui),
        VmCommand::Matrix(args) => matrix::run(&args, &ui),
        VmCommand::Mutants(args) => mutants::run(&args, &ui),
        VmCommand::Build(args) => commands::build::run(&args, &ui),
        VmCommand::Stress(args) => exercise::run(Task::Stress(args.options), &args.machine, &ui),
        VmCommand::Fuzz(args) => exercise::run(Task::Fuzz(args.options), &args.machine, &ui),
        VmCommand::Hostile(args) => exercise::run(Task::Hostile(args.options), &args.machine, &ui),
        VmCommand::Flood(args) => exercise::run(Task::Flood(args.options), &args.machine, &ui),
        VmCommand::Shell(args) => shell::run(&args, &ui),
        VmCommand::Floor(args) => floor::run(&args, &ui),
        VmCommand::Clean => cache::clean(&ui).map(|()| Exit::Pass),
    };
    Ok(result.unwrap_or_else(|error| {
        if error.is::<Interrupted>() {
            ui.text("mn-inject: interrupted");
            return Exit::Interrupted;
        }
        ui.text(&format!("mn-inject: {error:#}"));
        Exit::Unavailable
    }))
}
