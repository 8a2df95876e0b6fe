// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exercise::{FloodOptions, FuzzOptions, HostileOptions, StressOptions};
use crate::hostile::condition::ConditionArgs;
use crate::model::Expect;
use crate::stress::victim::VictimArgs;
use crate::vm::kernels::{self, Packaged};

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
    Target,
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

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, with the evidence under every failure.
    #[default]
    Human,
    /// KTAP version 1.
    Ktap,
    /// One JSON document; see docs/report.md.
    Json,
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

/// How something is printed that has no form in KTAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SimpleFormat {
    /// A table.
    #[default]
    Human,
    /// One JSON document.
    Json,
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

/// `mn-inject vm`
#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Build what is missing, boot the guest, run the scenarios, and say the verdict
    Run(VmRunArgs),
    /// Do what `vm run` does on several kernels side by side, and say it in one table
    Matrix(VmMatrixArgs),
    /// Do what `vm run` does on kernels that are wrong on purpose, and say which scenario noticed
    Mutants(VmMutantsArgs),
    /// Build what is missing and print where it is
    Build(VmBuildArgs),
    /// Do what `mn-inject stress` does in a virtual machine with a kernel that checks itself
    Stress(VmStressArgs),
    /// Do what `mn-inject fuzz` does in a virtual machine with a kernel that checks itself
    Fuzz(VmFuzzArgs),
    /// Do what `mn-inject hostile` does in a virtual machine
    Hostile(VmHostileArgs),
    /// Do what `mn-inject flood` does in a virtual machine
    Flood(VmFloodArgs),
    /// Boot the guest to a shell, with the module loaded and debugfs mounted
    Shell(VmShellArgs),
    /// Time a boot of the guest that does nothing, which no run can be quicker than
    Floor(VmFloorArgs),
    /// Remove everything that was built and downloaded
    Clean,
}

/// Where the kernel comes from when no tree of the user's is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Base {
    /// The packaged kernel with the seed patch
    #[default]
    Seed,
    /// The packaged kernel as it is
    Mainline,
}

impl Base {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Base::Seed => "seed",
            Base::Mainline => "mainline",
        }
    }
}

/// Which kernel: a source, patches and a configuration.
#[derive(Clone, Debug, Args)]
pub struct KernelArgs {
    /// The series of Linux whose packaged source is built
    #[arg(
        long,
        default_value = kernels::DEFAULT,
        value_parser = kernels::parser(),
        value_name = "NAME",
        conflicts_with = "linux"
    )]
    pub kernel: &'static Packaged,
    /// The packaged kernel to start from
    #[arg(long, value_enum, default_value_t, conflicts_with = "linux")]
    pub base: Base,
    /// The kernel configuration
    #[arg(long, default_value = "core", value_name = "NAME")]
    pub config: String,
    /// Apply this patch of the kernel, or of this program's module/, on top (may be repeated)
    #[arg(long, value_name = "FILE", conflicts_with = "linux")]
    pub patch: Vec<PathBuf>,
    /// Build this kernel tree instead of a packaged one (the tree itself is left as it is)
    #[arg(long, value_name = "DIR")]
    pub linux: Option<PathBuf>,
    /// Install missing packages with the package manager
    #[arg(long)]
    pub install_deps: bool,
}

impl KernelArgs {
    /// A packaged kernel, by what a command has found out by itself.
    pub fn packaged(
        kernel: &'static Packaged,
        base: Base,
        config: &str,
        patch: Vec<PathBuf>,
    ) -> Self {
        KernelArgs {
            kernel,
            base,
            config: config.to_owned(),
            patch,
            linux: None,
            install_deps: false,
        }
    }
}

/// How the guest is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM where it proves to work, else TCG
    #[default]
    Auto,
    /// QEMU's own translation; works everywhere
    Tcg,
    /// Hardware virtualisation, and an error where it does not work
    Kvm,
}

/// `mn-inject vm run`
#[derive(Clone, Debug, Args)]
pub struct VmRunArgs {
    /// Which kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// What to run
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// How the guest is run
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON report in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Add this to the guest's kernel command line
    #[arg(long, value_name = "ARGS")]
    pub append: Option<String>,
    /// Do it so many times, and say how often it passed
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        conflicts_with = "format",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub times: u32,
}

