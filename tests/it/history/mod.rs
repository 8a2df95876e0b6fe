// SPDX-License-Identifier: GPL-2.0

//! Generates runs: the module's log, and the lines of a correct kernel or of a wrong one.
//!
//! The lines are rendered here from the kernel's format strings, independently of the oracle.

mod edit;
mod invalidation;
mod kernel;
mod plan;
mod results;
mod run;
mod strategies;
mod writer;

pub use edit::{adjust, insert, line, recount, renumber};
pub use kernel::{Kernel, Style};
pub use plan::{
    EAGAIN, Plan, REAPER_TID, RUNNER_TID, Trigger, attached, call, end_elsewhere, observation, one,
};
pub use results::{all_kinds, findings, kinds};
pub use run::{History, history};
pub use strategies::any_history;
pub use writer::{Origin, SYMBOL, Writer};
