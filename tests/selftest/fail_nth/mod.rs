// SPDX-License-Identifier: GPL-2.0

//! Allocation failures, one after the other: each system call that the module answers is made with
//! its first allocation failing, then with its second, and so on, until the call comes to its end
//! without a fault. After each fault the errno must be that of the fault, and everything as before
//! the call.
//!
//! The faults are those of Documentation/fault-injection/fault-injection.rst (`fail-nth`).

mod attach;
mod call;
mod course;
mod device;
mod faults;
mod files;
mod load;
mod run;
mod site;
mod table;
mod tolerated;
mod walk;
mod world;

pub use run::run;
pub use table::names;
