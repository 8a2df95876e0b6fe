// SPDX-License-Identifier: GPL-2.0

//! Fuzzer of the module's files. Writes valid, nearly valid and invalid lines to them, and compares
//! the result of each write with a model of the interface that is made from the documentation, not
//! from the module: either the module accepts the value and the file reads back the same, or the
//! write fails with the expected errno and nothing has changed.

mod checks;
mod command;
mod edges;
mod entry;
mod files;
pub mod finding;
mod fuzzer;
pub mod grammar;
mod keys;
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
