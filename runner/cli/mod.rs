// SPDX-License-Identifier: GPL-2.0

//! The command line.

pub mod here;
pub mod list;
pub mod rules;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exercise::hostile::condition::ConditionArgs;
use crate::exercise::stress::victim::VictimArgs;
use crate::exercise::{FloodOptions, FuzzOptions, HostileOptions, StressOptions};
use crate::model::Expect;
use crate::report::format::{Format, SimpleFormat};
use crate::vm::args::VmCommand;

/// Make mmu notifiers fail on purpose and prove whether the kernel notices.
#[derive(Debug, Parser)]
#[command(name = "mn-inject", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the scenarios on the kernel that is running now (root, module loaded or --module)
    Run(RunArgs),
    /// Show the scenarios with what each expects
    List(ListArgs),
    /// Load, attach, make fail and unload from all sides at once on the running kernel (root)
    Stress(StressArgs),
    /// Write nonsense to the module's files on the running kernel (root)
    Fuzz(FuzzArgs),
    /// Run the scenarios while they are disturbed, and kill the run (root; for disposable machines)
    Hostile(HostileArgs),
    /// Make very many callbacks fail on the running kernel, and account for each (root)
    Flood(FloodArgs),
    /// Build a kernel and the module, and run the scenarios in a virtual machine
    #[command(subcommand)]
    Vm(VmCommand),
    /// The process whose address space a scenario works on (started by `run`)
    #[command(hide = true)]
    Subject,
    /// The process that does for `run` what may wait for ever (started by `run`)
    #[command(hide = true)]
    Helper,
    /// The process that takes away what a killed run has left (started by `run`)
    #[command(hide = true)]
    Guard,
    /// A process that disturbs a run (started by `hostile`)
    #[command(hide = true)]
    Condition(ConditionArgs),
    /// The processes that the stress works on (started by `stress`)
    #[command(hide = true)]
    Victim(VictimArgs),
}

/// What to run and how to say it: the same on real hardware and in a VM.
#[derive(Clone, Debug, Default, Args)]
pub struct SuiteArgs {
    /// The form of the check that the kernel must have
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub expect: Expect,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `mn-inject run`
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// What to run
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Load this module first and unload it at the end
    #[arg(long, value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// Also write the JSON report and the kernel's log to this directory
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Run although a WARN would bring the machine down (panic_on_warn, warn_limit)
    #[arg(long)]
    pub allow_panic_on_warn: bool,
    /// Run this scenario alone although it spoils the boot: it may leave a task that nobody can kill,
    /// turn lockdep off, or make the kernel kill a process; the module stays loaded
    #[arg(long, value_name = "NAME", conflicts_with = "only")]
    pub alone: Option<String>,
    /// Also run the scenarios that may harm other processes (global OOM); for disposable machines
    #[arg(long)]
    pub disposable: bool,
}

/// `mn-inject list`
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Show only the scenarios whose name matches
    #[arg(long, value_name = "GLOB", conflicts_with = "rules")]
    pub only: Vec<String>,
    /// Show the contract instead: its rules, and what the kernel says of whoever breaks them
    #[arg(long)]
    pub rules: bool,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `mn-inject stress`
#[derive(Clone, Debug, Args)]
pub struct StressArgs {
    /// What to do
    #[command(flatten)]
    pub options: StressOptions,
    /// The module; must not be loaded
    #[arg(long, value_name = "PATH")]
    pub module: PathBuf,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `mn-inject fuzz`
#[derive(Clone, Debug, Args)]
pub struct FuzzArgs {
    /// What to do
    #[command(flatten)]
    pub options: FuzzOptions,
    /// Load this module first and unload it at the end
    #[arg(long, value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `mn-inject hostile`
#[derive(Clone, Debug, Args)]
pub struct HostileArgs {
    /// What to do
    #[command(flatten)]
    pub options: HostileOptions,
    /// The module; must not be loaded
    #[arg(long, value_name = "PATH")]
    pub module: PathBuf,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `mn-inject flood`
#[derive(Clone, Debug, Args)]
pub struct FloodArgs {
    /// What to do
    #[command(flatten)]
    pub options: FloodOptions,
    /// Load this module first and unload it at the end
    #[arg(long, value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}
