// SPDX-License-Identifier: GPL-2.0

//! Judges what was observed.
//!
//! The oracle is pure functions. The messages that are due follow from the contract and from the
//! module's log; they are compared with the records of `/dev/kmsg`. A wrong pass is the worst
//! possible result and a wrong failure the next worst, so there is no verdict where the evidence is
//! in doubt.

mod align;
mod blame;
mod callbacks;
mod compare;
mod complained;
mod demand;
mod effects;
mod evidence;
mod expect;
mod explain;
mod findings;
mod form;
mod group;
mod index;
mod interleave;
mod judge;
mod lcs;
mod lines;
mod lockdep;
mod message;
mod mirror;
pub mod mutants;
mod order;
mod records;
pub mod run;
mod seen;
mod sentences;
mod symbol;
mod trust;
mod warn;
mod witness;

pub use form::NOTHING_FAILED;
pub use judge::{Judgement, judge};
pub use records::{is_callback_warn, is_judged};