/// How the suite is run on many kernels.
#[derive(Clone, Debug, Args)]
pub struct VmManyArgs {
    /// How the results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
    /// How the guests are run
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON reports in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Install missing packages with the package manager
    #[arg(long)]
    pub install_deps: bool,
}

/// `mn-inject vm matrix`
#[derive(Clone, Debug, Args)]
pub struct VmMatrixArgs {
    /// A series of Linux (may be repeated; all if not given)
    #[arg(long = "kernel", value_parser = kernels::parser(), value_name = "NAME")]
    pub kernels: Vec<&'static Packaged>,
    /// A form of it, which the kernel must have (may be repeated; all if not given)
    #[arg(long = "base", value_enum, value_name = "BASE")]
    pub bases: Vec<Base>,
    /// A kernel configuration (may be repeated)
    #[arg(long = "config", default_value = "core", value_name = "NAME")]
    pub configs: Vec<String>,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// How they are run
    #[command(flatten)]
    pub how: VmManyArgs,
}

/// `mn-inject vm mutants`
#[derive(Clone, Debug, Args)]
pub struct VmMutantsArgs {
    /// Patches that make the kernel wrong, or folders with such files (*.patch)
    #[arg(default_value = "tests/mutants", value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
    /// The series of Linux that they are patches of
    #[arg(
        long,
        default_value = kernels::DEFAULT,
        value_parser = kernels::parser(),
        value_name = "NAME"
    )]
    pub kernel: &'static Packaged,
    /// The form of it, for those that do not say (`Base:`)
    #[arg(long, value_enum, default_value = "mainline")]
    pub base: Base,
    /// The kernel configuration, for those that do not say (`Config:`)
    #[arg(long, default_value = "core", value_name = "NAME")]
    pub config: String,
    /// Run only the scenarios whose name matches, for those that do not say (`Only:`; shell pattern
    /// with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// How they are run
    #[command(flatten)]
    pub how: VmManyArgs,
}

/// `mn-inject vm build`
#[derive(Clone, Debug, Args)]
pub struct VmBuildArgs {
    /// Which kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Build the module again, and take its warnings for errors
    #[arg(long)]
    pub werror: bool,
}

/// `mn-inject vm shell`
#[derive(Clone, Debug, Args)]
pub struct VmShellArgs {
    /// Which kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// How the guest is run
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
}

/// `mn-inject vm floor`
#[derive(Clone, Debug, Args)]
pub struct VmFloorArgs {
    /// Which kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// How the guest is run
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
}

/// Where an exercise runs, and how it is printed.
#[derive(Clone, Debug, Args)]
pub struct VmExerciseArgs {
    /// Which kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// How the guest is run
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON report in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Add this to the guest's kernel command line
    #[arg(long, value_name = "ARGS")]
    pub append: Option<String>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
}

/// `mn-inject vm stress`
#[derive(Clone, Debug, Args)]
#[command(mut_arg("config", |config| config.default_value("debug")))]
pub struct VmStressArgs {
    /// What to do
    #[command(flatten)]
    pub options: StressOptions,
    /// Where
    #[command(flatten)]
    pub machine: VmExerciseArgs,
}

/// `mn-inject vm fuzz`
#[derive(Clone, Debug, Args)]
pub struct VmFuzzArgs {
    /// What to do
    #[command(flatten)]
    pub options: FuzzOptions,
    /// Where
    #[command(flatten)]
    pub machine: VmExerciseArgs,
}

/// `mn-inject vm hostile`
#[derive(Clone, Debug, Args)]
pub struct VmHostileArgs {
    /// What to do
    #[command(flatten)]
    pub options: HostileOptions,
    /// Where
    #[command(flatten)]
    pub machine: VmExerciseArgs,
}

/// `mn-inject vm flood`
#[derive(Clone, Debug, Args)]
pub struct VmFloodArgs {
    /// What to do
    #[command(flatten)]
    pub options: FloodOptions,
    /// Where
    #[command(flatten)]
    pub machine: VmExerciseArgs,
}
