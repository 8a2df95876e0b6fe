// SPDX-License-Identifier: GPL-2.0

//! Interface between the host and a guest: paths, and the format of the guest's options. The lines
//! that a guest sends are [`crate::model::Progress`]; the code in the guest is [`crate::guest`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::RunOptions;

/// Path of the options in the guest. If the file exists, the system is our guest.
pub const OPTIONS: &str = "/options.json";
/// Path of the module in the guest.
pub const MODULE: &str = "/mmu_notifier_inject.ko";
/// Path of a module besides it in the guest.
pub const EXTRA_MODULE: &str = "/extra.ko";
/// Name of the virtio-serial port for the results.
pub const PORT: &str = "mn-inject.results";

/// Serial line of the guest.
pub const SERIAL: &str = "/dev/ttyS0";

/// Options of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestOptions {
    /// Why it was booted.
    pub mode: Mode,
    /// Channel to the host.
    pub channel: Channel,
}

/// Channel between a guest and the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The virtio-serial port [`PORT`].
    VirtioSerial,
    /// The serial line [`SERIAL`].
    Serial,
}

/// Purpose of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Run the scenarios, and send what they record.
    Suite(RunOptions),
    /// Carry out a task of the program, in a format of its own.
    Program(Value),
    /// Send [`READY`], and carry out the mode that comes as a line over the channel. The state of the
    /// guest can be saved in between.
    Later,
    /// Run a shell on the console.
    Shell,
    /// Send [`PROBE_ANSWER`], which proves that the accelerator works.
    Probe,
    /// Power off at once, which measures the shortest time of a boot.
    PowerOff,
}

/// Line that a guest in [`Mode::Later`] sends.
pub const READY: &str = "mn-inject guest is ready";

/// Line that a guest in [`Mode::Probe`] sends.
pub const PROBE_ANSWER: &str = "mn-inject guest runs";

/// Directories of the initramfs on which the guest mounts file systems.
pub const MOUNT_POINTS: &[&str] = &["/proc", "/sys", "/dev", "/tmp", "/var", "/var/tmp"];
