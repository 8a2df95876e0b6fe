// SPDX-License-Identifier: GPL-2.0

//! Carries out the command that the command line names.

use anyhow::Result;

use crate::cli::{Command, Process, coverage, judge, list, run};
use crate::model::exit::Exit;
use crate::observe::CGROUP_PREFIX;
use crate::{trigger, vm};

/// Carries out a command, and returns its exit code.
///
/// # Errors
///
/// The command could not be carried out; there is no verdict on a kernel.
pub fn carry_out(command: Command) -> Result<Exit> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::List(args) => list::run(&args),
        Command::Vm(command) => vm::main(command),
        Command::Process(process) => process.main(),
    }
}

impl Process {
    /// Main function of the process, which ends with its standard input.
    ///
    /// # Errors
    ///
    /// A request on standard input cannot be read or carried out, or its answer not be written.
    pub fn main(self) -> Result<Exit> {
        match self {
            Process::Subject => trigger::subject::main(),
            Process::Helper => trigger::helper::main(),
            Process::Guard => trigger::guard::main(CGROUP_PREFIX),
        }?;
        Ok(Exit::Pass)
    }
}
