// SPDX-License-Identifier: GPL-2.0

//! Lines that this program writes to the log to find its own place in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kmsg::record::Record;

/// A line in the log that only this program can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    text: String,
}

impl Marker {
    /// A marker with a token that never comes twice. The label is for people.
    pub(super) fn new(label: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // The kernel escapes other characters, and a line break would end the record.
        let label = label.replace(|c: char| !(' '..='~').contains(&c) || c == '\\', "_");
        Marker {
            text: format!(
                "mn-inject: marker {}-{}-{count} {label}",
                std::process::id(),
                now.as_nanos()
            ),
        }
    }

    /// The line to write to `/dev/kmsg`, with facility 1 (user) and level 6 (info).
    pub(super) fn line(&self) -> String {
        format!("<14>{}\n", self.text)
    }

    /// Whether `record` is this marker.
    pub fn is(&self, record: &Record) -> bool {
        !record.is_kernel() && record.text == self.text
    }
}
