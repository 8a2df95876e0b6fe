// SPDX-License-Identifier: GPL-2.0

//! Mutants: kernels that are wrong in one way each, and their fates when the suite runs on them. A
//! checker that has never failed a kernel is not a checker.
//!
//! A mutant is a patch of the kernel or of the module; if the module lies, the kernel must not be
//! blamed. The text above its `---` may have these lines, its claim:
//!
//! | line | meaning |
//! | --- | --- |
//! | `Rule: N` | the rule of the contract that it breaks |
//! | `Base: seed` or `mainline` | the kernel that it is a patch of |
//! | `Config: NAME` | the kernel configuration that is needed to see it |
//! | `Only: GLOB` | the scenarios to run (may be repeated; all if not given) |
//! | `Killed-by: SCENARIO, ...` | scenarios that must fail (may be repeated) |
//! | `Says: WORDS` | words that must be in the findings of those scenarios (may be repeated) |
//! | `Doubted-by: SCENARIO` | a scenario that must have no verdict (may be repeated) |
//! | `Doubts: TEXT` | text that must be in its reasons (may be repeated) |
//!
//! There must be a failure, except if something must be doubted: then there must be none.

mod claim;
mod judge;
mod outcome;
mod stages;

pub use claim::{Claim, Mutant};
pub use judge::{Fate, Kill, is_settled, judge, why_no_control};
pub use outcome::{MutantRun, MutantsReport, SCHEMA, Unmodified};
