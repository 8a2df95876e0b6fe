// SPDX-License-Identifier: GPL-2.0

//! Boots guests with a kernel that was built, and makes the report of a run in them.

pub mod accel;
pub mod gdb;
pub mod info;
pub mod initramfs;
pub mod listen;
pub mod machine;
pub mod monitor;
pub mod place;
pub mod process;
pub mod program;
pub mod protocol;
pub mod qemu;
pub mod results;
pub mod snapshot;
pub mod socket;
pub mod suite;
pub mod uml;
