// SPDX-License-Identifier: GPL-2.0

//! Runs the scenarios while somebody disturbs them, and kills the run at random moments: under no
//! [`conditions`] may a verdict change to another one. There may be none, with the reason.
//!
//! Each run is `mn-inject run` as a user would type it. What disturbs it is another process.

mod compare;
pub mod condition;
mod conditions;
mod kills;
mod run;
mod trial;

pub use conditions::names;
pub use run::{main, run};
