// SPDX-License-Identifier: GPL-2.0

//! Does what the command line says, on this machine.

use std::io;

use anyhow::Result;

use crate::cli::{Command, ListArgs, Process, judge, list, rules, run};
use crate::model::exit::Exit;
use crate::observe::CGROUP_PREFIX;
use crate::{scenario, trigger, vm};

/// Does a command.
///
/// # Errors
///
/// It could not be done; nothing was said about a kernel.
pub fn carry_out(command: Command) -> Result<Exit> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::List(args) => list_scenarios(&args),
        Command::Vm(command) => vm::main(command),
        Command::Process(process) => process.main(),
    }
}

impl Process {
    /// Is that process, to its end.
    ///
    /// # Errors
    ///
    /// It cannot do what it is told.
    pub fn main(self) -> Result<Exit> {
        match self {
            Process::Subject => trigger::subject::main(),
            Process::Helper => trigger::helper::main(),
            Process::Guard => trigger::guard::main(CGROUP_PREFIX),
        }?;
        Ok(Exit::Pass)
    }
}

fn list_scenarios(args: &ListArgs) -> Result<Exit> {
    if args.rules {
        rules::print(args.format, &mut io::stdout().lock())?;
        return Ok(Exit::Pass);
    }
    let scenarios = scenario::select(&args.only);
    if scenarios.is_empty() {
        eprintln!("{}", scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    list::print(&scenarios, args.format, &mut io::stdout().lock())?;
    Ok(Exit::Pass)
}
