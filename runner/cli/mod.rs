// SPDX-License-Identifier: GPL-2.0

//! The command line.

pub mod here;
pub mod judge;
pub mod list;
pub mod program;
pub mod rules;
pub mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::model::Form;
use crate::report::format::{Format, SimpleFormat};
use crate::suite::SuiteArgs;
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
    /// Judge a run again from its results.jsonl, which `run` and `vm run` keep
    Judge(JudgeArgs),
    /// Build a kernel and the module, and run the scenarios in a virtual machine
    #[command(subcommand)]
    Vm(VmCommand),
    /// A process that another command has started
    #[command(flatten)]
    Process(Process),
}

/// The processes that a run starts, which are the program itself once more (`/proc/self/exe`).
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Process {
    /// The process whose address space a scenario works on (started by `run`)
    #[command(hide = true)]
    Subject,
    /// The process that does for `run` what may wait for ever (started by `run`)
    #[command(hide = true)]
    Helper,
    /// The process that takes away what a killed run has left (started by `run`)
    #[command(hide = true)]
    Guard,
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

/// `mn-inject judge`
#[derive(Clone, Debug, Args)]
pub struct JudgeArgs {
    /// The results.jsonl of a run, each by itself
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The form of the check that the kernel must have, instead of the one that the run demanded
    #[arg(long, value_enum, value_name = "FORM")]
    pub expect: Option<Form>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
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
