// SPDX-License-Identifier: GPL-2.0

//! Lines of a recording: what the runners of all boots of a run sent, without any conclusion.
//!
//! [`Progress`] is what the runner of one boot sends. In a guest, these are JSON lines on the
//! virtio-serial port to the host; on real hardware they stay in the process. [`Event`] is a line of
//! `results.jsonl`, which holds the lines of all boots of a run.

use serde::{Deserialize, Serialize};

use crate::kmsg::Complaint;
use crate::model::coverage::Site;
use crate::model::form::Form;
use crate::model::observation::Window;
use crate::model::options::{Ownership, Part};
use crate::model::report::{UnitTest, VmInfo};
use crate::os::kernel::KernelInfo;

/// Scenario that a boot is to run, with what the report repeats of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Name of the scenario.
    pub name: String,
    /// Name of its trigger.
    pub trigger: String,
    /// Setting of the injector, in one word; absent for a case of the contract, which has several.
    pub setting: Option<String>,
    /// Numbers of the rules of the contract that it is about.
    pub rules: Vec<u8>,
    /// Why it cannot run on this machine; absent where it can. Constant text for a given cause.
    pub skip: Option<String>,
}

/// Line that the runner of a boot sends, in the order of the boot.
///
/// A boot is complete only if it ends with [`Progress::End`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress", deny_unknown_fields)]
pub enum Progress {
    /// The runner has started, and the scenarios are next.
    Begin {
        /// The kernel it runs on.
        kernel: KernelInfo,
        /// Whether other programs use the machine.
        machine: Ownership,
        /// The scenarios, in the order of the table.
        plan: Vec<Planned>,
        /// Results of the module's unit tests, which the kernel runs when it loads the module.
        unit_tests: Vec<UnitTest>,
    },
    /// A scenario starts.
    Start {
        /// Name of the scenario.
        scenario: String,
        /// Longest time that it may take, in milliseconds on the host's clock. The host adds a
        /// margin for emulation and for a slow kernel.
        deadline_ms: u64,
    },
    /// A window of the kernel's log has ended, with one scenario or several in it.
    Window {
        /// Everything that was seen in the window.
        window: Box<Window>,
    },
    /// The scenarios are over. The module is unloaded next, and the kernel's own checks are read.
    Check {
        /// Why not all planned scenarios ran; absent where all did.
        cut_short: Option<String>,
    },
    /// State of the kernel after the scenarios.
    Aftermath(Aftermath),
    /// Last line of the boot: everything was sent.
    End,
}

/// Complaints of the kernel outside of the windows, from before the module was loaded until after
/// it was unloaded.
///
/// They come from `/dev/kmsg`, which is read after each window and at the end; and, on a machine of
/// our own whose kernel has it, from a scan of `/sys/kernel/debug/kmemleak` at the end. Complaints
/// within a window are not here: the oracle reads the records of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aftermath {
    /// Complaints that count on this machine, as [`Ownership::counts()`] decides. Those in
    /// `/dev/kmsg` have their sequence number; leaks have none.
    pub complaints: Vec<Complaint>,
    /// Reasons why there may be more complaints than these: lost records, a module that could not
    /// be unloaded, or a check that could not be read. One sentence each; empty where the list is
    /// complete.
    pub doubts: Vec<String>,
}

/// Doubt of [`Aftermath::doubts`] after a report of lockdep.
pub const LOCKDEP_OFF: &str =
    "lockdep turned itself off, so it would not have complained about anything later";

/// Line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", deny_unknown_fields)]
pub enum Event {
    /// The first line.
    Run(RunEvent),
    /// A line that the runner of a boot sent.
    Boot {
        /// The boot.
        part: Part,
        /// The line.
        sent: Progress,
    },
    /// A boot did not come to its end.
    Lost {
        /// The boot.
        part: Part,
        /// Why; never empty.
        reasons: Vec<String>,
        /// The line that could not be read, or the beginning of one; absent where that is not the
        /// reason.
        unreadable: Option<String>,
    },
    /// The last line.
    Host {
        /// The virtual machine; absent on real hardware.
        vm: Option<VmInfo>,
        /// Duration of the run in milliseconds: in a VM, on the host's clock, from the start of the
        /// first QEMU to the end of the last.
        millis: u64,
        /// The functions of the kernel that call notifiers; empty where its code is not known.
        #[serde(default)]
        sites: Vec<Site>,
    },
}

/// First line of `results.jsonl`: the plan of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEvent {
    /// Version of the file's format, [`SCHEMA`](crate::model::SCHEMA): that of the report, which
    /// has the same observations.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The form of the check that is demanded; absent where any form is accepted.
    pub expect: Option<Form>,
    /// Names of all scenarios that were selected, in the order of the table.
    pub scenarios: Vec<String>,
    /// The boots of the run.
    pub parts: Vec<Part>,
}
