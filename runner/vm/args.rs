// SPDX-License-Identifier: GPL-2.0

//! The command line of `mn-inject vm`: its commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::model::Form;
use crate::report::format::SimpleFormat;
use crate::suite::SuiteArgs;
use crate::vm::arch::Arch;
use crate::vm::config_line::ConfigLine;
use crate::vm::kernels::{self, Packaged};

/// Commands of `mn-inject vm`.
#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Build what is missing, boot the guest, run the scenarios, and print the verdict
    Run(VmRunArgs),
    /// Run the scenarios on several kernels side by side, and print one table
    Matrix(VmMatrixArgs),
    /// Run the scenarios on kernels that are wrong on purpose, and print which scenario noticed
    Mutants(VmMutantsArgs),
    /// Build what is missing, and print the paths
    Build(VmBuildArgs),
    /// Boot the guest to a shell, with the module loaded and debugfs mounted
    Shell(VmShellArgs),
    /// Time a boot of a guest that does nothing: the lower bound for every run
    Floor(VmFloorArgs),
    /// Remove everything that was built and downloaded
    Clean,
}

/// Arguments that choose a kernel: a source, patches and a configuration.
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
    /// The form of the check in the packaged kernel: seed applies the seed patch, mainline nothing
    #[arg(
        long,
        value_enum,
        default_value = "seed",
        value_name = "FORM",
        conflicts_with = "linux"
    )]
    pub base: Form,
    /// The kernel configuration
    #[arg(long, default_value = "core", value_name = "NAME")]
    pub config: String,
    /// The machine that the kernel is built for
    #[arg(long, value_enum, default_value_t)]
    pub machine: MachineKind,
    /// Set this option on top of the configuration (may be repeated; the last one of an option counts)
    #[arg(long, value_name = "CONFIG_X=VALUE")]
    pub config_add: Vec<ConfigLine>,
    /// Apply this patch of the kernel, or of this program's module/, on top (may be repeated)
    #[arg(long, value_name = "FILE", conflicts_with = "linux")]
    pub patch: Vec<PathBuf>,
    /// Build this kernel tree instead of a packaged one (the tree itself is not changed)
    #[arg(long, value_name = "DIR")]
    pub linux: Option<PathBuf>,
    /// Install missing packages with the package manager
    #[arg(long)]
    pub install_deps: bool,
}

impl KernelArgs {
    /// Chooses a packaged kernel, for a command that has no such arguments.
    pub fn packaged(
        kernel: &'static Packaged,
        base: Form,
        config: &str,
        machine: MachineKind,
        patch: Vec<PathBuf>,
    ) -> Self {
        KernelArgs {
            kernel,
            base,
            config: config.to_owned(),
            machine,
            config_add: Vec::new(),
            patch,
            linux: None,
            install_deps: false,
        }
    }
}

/// Machine of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MachineKind {
    /// qemu
    #[default]
    Auto,
    /// A virtual machine, x86-64
    Qemu,
    /// User Mode Linux: the kernel is a program. Several times quicker where KVM does not work; one
    /// processor, no huge pages, no QEMU needed
    Uml,
}

impl MachineKind {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            MachineKind::Auto | MachineKind::Qemu => "qemu",
            MachineKind::Uml => "uml",
        }
    }

    /// Architecture of its kernels.
    pub const fn arch(self) -> Arch {
        match self {
            MachineKind::Auto | MachineKind::Qemu => Arch::X86,
            MachineKind::Uml => Arch::Um,
        }
    }
}

/// Accelerator of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM if a probe guest boots with it, else TCG
    #[default]
    Auto,
    /// QEMU's own translation; works everywhere
    Tcg,
    /// Hardware virtualisation, and an error where it does not work
    Kvm,
}

/// Arguments of `mn-inject vm run`.
#[derive(Clone, Debug, Args)]
pub struct VmRunArgs {
    /// The kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The selection of scenarios, and the form of the output
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// The accelerator of the guest
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON report in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Add this to the guest's kernel command line
    #[arg(long, value_name = "ARGS")]
    pub append: Option<String>,
    /// End with an exit code for `git bisect run`: 0 and 1 as usual, 125 where there is no verdict on
    /// the commit or it does not build, and 128 where the command or the machine is at fault
    #[arg(long)]
    pub git_bisect: bool,
    /// Run the scenarios N times, and print how often they passed
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        conflicts_with = "format",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub times: u32,
}

