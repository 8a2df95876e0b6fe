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

impl Exit {
    /// That of many runs: a failure is one whatever the others say, and what is not known is more
    /// than what passed.
    pub fn of_all(exits: &[Exit]) -> Self {
        let is_known = |exit: &Exit| matches!(exit, Exit::Pass | Exit::Skip);
        if exits.contains(&Exit::Fail) {
            Exit::Fail
        } else if !exits.iter().all(is_known) {
            Exit::NoVerdict
        } else if exits.contains(&Exit::Pass) {
            Exit::Pass
        } else {
            Exit::Skip
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_runs_are_as_good_as_the_worst() {
        use Exit::{Fail, NoVerdict, Pass, Skip, Unavailable};
        for (exits, whole) in [
            (&[Pass, Skip][..], Pass),
            (&[Skip, Skip], Skip),
            (&[], Skip),
            (&[Pass, NoVerdict, Skip], NoVerdict),
            (&[Pass, Unavailable], NoVerdict),
            (&[NoVerdict, Fail, Pass], Fail),
        ] {
            assert_eq!(Exit::of_all(exits), whole, "{exits:?}");
        }
    }
}
