// SPDX-License-Identifier: GPL-2.0

//! The demands of a scenario on the kernel, whatever its form of the check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::message::KernelMessage;
use crate::model::notifier::{Context, NotifierEvent};

/// A number of calls that a scenario demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Exactly so many.
    Exactly(u64),
    /// So many or more, where the kernel's own state decides (reclaim, for one).
    AtLeast(u64),
}

impl Count {
    /// Whether `n` calls are what was demanded.
    pub fn admits(self, n: u64) -> bool {
        match self {
            Count::Exactly(want) => n == want,
            Count::AtLeast(least) => n >= least,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exactly(n) => write!(f, "exactly {n}"),
            Count::AtLeast(n) => write!(f, "at least {n}"),
        }
    }
}

/// What the OOM reaper has to say at the end (mm/oom_kill.c, `oom_reap_task`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaperMessage {
    /// `oom_reaper: reaped process PID (COMM), now ...`
    Reaped,
    /// `oom_reaper: unable to reap pid:PID (COMM)`
    UnableToReap,
}

/// What a scenario demands of the kernel besides the messages, whatever its form of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The event that the calls on the watched range carry.
    pub event: NotifierEvent,
    /// The context that these calls have.
    pub context: Context,
    /// How many of them there are.
    pub calls: Count,
    /// What the triggering operation returns: 0 or a negative errno.
    pub outcome: i32,
    /// The OOM reaper's closing line, where the OOM reaper is the caller.
    pub reaper: Option<ReaperMessage>,
    /// What becomes of the pages of the watched addresses, where that is looked at.
    pub pages: Option<PagesFate>,
    /// Whether the caller must not sleep, though the call is blockable: a caller's own mistake.
    pub is_atomic: bool,
    /// What the kernel is to say that is not about a callback: of how somebody registers.
    pub said: Vec<KernelMessage>,
    /// Whether what the kernel finds wrong with itself (lockdep, sleeping where it must not be
    /// slept) is what this is about. Elsewhere it is trouble.
    pub judges_symptoms: bool,
    /// How the process is at the end.
    pub end: End,
}

/// How a process is when its notifiers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It is there, alive or held on its way out, with its address space.
    There,
    /// It is gone, and only a reference holds its address space.
    Gone,
    /// Something is left behind for good (a callback that never returns, a list that has no end),
    /// so that nobody can look what remains.
    Left,
}

/// What becomes of populated pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PagesFate {
    /// They keep their contents, and count in the process's RSS.
    Kept,
    /// They read as zeroes, and do not count any more.
    Zeroed,
    /// They cannot be read any more, and do not count.
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
