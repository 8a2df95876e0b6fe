// SPDX-License-Identifier: GPL-2.0

//! One record of the kernel's log.

use serde::{Deserialize, Serialize};

/// The facility of the kernel's own messages. A write to `/dev/kmsg` cannot have it.
pub const FACILITY_KERNEL: u8 = 0;

/// A record of `/dev/kmsg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The kernel's 64-bit sequence number; consecutive unless records were lost.
    pub seq: u64,
    /// Microseconds since boot.
    pub time_us: u64,
    /// syslog level, 0 (emerg) to 7 (debug).
    pub level: u8,
    /// syslog facility; 0 is the kernel, which user space cannot write with.
    pub facility: u8,
    /// `caller=` field without its key (`T123` a thread, `C0` a CPU), with `CONFIG_PRINTK_CALLER`.
    pub caller: Option<String>,
    /// The message, unescaped, without the dictionary lines that follow it.
    pub text: String,
}

impl Record {
    /// Whether the kernel itself wrote it.
    pub fn is_kernel(&self) -> bool {
        self.facility == FACILITY_KERNEL
    }
}
