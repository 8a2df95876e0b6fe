// SPDX-License-Identifier: GPL-2.0

//! `mn-inject` makes mmu notifiers fail on purpose and proves whether the kernel notices.
//!
//! Data flows one way: scenario → trigger → module log and kmsg → oracle → verdict → report.

pub mod aftermath;
pub mod cases;
pub mod cli;
pub mod contract;
pub mod exercise;
pub mod exit;
pub mod flood;
pub mod fuzz;
pub mod hostile;
pub mod inject;
pub mod kernel;
pub mod kmemleak;
pub mod kmsg;
pub mod known;
pub mod kunit;
pub mod list;
pub mod matrix;
pub mod model;
pub mod mutants;
pub mod oracle;
pub mod perform;
pub mod preflight;
pub mod procedure;
pub mod report;
pub mod robust;
pub mod rules;
pub mod run;
pub mod scenario;
pub mod session;
pub mod stress;
pub mod sys;
pub mod trigger;
pub mod vm;
pub mod watch;
