// SPDX-License-Identifier: GPL-2.0

//! Options of a run, and the boots that it takes.

use serde::{Deserialize, Serialize};

use crate::kmsg::Record;
use crate::kmsg::complaint::ComplaintKind;

/// Options of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// Shell patterns of the names of scenarios to run; empty means all.
    pub only: Vec<String>,
    /// The part of these that this boot runs.
    pub part: Part,
    /// Whether other processes on the machine may be harmed (global OOM).
    pub disposable: bool,
    /// Whether to run even if a WARN brings the machine down (panic_on_warn).
    pub allow_panic_on_warn: bool,
}

/// Part of a run that one boot carries out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All scenarios that leave nothing behind; on a machine that is shared, also the module's unit
    /// tests, for which there is no other boot.
    #[default]
    Together,
    /// Half of the scenarios that leave nothing behind: where they are many, they run on two boots.
    Half(Half),
    /// The module's unit tests. They cause invalidations, so that a wrong kernel may complain, and
    /// lockdep be off from then on: no scenario runs after them.
    UnitTests,
    /// Scenarios that leave something behind (a task that cannot be killed) and are not disturbed
    /// by what others left.
    Spoiled,
    /// The scenario with this name, on a boot of its own.
    Alone(String),
}

impl Part {
    /// Name of the part in reports.
    pub fn name(&self) -> &str {
        match self {
            Part::Together => "together",
            Part::Half(Half::First) => "first-half",
            Part::Half(Half::Second) => "second-half",
            Part::UnitTests => "unit-tests",
            Part::Spoiled => "spoiled",
            Part::Alone(name) => name,
        }
    }

    /// Whether its scenarios leave nothing behind, so that the module can be unloaded after them.
    pub const fn leaves_nothing(&self) -> bool {
        matches!(self, Part::Together | Part::Half(_))
    }
}

/// Half of the scenarios that leave nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Every other scenario, from the first one, and all of the OOM reaper, which run together.
    First,
    /// The rest.
    Second,
}

impl Half {
    /// Both of them.
    pub const BOTH: [Half; 2] = [Half::First, Half::Second];
}

/// Use of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// Used only by this program: every complaint of the kernel is about what it does.
    Ours,
    /// Used by other programs, too: complaints about other drivers must not count.
    #[default]
    Shared,
}

impl Ownership {
    /// Whether a complaint of the kernel counts. On a shared machine, it does if it casts doubt on
    /// everything that follows, or names mmu notifiers.
    pub fn counts(self, record: &Record, kind: &ComplaintKind) -> bool {
        self == Ownership::Ours || kind.disturbs || record.text.contains("mmu_notifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmsg::Complaints;

    #[test]
    fn complaints_of_other_drivers_count_only_if_they_disturb() {
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
