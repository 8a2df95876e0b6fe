// SPDX-License-Identifier: GPL-2.0

//! Throw-away processes in which, and to which, the operations happen that make the kernel call a
//! notifier.

pub mod guard;
pub mod helper;
pub mod operation;
pub mod pages;
pub mod peer;
pub mod place;
pub mod prepared;
pub mod remote;
pub mod subject;
