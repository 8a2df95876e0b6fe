// SPDX-License-Identifier: GPL-2.0

//! The one parser of the texts that the module shows, as `module/counters.rs`, `module/log.rs`,
//! `module/files.rs` and `module/targets.rs` write them.
//!
//! Parsing is strict about the module's format: every key in its place, no further words, only
//! known names, numbers without a plus sign. It does not judge values that come from the kernel,
//! such as an even sequence number or a range that ends before it starts. Such a value must reach
//! the oracle, which makes a finding of it. Where there is no oracle, `check()` of a value and
//! [`check_order`] refuse what a correct kernel and a correct module never show.

mod counters;
mod entry;
mod facts;
mod settings;
mod target;
mod words;

pub use counters::{Counters, EventCount};
pub use entry::{Entry, Op, check_order, complete_lines, log};
pub use facts::{BEGIN, Mm, Seq, breach, total};
pub use settings::{Callback, Settings, TaskFilter};
pub use target::{Owner, Target, targets};
pub use words::{hex, values};
