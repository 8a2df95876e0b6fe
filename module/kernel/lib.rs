// SPDX-License-Identifier: GPL-2.0

//! Everything of this module that touches `bindings`, and all of its `unsafe`.
//!
//! Leaf modules are not to use `bindings` (Documentation/rust/general-information.rst), but no
//! abstraction of mmu notifiers exists upstream yet, and `kernel::debugfs` puts its file
//! operations, with their `release`, into the module that uses it without an owner: a file held
//! open over `rmmod` would call into freed memory when it is closed. So what is missing stands
//! here, shaped as it would stand in `rust/kernel/`:
//!
//! - [`mmu_notifier`], as `rust/kernel/mm/mmu_notifier.rs`,
//! - [`mm`], as additions to `rust/kernel/mm.rs`,
//! - [`debugfs`], as an addition of `struct debugfs_short_fops` to `rust/kernel/debugfs.rs`,
//! - [`miscdevice`], as an addition of data that every open file shares to
//!   `rust/kernel/miscdevice.rs`,
//! - [`stacktrace`], as `rust/kernel/stacktrace.rs`,
//! - [`errno`], as additions to `rust/kernel/error.rs`,
//! - [`task`], as additions to `rust/kernel/task.rs`, `rust/kernel/time.rs` and the like.

pub(crate) mod breach;
pub(crate) mod debugfs;
pub(crate) mod errno;
pub(crate) mod faulty;
mod helpers;
pub(crate) mod miscdevice;
pub(crate) mod mm;
pub(crate) mod mmu_interval;
pub(crate) mod mmu_notifier;
pub(crate) mod stacktrace;
pub(crate) mod task;

use kernel::{
    iov::IovIterDest,
    prelude::*,
    uaccess::UserSliceWriter, //
};

/// Where what is read goes: `UserSliceWriter` and `IovIterDest` are the same to a file.
pub(crate) trait Output {
    /// How many bytes it still takes.
    fn room(&self) -> usize;

    /// Takes all of them. Fails with `EFAULT`.
    fn put(&mut self, bytes: &[u8]) -> Result;
}

impl Output for UserSliceWriter {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        self.write_slice(bytes)
    }
}

impl Output for IovIterDest<'_> {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        if self.copy_to_iter(bytes) == bytes.len() {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }
}
