// SPDX-License-Identifier: GPL-2.0

//! Stress test: all operations on the module, chosen at random, in many processes and threads at
//! once.
//!
//! A *worker* is a thread that uses the module. A *victim* is a subject that works on its memory
//! and is killed at a random moment.
//!
//! Each worker and each victim draws its next operation from a random stream of its own, which
//! depends on the seed: with the same number of processors, the same seed makes the same choices.
//! The scheduler decides the order in which they are carried out, and a choice falls on one of the
//! processes and targets that exist at that moment, so two runs are alike but not the same.
//!
//! Findings are: an error that nothing explains, a counter that goes back, a line that is not as
//! documented, a start of an invalidation without its end, a worker or victim that makes no
//! progress. The caller judges the kernel's log.

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
