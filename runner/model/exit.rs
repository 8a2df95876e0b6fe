// SPDX-License-Identifier: GPL-2.0

//! Exit codes: those of kselftest (tools/testing/selftests/kselftest.h) where it has one, else those
//! of sysexits.h.
//!
//! 2 is never used: the kselftest runner reports it as XFAIL, which counts as a pass.

use std::process::{ExitCode, Termination};

/// Result of a command, which is the exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every scenario that ran passed, and at least one ran. Also: a command that judges nothing did
    /// its work.
    Pass = 0,
    /// A check failed: the kernel is wrong.
    Fail = 1,
    /// All scenarios were skipped (`KSFT_SKIP`).
    Skip = 4,
    /// The command line was wrong (`EX_USAGE`).
    Usage = 64,
    /// The VM or the module could not run, or a file could not be read or written
    /// (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// The run proves nothing about the kernel (`EX_SOFTWARE`).
    NoVerdict = 70,
    /// Only for `git bisect run`: this commit cannot be tested, and is skipped.
    Untestable = 125,
    /// Only for `git bisect run`: no commit can be tested like this, so the bisection ends.
    Abort = 128,
    /// Ended by Ctrl-C or SIGTERM, in the form that a shell gives it (128 + SIGINT).
    Interrupted = 130,
}

impl Exit {
    /// The exit code for `git bisect run`, which takes 125 for a commit to skip, every other code
    /// below 128 for a bad commit, and ends at any from there on.
    pub fn for_git_bisect(self) -> Self {
        match self {
            Exit::Pass | Exit::Fail => self,
            Exit::Skip | Exit::NoVerdict | Exit::Untestable => Exit::Untestable,
            Exit::Usage | Exit::Unavailable | Exit::Abort => Exit::Abort,
            Exit::Interrupted => self,
        }
    }

    /// Combines the exit codes of several runs: a failure outranks everything, a missing verdict
    /// outranks a pass, and a pass outranks a skip. No runs at all are a skip.
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

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_bisect_takes_nothing_but_a_failure_for_a_bad_commit() {
        use Exit::{
            Abort, Fail, Interrupted, NoVerdict, Pass, Skip, Unavailable, Untestable, Usage,
        };
        for (exit, code) in [
            (Pass, 0),
            (Fail, 1),
            (Skip, 125),
            (NoVerdict, 125),
            (Untestable, 125),
            (Usage, 128),
            (Unavailable, 128),
            (Abort, 128),
            (Interrupted, 130),
        ] {
            assert_eq!(exit.for_git_bisect() as u8, code, "{exit:?}");
        }
    }

    #[test]
    fn the_worst_of_several_runs_counts() {
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
