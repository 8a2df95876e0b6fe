// SPDX-License-Identifier: GPL-2.0

//! Carries out scenarios between two markers in the kernel's log, and records their effects.
//!
//! For each scenario [`setup`] starts a subject with its notifiers, [`window`] carries out the
//! operation or [`steps`] the script, and [`removal`] removes the notifiers again. For a whole run
//! [`preflight`] checks the machine, [`complaints`] watches the kernel's log, and [`teardown`]
//! unloads the module.

pub mod complaints;
pub mod kmemleak;
pub mod kunit;
pub mod preflight;
mod reaper;
mod removal;
mod session;
mod setup;
mod steps;
pub mod teardown;
mod window;

pub use session::{CGROUP_PREFIX, Session};
pub use window::WindowError;
