// SPDX-License-Identifier: GPL-2.0

//! The table of the conditions under which a run is disturbed.

mod log;
mod machine;
mod others;
mod threads;

use crate::hostile::condition::Condition;

/// All conditions.
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

/// The names of all conditions.
pub fn names() -> Vec<&'static str> {
    CONDITIONS.iter().map(|condition| condition.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_a_name_of_its_own() {
        let names = names();
        let unique: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
