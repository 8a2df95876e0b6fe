// SPDX-License-Identifier: GPL-2.0

//! Additions to the `kernel` crate: all of the module's `unsafe`, and all use of `bindings`.
//!
//! Leaf modules are not to use `bindings` (Documentation/rust/general-information.rst), but the
//! `kernel` crate has no abstraction of MMU notifiers yet. Each file has the name of the file in
//! `rust/kernel/` that it would be or would extend:
//!
//! - [`mmu_notifier`] and [`mmu_interval`] would be new.
//! - [`mm`] adds the mmap write lock, and counts.
//! - [`debugfs`] adds `struct debugfs_short_fops`. The operations of `kernel::debugfs` have a
//!   `release` and no owner: closing a file that was held open over `rmmod` calls freed memory.
//! - [`miscdevice`] adds data that all open files share.
//! - `uaccess` adds a trait for both destinations of a read.
//! - [`stacktrace`], [`kallsyms`], [`task`], [`time`], [`random`] and [`print`](mod@print) add
//!   single functions.
//! - `modinfo` adds a key of `module!`.
//! - `kunit` adds memory for tests.
//! - [`errno`] is for Linux 7.2, and can go with it.
//!
//! The test's own files are not part of that:
//!
//! - [`faulty`] has notifiers whose answers the contract forbids.
//! - [`breach`] has violations of contracts after which the kernel may crash.

pub(crate) mod breach;
pub(crate) mod debugfs;
pub(crate) mod errno;
pub(crate) mod faulty;
mod helpers;
pub(crate) mod kallsyms;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod kunit;
pub(crate) mod miscdevice;
pub(crate) mod mm;
pub(crate) mod mmu_interval;
pub(crate) mod mmu_notifier;
mod modinfo;
pub(crate) mod page_table;
pub(crate) mod print;
pub(crate) mod random;
pub(crate) mod stacktrace;
pub(crate) mod task;
pub(crate) mod time;
mod uaccess;

pub(crate) use uaccess::Output;
