// SPDX-License-Identifier: GPL-2.0

//! The functions of a kernel that call notifiers, and the scenarios that make each of them do so.

mod lines;
mod reached;
mod sites;

pub use lines::place;
pub use reached::coverage;
pub use sites::of_kernel;
