// SPDX-License-Identifier: GPL-2.0

//! The kernel options without which a broken rule goes unnoticed.

use serde::Serialize;

/// A debugging check of the kernel that a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// `CONFIG_DEBUG_ATOMIC_SLEEP`
    AtomicSleep,
    /// `CONFIG_PROVE_LOCKING`
    Lockdep,
}

impl Needs {
    /// Name of the kernel option, without `CONFIG_`.
    pub const fn option(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "PROVE_LOCKING",
        }
    }

    /// Reason for which a scenario is skipped on a kernel without the option; constant text.
    pub const fn reason(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "needs CONFIG_DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "needs CONFIG_PROVE_LOCKING, with lockdep on",
        }
    }
}
