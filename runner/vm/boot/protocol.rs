// SPDX-License-Identifier: GPL-2.0

//! Both ends of the wire: what a guest is told, and where it finds it. [`crate::guest`] is the
//! other end.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::RunOptions;

/// Where the guest finds what it is to do. Its presence tells that this is our guest.
pub const OPTIONS: &str = "/options.json";
/// Where the guest finds the module.
pub const MODULE: &str = "/mmu_notifier_inject.ko";
/// Name of the virtio-serial port for the results.
pub const PORT: &str = "mn-inject.results";

/// What the guest is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestOptions {
    /// What for it was started.
    pub mode: Mode,
}

/// What a guest is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Run the scenarios and report.
    Suite(RunOptions),
    /// Do what the program has told itself, in words of its own.
    Program(Value),
    /// A shell on the console.
    Shell,
    /// Say that the guest runs: it proves an accelerator.
    Probe,
    /// Nothing: it measures how long a boot takes at least.
    PowerOff,
}

/// What a guest in [`Mode::Probe`] says.
pub const PROBE_ANSWER: &str = "mn-inject guest runs";

/// The directories that the initramfs must have for them.
pub const MOUNT_POINTS: &[&str] = &["/proc", "/sys", "/dev", "/tmp"];
