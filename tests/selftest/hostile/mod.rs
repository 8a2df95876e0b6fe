// SPDX-License-Identifier: GPL-2.0

//! Runs the scenarios while they are disturbed, and kills the run at random moments. None of the
//! [`conditions`] may change a verdict into another one; a scenario may have no verdict, with a
//! reason.
//!
//! Each run is `mn-inject run` as a user would type it. A separate process disturbs it.

mod compare;
pub mod condition;
mod conditions;
mod kills;
mod run;
mod trial;

pub use conditions::names;
pub use run::{main, run};