/// Arguments of the commands that run the scenarios on many kernels.
#[derive(Clone, Debug, Args)]
pub struct VmManyArgs {
    /// The format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: SimpleFormat,
    /// The machine that the kernels are built for (of a mutant that does not say: `Machine:`)
    #[arg(long, value_enum, default_value_t)]
    pub machine: MachineKind,
    /// The accelerator of the guests
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON reports in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Install missing packages with the package manager
    #[arg(long)]
    pub install_deps: bool,
}

/// Arguments of `mn-inject vm matrix`.
#[derive(Clone, Debug, Args)]
pub struct VmMatrixArgs {
    /// A series of Linux (may be repeated; all if not given)
    #[arg(long = "kernel", value_parser = kernels::parser(), value_name = "NAME")]
    pub kernels: Vec<&'static Packaged>,
    /// A base, whose form of the check the kernel must have (may be repeated; all if not given)
    #[arg(long = "base", value_enum, value_name = "BASE")]
    pub bases: Vec<Form>,
    /// A kernel configuration (may be repeated)
    #[arg(long = "config", default_value = "core", value_name = "NAME")]
    pub configs: Vec<String>,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// The format of the report, and the options of the guests
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
    pub base: Form,
    /// The kernel configuration, for those that do not say (`Config:`)
    #[arg(long, default_value = "core", value_name = "NAME")]
    pub config: String,
    /// Run only the scenarios whose name matches, for those that do not say (`Only:`; shell pattern
    /// with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Run all scenarios on every mutant, also after those that it claims (`Killed-by:`), or those
    /// of its rule (`Rule:`), have killed it
    #[arg(long)]
    pub all: bool,
    /// How they are run
    #[command(flatten)]
    pub how: VmManyArgs,
}

/// Arguments of `mn-inject vm build`.
#[derive(Clone, Debug, Args)]
pub struct VmBuildArgs {
    /// The kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// Build the module again, and treat its warnings as errors
    #[arg(long)]
    pub werror: bool,
}

/// Arguments of `mn-inject vm shell`.
#[derive(Clone, Debug, Args)]
pub struct VmShellArgs {
    /// The kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The accelerator of the guest
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Let gdb attach to the guest's kernel, and print the command for gdb
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "run"
    )]
    pub gdb: Option<Gdb>,
}

/// Whether a guest that gdb can attach to waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gdb {
    /// The guest boots, and gdb may attach at any time
    Run,
    /// The guest stops before its first instruction, until gdb continues it
    Wait,
}

/// Arguments of `mn-inject vm floor`.
#[derive(Clone, Debug, Args)]
pub struct VmFloorArgs {
    /// The kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The accelerator of the guest
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
}

/// Arguments for a guest with a task of the program itself: [`Mode::Program`].
///
/// [`Mode::Program`]: crate::vm::boot::protocol::Mode::Program
#[derive(Clone, Debug, Args)]
pub struct VmGuestArgs {
    /// The kernel
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The accelerator of the guest
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// Keep the logs and the JSON report in this directory instead of the cache
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Add this to the guest's kernel command line
    #[arg(long, value_name = "ARGS")]
    pub append: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        shell: VmShellArgs,
    }

    #[test]
    fn gdb_waits_only_if_asked_to() {
        for (arguments, due) in [
            (&["x"][..], None),
            (&["x", "--gdb"], Some(Gdb::Run)),
            (&["x", "--gdb=run"], Some(Gdb::Run)),
            (&["x", "--gdb=wait", "--config=debug"], Some(Gdb::Wait)),
        ] {
            let line = Line::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(line.shell.gdb, due, "{arguments:?}");
        }
        assert!(Line::try_parse_from(["x", "--gdb", "wait"]).is_err());
    }
}
