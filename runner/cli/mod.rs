// SPDX-License-Identifier: GPL-2.0

//! The command line of `mn-inject`: its commands and their arguments. Each command has a file of
//! its own; [`here`] calls them.

pub mod coverage;
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
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the scenarios on the kernel that is running now (root, module loaded or --module)
    Run(RunArgs),
    /// List the scenarios with the expectation of each
    List(ListArgs),
    /// Judge recorded runs again: the results.jsonl that `run --output` and `vm run` keep
    Judge(JudgeArgs),
    /// Tell which callers of notifiers in a kernel recorded runs have reached
    Coverage(CoverageArgs),
    /// Build a kernel and the module, and run the scenarios in a virtual machine
    #[command(subcommand)]
    Vm(VmCommand),
    /// A process that another command starts
    #[command(flatten)]
    Process(Process),
}

/// The processes that a run starts. They run the same program (`/proc/self/exe`).
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Process {
    /// The process whose address space a scenario works on, the subject (started by `run`)
    #[command(hide = true)]
    Subject,
    /// The process that makes the calls that may block forever (started by `run`)
    #[command(hide = true)]
    Helper,
    /// The process that cleans up after a killed run (started by `run`)
    #[command(hide = true)]
    Guard,
}

/// Arguments of `mn-inject run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// The selection of scenarios, and the form of the output
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Load this module before the run and unload it at the end
    #[arg(long, value_name = "PATH")]
    pub module: Option<PathBuf>,
    /// Also write the recording (results.jsonl) and the JSON report to this directory
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Run even if a WARN would bring the machine down (panic_on_warn, warn_limit)
    #[arg(long)]
    pub allow_panic_on_warn: bool,
    /// Run only this scenario even if it spoils the boot: it may leave a task that cannot be killed,
    /// turn lockdep off, or make the kernel kill a process; the module stays loaded
    #[arg(long, value_name = "NAME", conflicts_with = "only")]
    pub alone: Option<String>,
    /// Also run the scenarios that may harm other processes (global OOM); for disposable machines
    #[arg(long)]
    pub disposable: bool,
}

/// Arguments of `mn-inject judge`.
#[derive(Clone, Debug, Args)]
pub struct JudgeArgs {
    /// The results.jsonl of each run; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The form of the check that the kernel must have [default: the one that the run demanded]
    #[arg(long, value_enum, value_name = "FORM")]
    pub expect: Option<Form>,
    /// The format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `mn-inject coverage`.
#[derive(Clone, Debug, Args)]
pub struct CoverageArgs {
    /// The results.jsonl of each run; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The ELF file of the kernel, with symbols [default: that of the run, if it was in a VM]
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// The source tree of the kernel, for the file and line of each call [default: as the run has it]
    #[arg(long, value_name = "DIR")]
    pub linux: Option<PathBuf>,
    /// Fail unless so many functions that call notifiers are reached
    #[arg(long, value_name = "N")]
    pub fail_under: Option<usize>,
    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// Arguments of `mn-inject list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// List only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB", conflicts_with = "rules")]
    pub only: Vec<String>,
    /// Print the contract instead: its rules, and the kernel's messages about violations
    #[arg(long)]
    pub rules: bool,
    /// The format of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}
