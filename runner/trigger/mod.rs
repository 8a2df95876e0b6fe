// SPDX-License-Identifier: GPL-2.0

//! What makes the kernel call a notifier: throw-away processes, and what is done in and to them.

pub mod guard;
pub mod helper;
pub mod operation;
pub mod pages;
pub mod peer;
pub mod subject;
