// SPDX-License-Identifier: GPL-2.0

//! Exit codes, the ones of kselftest where it has one.
//!
//! 2 is never used: the kselftest runner reports it as XFAIL, which counts as a pass.

use std::process::ExitCode;

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every scenario that ran passed, and at least one ran.
    Pass = 0,
    /// A check failed: the kernel is wrong.
    Fail = 1,
    /// Everything was skipped (`KSFT_SKIP`).
    Skip = 4,
    /// The command line was wrong (`EX_USAGE`).
    Usage = 64,
    /// The VM or the module could not run (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// The answer cannot be known (`EX_SOFTWARE`).
    NoVerdict = 70,
    /// Ended by Ctrl-C or SIGTERM, as a shell would say it (128 + SIGINT).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
