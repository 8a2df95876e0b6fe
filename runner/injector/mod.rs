// SPDX-License-Identifier: GPL-2.0

//! The module's interface: its files in debugfs, its device, and loading it.

mod connection;
pub mod files;
pub mod formats;
pub mod line;
pub mod load;
mod log;
pub mod sources;
mod targets;

pub use connection::{Attachment, Connection};
pub use files::{DEVICE, FOLDER, control_file, is_there, target_file};
pub use load::{LoadedModule, demand_absent};
pub use log::{Entries, LogReader};
pub use targets::{
    Attach, counters, detach_line, is_claimed_by, may_break_rules, notifiers_of_others, stale,
    targets, total_entries,
};
