// SPDX-License-Identifier: GPL-2.0

//! From a source package to a kernel and a module.

mod apt;
mod archive;
pub mod deps;
pub mod elf;
pub mod kernel;
pub mod kernels;
pub mod module;
pub mod patch;
pub mod provide;
pub mod source;
pub mod stage;
pub mod toolchain;
