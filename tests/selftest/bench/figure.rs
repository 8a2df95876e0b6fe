// SPDX-License-Identifier: GPL-2.0

//! A figure that was measured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A figure, and what it is a multiple of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Name of what was measured.
    pub name: String,
    /// The figure: the median of all rounds.
    pub value: u64,
    /// Its unit: `instructions`, `nanoseconds` or `bytes`.
    pub unit: String,
    /// Its ratio to another one.
    pub ratio: Option<Ratio>,
}

/// The ratio of two figures of the same rounds, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Name of the other figure.
    pub to: String,
    /// Median of all rounds.
    pub median: u64,
    /// Least of all rounds.
    pub least: u64,
    /// Greatest of all rounds.
    pub greatest: u64,
}

/// Writes thousandths as a decimal number.
pub fn decimal(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, greatest] = [self.median, self.least, self.greatest].map(decimal);
        write!(f, "{median} ({least} to {greatest}) of {}", self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_printed_with_its_spread() {
        let ratio = Ratio {
            to: "no notifier".to_owned(),
            median: 1020,
            least: 999,
            greatest: 12_003,
        };
        assert_eq!(ratio.to_string(), "1.020 (0.999 to 12.003) of no notifier");
    }
}
