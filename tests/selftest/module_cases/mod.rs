// SPDX-License-Identifier: GPL-2.0

//! What the module does where somebody does something odd, and that every setting does what it
//! says: a table of cases, each with its defined result.

mod attach;
mod breach;
mod case;
mod effects;
mod faults;
mod filters;
mod kinds;
mod life;
mod lines;
mod log;
mod outcome;
pub mod rig;
mod run;
mod session;
pub mod table;
mod unload;

pub use run::{Part, demand_harmless, run};
