// SPDX-License-Identifier: GPL-2.0

//! `mn-inject` makes mmu notifiers fail on purpose and proves whether the kernel notices.
//!
//! Data flows one way: scenario → trigger → module log and kmsg → recording → oracle → report.

pub mod cli;
pub mod contract;
pub mod coverage;
pub mod guest;
pub mod injector;
pub mod kmsg;
pub mod model;
pub mod observe;
pub mod oracle;
pub mod os;
pub mod report;
pub mod scenario;
pub mod suite;
pub mod trigger;
pub mod vm;
