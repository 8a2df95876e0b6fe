// SPDX-License-Identifier: GPL-2.0

//! The module's cases: odd situations and all settings, each with its defined result, in one table.

mod aging;
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
pub mod outcome;
mod reading;
pub mod rig;
mod run;
mod session;
mod settings;
mod sharing;
pub mod table;
mod unload;

pub use run::{Part, demand_harmless, run};
