// SPDX-License-Identifier: GPL-2.0

//! Prints reports.

pub mod format;
pub mod human;
pub mod json;
mod ktap;
mod matrix;
mod mutants;
mod print;
pub mod recorder;
pub mod text;

pub use print::{Human, print, print_simple};
pub use text::verdict_word;
