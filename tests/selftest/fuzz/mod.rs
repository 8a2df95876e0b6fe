// SPDX-License-Identifier: GPL-2.0

//! Writes to the module's files all that somebody may ever write to them, and holds each write
//! against a description of the interface that does not come from the module: it is either taken
//! and reads back the same, or refused, and nothing has changed.

mod checks;
mod command;
mod edges;
mod files;
pub mod finding;
mod fuzzer;
pub mod grammar;
pub mod kind;
mod line;
pub mod order;
mod race;
mod run;
pub mod setting;
mod spoil;
pub mod subject;
mod table;
mod writes;

pub use run::{demand_no_targets, run};
