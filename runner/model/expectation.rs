// SPDX-License-Identifier: GPL-2.0

//! Demands of a scenario on the kernel, without the messages that depend on the form of the check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::message::KernelMessage;
use crate::model::notifier::{Context, NotifierEvent};

/// Number of calls that a scenario demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Exactly this number.
    Exactly(u64),
    /// This number or more, where the kernel's own state decides (reclaim, for example).
    AtLeast(u64),
    /// This number or more, where the kernel may have to try again, and fewer are wrong.
    OrMore(u64),
}

impl Count {
    /// Whether `n` calls meet the demand.
    pub fn admits(self, n: u64) -> bool {
        match self {
            Count::Exactly(want) => n == want,
            Count::AtLeast(least) | Count::OrMore(least) => n >= least,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exactly(n) => write!(f, "exactly {n}"),
            Count::AtLeast(n) | Count::OrMore(n) => write!(f, "at least {n}"),
        }
    }
}

/// Addresses that the calls on the watched addresses must be for, neither more nor fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Each call is for all of them.
    All,
    /// The first call is for the first half of them, and the second one for the other.
    Halves,
    /// Each call is for these pages.
    Pages {
        /// The first of them, counted from 0.
        first: u64,
        /// Their number.
        count: u64,
    },
    /// Each call is for a page of its own, in any order (reclaim of small pages).
    EachPage,
    /// Each call is for a page of its own, or for all of them.
    EachPageOrAll,
    /// Each call is for some of them, together they are for all of them, and for so many times their
    /// bytes at most.
    Steps {
        /// The number.
        times: u64,
    },
    /// Each call is for the whole address space, to its last byte.
    Everything,
    /// Each call is for the aligned blocks of that size in which the addresses lie.
    Block {
        /// The size.
        bytes: u64,
    },
}

/// Message with which the OOM reaper ends (mm/oom_kill.c, `oom_reap_task()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaperMessage {
    /// `oom_reaper: reaped process PID (COMM), now ...`
    Reaped,
    /// `oom_reaper: unable to reap pid:PID (COMM)`
    UnableToReap,
}

/// Demands of a scenario on the kernel, except for the messages about callbacks, which depend on
/// the form of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The event of the calls on the watched addresses.
    pub event: NotifierEvent,
    /// The event of the last one, where that is another one.
    #[serde(default)]
    pub last_event: Option<NotifierEvent>,
    /// The context of these calls.
    pub context: Context,
    /// The number of these calls.
    pub calls: Count,
    /// The addresses of these calls; absent where they are not checked.
    pub extent: Option<Extent>,
    /// Result of the triggering operation: 0 or a negative errno.
    pub outcome: i32,
    /// Last message of the OOM reaper; absent where it is not the caller.
    pub reaper: Option<ReaperMessage>,
    /// Fate of the pages of the watched addresses; absent where it is not checked.
    pub pages: Option<PagesFate>,
    /// Whether the caller must not sleep although the call is blockable, which is a bug of the
    /// caller.
    pub is_atomic: bool,
    /// Messages of the kernel that are due and are not about a callback, but about a wrong
    /// registration.
    pub said: Vec<KernelMessage>,
    /// Whether the scenario demands reports of the kernel's own checks (lockdep, sleeping in atomic
    /// context). In other scenarios, such a report is trouble.
    pub judges_symptoms: bool,
    /// State of the subject when its notifiers are removed.
    pub end: End,
}

/// State of a subject when its notifiers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It has its address space: it is alive, or is held in its exit.
    There,
    /// It has exited, and only a reference holds its address space.
    Gone,
    /// Something is left behind forever (a callback that never returns, a list without an end), so
    /// the remains cannot be read.
    Left,
}

/// Fate of populated pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PagesFate {
    /// They keep their contents, and count in the subject's RSS.
    Kept,
    /// They read as zeroes, and no longer count.
    Zeroed,
    /// They can no longer be read, and no longer count.
    Gone,
}

impl fmt::Display for PagesFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PagesFate::Kept => "kept",
            PagesFate::Zeroed => "zeroed",
            PagesFate::Gone => "gone",
        })
    }
}
