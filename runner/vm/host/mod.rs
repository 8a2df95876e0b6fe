// SPDX-License-Identifier: GPL-2.0

//! The host: the cache, what a terminal is told, room for guests and builds, signals.

pub mod cache;
pub mod output;
pub mod progress;
pub mod signals;
pub mod slots;
