// SPDX-License-Identifier: GPL-2.0

//! Everything that can be done with the module, by many processes and threads at once, at random.
//!
//! Each worker and each victim draws what it does next from a stream of its own that comes of the
//! seed: on as many processors, the same seed makes the same choices. In which order they meet is
//! the kernel's affair, and whom a choice hits depends on who is there by then, so two runs are
//! alike but not the same.
//!
//! What is wrong is a finding: an error that nothing explains, a counter that goes back, a line
//! that is not as documented, a start without an end, a worker or victim that stands still. What
//! the kernel says in its log is for the caller to judge.

mod attach;
mod calls;
mod choice;
mod class;
mod controller;
mod counts;
mod errno;
mod files;
mod heartbeat;
mod held;
mod helper;
mod keeper;
mod knobs;
mod leftovers;
mod memory;
mod module_state;
mod open;
mod reads;
mod reaping;
mod reload;
mod request;
pub mod role;
mod run;
mod session;
mod slot;
mod stacks;
mod target;
pub mod victim;
mod victims;
mod worker;
mod workers;
mod world;

pub use run::run;
