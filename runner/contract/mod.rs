// SPDX-License-Identifier: GPL-2.0

//! The contract of `invalidate_range_start`: its rules, and the kernel's messages when it is kept
//! or broken.
//!
//! [`RULES`] and [`RULE_ROWS`] are tables. `mn-inject list --rules` prints them, `docs/contract.md`
//! is generated from that, the scenarios in [`crate::scenario::cases`] name the rules, and the
//! oracle computes from the rows which messages are due. [`chain`] models which callbacks an
//! invalidation makes, and [`steps`] has the result that is due of each step of a scenario that
//! takes several.

mod behaviour;
pub mod chain;
mod messages;
mod needs;
pub mod outcome;
pub mod registration;
mod rows;
mod rules;
pub mod steps;

pub use behaviour::Behaviour;
pub use messages::{depends_on_form, messages_of_call, messages_of_caller, messages_of_end};
pub use needs::Needs;
pub use rows::{RULE_ROWS, RuleRow};
pub use rules::{RULES, Rule};
