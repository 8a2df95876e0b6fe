// SPDX-License-Identifier: GPL-2.0

//! Mutants: kernels that are wrong in one way each, and what came of running the suite on them. A
//! checker that has never said no is not a checker.
//!
//! A mutant is a patch of the kernel, or of the module: one whose module lies must not be blamed on
//! the kernel. Its text above the `---` may say what it is, a line each:
//!
//! | line | meaning |
//! | --- | --- |
//! | `Rule: N` | the rule of the contract that it breaks |
//! | `Base: seed` or `mainline` | the kernel that it is a patch of |
//! | `Config: NAME` | the kernel configuration that it takes to see it |
//! | `Only: GLOB` | the scenarios to run (may be repeated; all if not given) |
//! | `Killed-by: SCENARIO` | a scenario that must fail (may be repeated) |
//! | `Says: WORDS` | words that must stand in the findings of those scenarios (may be repeated) |
//! | `Doubted-by: SCENARIO` | a scenario that must come to no verdict (may be repeated) |
//! | `Doubts: TEXT` | what must stand in its reasons (may be repeated) |
//!
//! Either there must be a failure, or, where something must be doubted, there must be none.

mod claim;
mod judge;
mod outcome;
mod stages;

pub use claim::{Claim, Mutant};
pub use judge::{Fate, Kill, is_settled, judge, why_it_did_not_pass, why_no_control};
pub use outcome::{MutantRun, MutantsReport, SCHEMA, Unmodified};
