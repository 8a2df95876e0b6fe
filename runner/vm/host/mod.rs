// SPDX-License-Identifier: GPL-2.0

//! The host: the cache, progress on the terminal, slots for builds and guests, and signals.

pub mod cache;
pub mod key;
pub mod output;
pub mod progress;
pub mod signals;
pub mod slots;
pub mod space;
