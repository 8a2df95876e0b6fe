// SPDX-License-Identifier: GPL-2.0

//! One case.

use crate::module_cases::outcome::Outcome;
use crate::module_cases::rig::Rig;

/// A case: one odd situation or one setting, with its defined result.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub does: &'static str,
    /// What must come of it.
    pub result: &'static str,
    /// Whether the kernel complains of a failing callback, as it should.
    pub loud: bool,
    /// Carries it out.
    pub run: fn(&Rig<'_>) -> Outcome,
}

/// One of which the kernel does not complain.
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

/// The same case, of which the kernel complains.
pub const fn loud(case: Case) -> Case {
    Case { loud: true, ..case }
}
