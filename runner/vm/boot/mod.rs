// SPDX-License-Identifier: GPL-2.0

//! From a kernel to the report of the guests that it ran in.

pub mod accel;
pub mod info;
pub mod initramfs;
pub mod listen;
pub mod program;
pub mod protocol;
pub mod qemu;
pub mod results;
pub mod suite;
