// SPDX-License-Identifier: GPL-2.0

//! Verdicts, and the findings behind them.

use serde::{Deserialize, Serialize};

/// Kind of a finding. The words are part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A message was due and was not seen.
    DidNotFire,
    /// A message was seen and was not due.
    FiredWhenItShouldNot,
    /// A message was seen with another text, level, errno, context, symbol or module.
    Altered,
    /// Messages were seen in another order.
    OutOfOrder,
    /// The kernel called the notifier in another way than the operation must cause.
    Calls,
    /// The operation had another result than it must have.
    Outcome,
    /// The pages are not in the state that they must be in.
    Pages,
    /// Pages changed while no invalidation of them was under way.
    Untold,
    /// A step of the scenario had another result than it must have.
    Step,
    /// A notifier could not be removed in time, or something of it was left.
    Removal,
    /// The kernel's form of the check is not accepted.
    Form,
    /// A unit test of the module failed.
    UnitTest,
    /// The kernel complained of its own notifier code, though the module kept the contract.
    Complained,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 13] = [
        FindingKind::DidNotFire,
        FindingKind::FiredWhenItShouldNot,
        FindingKind::Altered,
        FindingKind::OutOfOrder,
        FindingKind::Calls,
        FindingKind::Outcome,
        FindingKind::Pages,
        FindingKind::Untold,
        FindingKind::Step,
        FindingKind::Removal,
        FindingKind::Form,
        FindingKind::UnitTest,
        FindingKind::Complained,
    ];

    /// Words for this kind in reports, by which tests recognise it.
    pub const fn words(self) -> &'static str {
        match self {
            FindingKind::DidNotFire => "did not fire when it should",
            FindingKind::FiredWhenItShouldNot => "fired when it should not",
            FindingKind::Altered => "fired with the wrong content",
            FindingKind::OutOfOrder => "fired out of order",
            FindingKind::Calls => "notifier called differently",
            FindingKind::Outcome => "operation ended differently",
            FindingKind::Pages => "pages are not as they should be",
            FindingKind::Untold => "pages changed outside of an invalidation",
            FindingKind::Step => "step ended differently",
            FindingKind::Removal => "not removed as it should",
            FindingKind::Form => "form of the check not accepted",
            FindingKind::UnitTest => "unit test failed",
            FindingKind::Complained => "the kernel complained of itself",
        }
    }
}

/// Disagreement between what was due and what was seen, with its evidence. It makes a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// One sentence for a person.
    pub text: String,
    /// The message or result that was due; absent where none was.
    pub due: Option<String>,
    /// The kernel's line as it was read; absent where there is none.
    pub seen: Option<String>,
    /// Sequence number of that line in `/dev/kmsg`.
    pub kmsg_seq: Option<u64>,
    /// Sequence number of the call in the module's log.
    pub call_seq: Option<u64>,
}

impl Finding {
    /// Creates a finding without evidence.
    pub const fn new(kind: FindingKind, text: String) -> Self {
        Finding {
            kind,
            text,
            due: None,
            seen: None,
            kmsg_seq: None,
            call_seq: None,
        }
    }
}

/// Verdict on a scenario, on a unit test, or on the form of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Verdict {
    /// Everything that was due was seen, and nothing else.
    Pass,
    /// The kernel behaved differently.
    Fail {
        /// The differences; never empty.
        findings: Vec<Finding>,
    },
    /// The kernel showed a known bug: see the table in `runner/scenario/bugs.rs`.
    KnownBug {
        /// Description of the bug; constant text.
        reason: String,
        /// The differences that the bug explains; never empty.
        findings: Vec<Finding>,
    },
    /// The record proves nothing.
    NoVerdict {
        /// Why; never empty.
        reasons: Vec<String>,
    },
    /// The scenario was not run.
    Skip {
        /// Why; constant text for a given cause.
        reason: String,
    },
}

/// Message that was due and was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Sequence number of the call in the module's log; absent for a closing line of the OOM
    /// reaper about a victim for which it called no notifier.
    pub call_seq: Option<u64>,
    /// Sequence number of the line in `/dev/kmsg`.
    pub kmsg_seq: u64,
    /// syslog level of the line.
    pub level: u8,
    /// The line.
    pub text: String,
}
