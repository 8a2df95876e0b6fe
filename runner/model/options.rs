// SPDX-License-Identifier: GPL-2.0

//! The options of a run, and the boots that it takes.

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;
use crate::kmsg::complaint::ComplaintKind;

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// Names of scenarios to run as shell patterns; empty means all.
    pub only: Vec<String>,
    /// Which of those.
    pub part: Part,
    /// Whether the machine may be harmed (global OOM).
    pub disposable: bool,
    /// Whether to run although a WARN brings the machine down.
    pub allow_panic_on_warn: bool,
}

/// A part of a run: what one boot is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All scenarios that leave the boot as they found it, and the module's unit tests.
    #[default]
    Together,
    /// Those that leave something behind for good, and do not mind what others have left.
    Spoiled,
    /// The scenario of that name, on a boot of its own.
    Alone(String),
}

impl Part {
    /// What reports call it.
    pub fn name(&self) -> &str {
        match self {
            Part::Together => "together",
            Part::Spoiled => "spoiled",
            Part::Alone(name) => name,
        }
    }
}

/// Whom the machine is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// For nothing but this: every complaint is about what we do.
    Ours,
    /// For others, too: what another driver does must not be blamed on us.
    #[default]
    Shared,
}

impl Ownership {
    /// Whether a complaint of the kernel counts: on a machine of others, where it casts doubt on all
    /// that follows, or names mmu notifiers.
    pub fn counts(self, record: &Record, kind: &ComplaintKind) -> bool {
        self == Ownership::Ours || kind.disturbs || record.text.contains("mmu_notifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmsg::Complaints;

    #[test]
    fn another_driver_is_blamed_only_for_what_disturbs() {
        let records = [
            "WARNING: drivers/x.c:1 at x+0x1/0x2, CPU#0: a/1",
            "UBSAN: shift-out-of-bounds in x.c:1:2",
            "BUG: KASAN: x",
            "WARNING: mm/mmu_notifier.c:1 at x+0x1/0x2, CPU#0: a/1",
        ];
        let records: Vec<Record> = (1..)
            .zip(records)
            .map(|(seq, text)| Record {
                seq,
                time_us: seq,
                level: 4,
                facility: 0,
                caller: Some("T1".to_owned()),
                text: text.to_owned(),
            })
            .collect();
        let numbers = |machine: Ownership| -> Vec<u64> {
            let mut seen = Complaints::default();
            seen.add(&records, |record, kind| machine.counts(record, kind));
            seen.kept.iter().filter_map(|c| c.kmsg_seq).collect()
        };
        assert_eq!(numbers(Ownership::Shared), [3, 4]);
        assert_eq!(numbers(Ownership::Ours), [1, 2, 3, 4]);
    }
}
