// SPDX-License-Identifier: GPL-2.0

//! The commands of `vm`, each in a file of its own. [`batch`] is shared by those that run many
//! kernels.

pub mod batch;
pub mod build;
pub mod floor;
pub mod matrix;
pub mod mutants;
pub mod repeat;
pub mod run;
pub mod shell;
