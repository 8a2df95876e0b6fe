// SPDX-License-Identifier: GPL-2.0

//! Builds a kernel and the module, from a source package or a tree of the user.

mod apt;
mod archive;
pub mod check;
pub mod deps;
pub mod elf;
pub mod kernel;
pub mod mirror;
pub mod module;
pub mod packages;
pub mod patch;
pub mod provide;
pub mod source;
pub mod stage;
pub mod system;
pub mod toolchain;
