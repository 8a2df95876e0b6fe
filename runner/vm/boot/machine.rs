// SPDX-License-Identifier: GPL-2.0

//! Descriptions of the machines that guests run on.

use std::path::{Path, PathBuf};

use crate::vm::boot::gdb::Stub;
use crate::vm::boot::protocol::Channel;
use crate::vm::build::kernel::Built;

/// Accelerator of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU translates the instructions of the guest.
    Tcg,
    /// The processor executes them (hardware virtualisation).
    Kvm,
}

impl Accelerator {
    /// Value of QEMU's `-accel`.
    pub const fn name(self) -> &'static str {
        match self {
            Accelerator::Tcg => "tcg",
            Accelerator::Kvm => "kvm",
        }
    }

    /// Upper bound of the factor by which the guest is slower than a real machine.
    pub const fn slowness(self) -> u32 {
        match self {
            Accelerator::Tcg => 5,
            Accelerator::Kvm => 2,
        }
    }
}

/// Platform of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// QEMU with this accelerator.
    Qemu(Accelerator),
    /// User Mode Linux: the kernel itself is a program of the host.
    Uml,
}

impl Platform {
    /// Name for the user and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Platform::Qemu(accelerator) => accelerator.name(),
            Platform::Uml => "uml",
        }
    }

    /// Upper bound of the factor by which the guest is slower than a real machine.
    const fn slowness(self) -> u32 {
        match self {
            Platform::Qemu(accelerator) => accelerator.slowness(),
            Platform::Uml => 5,
        }
    }

    /// Whether the machine has a log besides its console.
    pub const fn has_log(self) -> bool {
        matches!(self, Platform::Qemu(_))
    }

    /// Channel to the guest's runner.
    pub const fn channel(self) -> Channel {
        match self {
            Platform::Qemu(_) => Channel::VirtioSerial,
            Platform::Uml => Channel::Serial,
        }
    }
}

/// Clock of a guest under TCG or of User Mode Linux. Under KVM it is always the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Time is the number of executed instructions; on User Mode Linux it stands still while the
    /// guest works. While the guest is idle, the clock jumps to its next timer: so the two seconds
    /// between an OOM kill and the OOM reaper (OOM_REAPER_DELAY in mm/oom_kill.c) take no real
    /// time.
    ///
    /// The guest has one processor, as QEMU would execute two of them in turn. Before 8.1 it does
    /// not run the second one at all while the first is busy, and RCU reports a stall.
    Virtual,
    /// Time is that of the host. A virtual machine has two processors, which run in parallel.
    Real,
}

/// Upper bound of the factor by which a guest is slower than a real machine with the configuration
/// `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Factor of the accelerator.
    pub accelerator: u32,
    /// Factor of the kernel configuration.
    pub config: u32,
}

impl Pace {
    /// Product of both.
    pub const fn all(self) -> u32 {
        self.accelerator * self.config
    }
}

/// Start of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// It boots.
    Boot,
    /// It boots, and its state is to be saved.
    Saved {
        /// Socket of QEMU's monitor.
        monitor: &'a Path,
        /// File for the state.
        state: &'a Path,
    },
    /// It goes on from a state that was saved. Else it must be as it was then, console and logs
    /// excepted.
    Restored {
        /// File with the state.
        state: &'a Path,
        /// First line for the guest.
        line: &'a str,
    },
}

/// Description of a machine.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Kernel, with the requirements of its guest.
    pub built: &'a Built,
    /// Path of the initramfs.
    pub initramfs: &'a Path,
    /// Additional parameters on the kernel command line.
    pub append: Option<&'a str>,
    /// Platform.
    pub platform: Platform,
    /// Clock under TCG or of User Mode Linux.
    pub time: Time,
    /// Start.
    pub start: Start<'a>,
    /// Log of the guest's console; `None` connects the console to this terminal.
    pub console: Option<PathBuf>,
    /// Log of QEMU's own messages. User Mode Linux writes its own to the console.
    pub log: PathBuf,
    /// Stub of QEMU for gdb, if one is to be there.
    pub gdb: Option<&'a Stub>,
}

impl Machine<'_> {
    /// Factor for time limits.
    pub const fn pace(&self) -> Pace {
        Pace {
            accelerator: self.platform.slowness(),
            config: self.built.guest.slowness,
        }
    }

    /// Parameters on the kernel command line, from those that every guest on the platform has.
    pub(super) fn parameters(&self, platform: &[&str]) -> String {
        let words = platform.iter().copied().chain([self.built.guest.cmdline]);
        let words: Vec<_> = words
            .chain(self.append)
            .filter(|words| !words.is_empty())
            .collect();
        words.join(" ")
    }
}
