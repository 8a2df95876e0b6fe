// SPDX-License-Identifier: GPL-2.0

//! Verdicts, and the findings behind them.

use serde::{Deserialize, Serialize};

/// What kind of disagreement a finding is. The words are part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A message was due and is not there.
    DidNotFire,
    /// A message is there and was not due.
    FiredWhenItShouldNot,
    /// The message is there with another text, level, errno, context, symbol or module.
    Altered,
    /// The messages are there in another order.
    OutOfOrder,
    /// The kernel called the notifier in another way than the operation should make it.
    Calls,
    /// The operation returned something else than it should.
    Outcome,
    /// The pages are not what they should be.
    Pages,
    /// A step of the scenario had another result than it should.
    Step,
    /// A notifier could not be removed at once, or something of it was left.
    Removal,
    /// The kernel's form of the check is not one that is accepted.
    Form,
    /// A unit test of the module failed.
    UnitTest,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 11] = [
        FindingKind::DidNotFire,
        FindingKind::FiredWhenItShouldNot,
        FindingKind::Altered,
        FindingKind::OutOfOrder,
        FindingKind::Calls,
        FindingKind::Outcome,
        FindingKind::Pages,
        FindingKind::Step,
        FindingKind::Removal,
        FindingKind::Form,
        FindingKind::UnitTest,
    ];

    /// The words by which a person and a test know this kind.
    pub const fn words(self) -> &'static str {
        match self {
            FindingKind::DidNotFire => "did not fire when it should",
            FindingKind::FiredWhenItShouldNot => "fired when it should not",
            FindingKind::Altered => "fired with the wrong content",
            FindingKind::OutOfOrder => "fired out of order",
            FindingKind::Calls => "notifier called differently",
            FindingKind::Outcome => "operation ended differently",
            FindingKind::Pages => "pages are not as they should be",
            FindingKind::Step => "step ended differently",
            FindingKind::Removal => "not removed as it should",
            FindingKind::Form => "form of the check not accepted",
            FindingKind::UnitTest => "unit test failed",
        }
    }
}

/// One disagreement between what was due and what was seen, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// One sentence for a person.
    pub text: String,
    /// What was due, where something was.
    pub due: Option<String>,
    /// The kernel's line as it was read, where there is one.
    pub seen: Option<String>,
    /// Sequence number of that line in `/dev/kmsg`.
    pub kmsg_seq: Option<u64>,
    /// Sequence number of the call in the module's log.
    pub call_seq: Option<u64>,
}

impl Finding {
    /// One that points at nothing else.
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

/// The answer about one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Verdict {
    /// Everything that was due was seen, and nothing else.
    Pass,
    /// The kernel did something else.
    Fail {
        /// What, each with its evidence; never empty.
        findings: Vec<Finding>,
    },
    /// The kernel did what is known to be wrong with it: see the table in `runner/known.rs`.
    KnownBug {
        /// Which, and why it is one; constant text.
        reason: String,
        /// What it did, each with its evidence; never empty.
        findings: Vec<Finding>,
    },
    /// It cannot be known.
    NoVerdict {
        /// Why; never empty.
        reasons: Vec<String>,
    },
    /// Not run.
    Skip {
        /// Why; constant text for a given cause.
        reason: String,
    },
}

/// A message that was due and was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Sequence number of the call in the module's log; absent for a closing line of the OOM
    /// reaper about a victim that it called no notifier for.
    pub call_seq: Option<u64>,
    /// Sequence number of the line in `/dev/kmsg`.
    pub kmsg_seq: u64,
    /// syslog level of the line.
    pub level: u8,
    /// The line.
    pub text: String,
}
