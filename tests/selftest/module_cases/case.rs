// SPDX-License-Identifier: GPL-2.0

//! One entry of the table of cases.

use crate::module_cases::outcome::Outcome;
use crate::module_cases::rig::Rig;

/// A case: one odd situation or one setting, with its defined result.
pub struct Case {
    /// Name for the command line and for reports.
    pub name: &'static str,
    /// The first column of docs/module.md: what is done.
    pub does: &'static str,
    /// The second column: the result.
    pub result: &'static str,
    /// Whether the kernel is expected to complain about a failing callback.
    pub loud: bool,
    /// Carries out the case.
    pub run: fn(&Rig<'_>) -> Outcome,
}

/// A case in which the kernel must not complain.
pub const fn case(
    name: &'static str,
    does: &'static str,
    result: &'static str,
    run: fn(&Rig<'_>) -> Outcome,
) -> Case {
    Case {
        name,
        does,
        result,
        loud: false,
        run,
    }
}

/// The same case, but the kernel is expected to complain about a failing callback.
pub const fn loud(case: Case) -> Case {
    Case { loud: true, ..case }
}
