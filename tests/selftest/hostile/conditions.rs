// SPDX-License-Identifier: GPL-2.0

//! What disturbs a run.

mod log;
mod machine;
mod others;
mod threads;

use anyhow::Result;

use mn_inject::os::wait::Waiter;

use crate::hostile::condition::Act;

/// Something that happens while the scenarios run.
pub struct Condition {
    /// Its name.
    pub name: &'static str,
    /// What is counted of it.
    pub unit: &'static str,
    /// Sets it up; the number is where random choices start.
    pub begin: fn(&Waiter, u64) -> Result<Box<dyn Act>>,
}

/// All of them.
pub const CONDITIONS: &[Condition] = &[
    Condition {
        name: "printk-flood",
        unit: "lines by several processors",
        begin: log::flood,
    },
    Condition {
        name: "kmsg-overrun",
        unit: "times the log was overwritten while the run stood still",
        begin: log::overrun,
    },
    Condition {
        name: "dmesg-clear",
        unit: "times the log was cleared",
        begin: log::clear,
    },
    Condition {
        name: "console-level",
        unit: "changes of the console's level",
        begin: log::console_level,
    },
    Condition {
        name: "other-notifier",
        unit: "invalidations of another process whose notifier fails",
        begin: others::notifier,
    },
    Condition {
        name: "second-run",
        unit: "other runs that were refused",
        begin: others::second_run,
    },
    Condition {
        name: "clock-jumps",
        unit: "jumps",
        begin: machine::clock,
    },
    Condition {
        name: "crowd",
        unit: "processes started beside 2,000 that sleep",
        begin: machine::crowd,
    },
    Condition {
        name: "load",
        unit: "rounds of a process beside two busy threads for each processor",
        begin: machine::load,
    },
    Condition {
        name: "memory-pressure",
        unit: "times that all memory was taken",
        begin: machine::memory,
    },
    Condition {
        name: "stopped",
        unit: "times that the run was stopped and went on",
        begin: others::stop,
    },
];
