// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Parser, Subcommand};

use mn_inject::cli::{Process, RunArgs};
use mn_inject::report::format::SimpleFormat;
use mn_inject::vm::args::VmGuestArgs;

use crate::hostile;
use crate::hostile::condition::ConditionArgs;
use crate::stress::role::VictimArgs;
use crate::task::{
    BenchOptions, CasesOptions, FailNthOptions, FloodOptions, FuzzOptions, HostileOptions,
    StressOptions,
};

/// Test the module of mn-inject, and mn-inject itself.
#[derive(Debug, Parser)]
#[command(name = crate::NAME, version, max_term_width = 100)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Carry out the module's cases on the running kernel, with a verdict on each (root)
    Cases(CasesArgs),
    /// Write nonsense to the module's files on the running kernel (root)
    Fuzz(Here<FuzzOptions>),
    /// Load, attach, make fail and unload from all sides at once on the running kernel (root)
    #[command(mut_arg("module", loads_itself))]
    Stress(Here<StressOptions>),
    /// Run the scenarios while they are disturbed, and kill the run (root; for disposable machines)
    #[command(
        mut_arg("module", loads_itself),
        mut_arg("condition", one_of_conditions)
    )]
    Hostile(Here<HostileOptions>),
    /// Make very many callbacks fail on the running kernel, and account for each (root)
    Flood(Here<FloodOptions>),
    /// Measure what notifiers cost on the running kernel (root)
    Bench(BenchArgs),
    /// Make each allocation of each system call fail on the running kernel, one at a time (root)
    #[command(mut_arg("module", loads_itself))]
    FailNth(Here<FailNthOptions>),
    /// Do the same in a virtual machine
    #[command(subcommand)]
    Vm(VmCommand),
    /// `mn-inject run` (started by `hostile`)
    #[command(hide = true)]
    Run(RunArgs),
    /// A process of a run (started by `run`)
    #[command(flatten)]
    Process(Process),
    /// A process that disturbs a run (started by `hostile`)
    #[command(hide = true)]
    Condition(ConditionArgs),
    /// The process that `bench` measures (started by `bench`)
    #[command(hide = true, name = crate::bench::process::COMMAND)]
    Measured,
    /// The processes that the stress works on (started by `stress`)
    #[command(hide = true)]
    Victim(VictimArgs),
}

/// `mn-selftest vm`
#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Do what `mn-selftest cases` does in a virtual machine
    Cases(InVm<CasesOptions>),
    /// Do what `mn-selftest fuzz` does in a virtual machine with a kernel that checks itself
    Fuzz(InVm<FuzzOptions>),
    /// Do what `mn-selftest stress` does in a virtual machine with a kernel that checks itself
    #[command(mut_arg("config", |config| config.default_value("debug")))]
    Stress(InVm<StressOptions>),
    /// Do what `mn-selftest hostile` does in a virtual machine
    #[command(mut_arg("condition", one_of_conditions))]
    Hostile(InVm<HostileOptions>),
    /// Do what `mn-selftest flood` does in a virtual machine
    Flood(InVm<FloodOptions>),
    /// Do what `mn-selftest bench` does in a virtual machine, in instructions
    Bench(InVm<BenchOptions>),
    /// Do what `mn-selftest fail-nth` does in a virtual machine with a kernel that checks itself
    #[command(mut_arg("config", |config| config.default_value("debug")))]
    FailNth(InVm<FailNthOptions>),
}

/// `mn-selftest cases`
#[derive(Clone, Debug, Args)]
pub struct CasesArgs {
    /// The task and the module
    #[command(flatten)]
    pub here: Here<CasesOptions>,
    /// Print the table of the cases, as in docs/module.md, and do nothing else
    #[arg(long, conflicts_with_all = ["only", "module", "format"])]
    pub list: bool,
}

/// `mn-selftest bench`
#[derive(Clone, Debug, Args)]
#[command(mut_arg("module", loads_itself))]
pub struct BenchArgs {
    /// The task and the module
    #[command(flatten)]
    pub here: Here<BenchOptions>,
    /// The module of tests/bench/, with a notifier that does nothing
    #[arg(long, value_name = "PATH")]
    pub null: PathBuf,
}

/// A task on the running kernel.
#[derive(Clone, Debug, Args)]
pub struct Here<T: Args> {
    /// The task
    #[command(flatten)]
    pub options: T,
    /// Load this module first and unload it at the end
    #[arg(long, value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// A task in a virtual machine.
#[derive(Clone, Debug, Args)]
pub struct InVm<T: Args> {
    /// The task
    #[command(flatten)]
    pub options: T,
    /// The guest
    #[command(flatten)]
    pub guest: VmGuestArgs,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `--module` of a task that loads the module itself.
fn loads_itself(module: Arg) -> Arg {
    module.required(true).help("The module; must not be loaded")
}

fn one_of_conditions(condition: Arg) -> Arg {
    condition.value_parser(PossibleValuesParser::new(hostile::names()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }
}
