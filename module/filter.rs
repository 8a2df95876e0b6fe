// SPDX-License-Identifier: GPL-2.0

//! Which calls a fault is meant for.

use crate::text;
use kernel::{
    fmt,
    prelude::*, //
};

/// Addresses from `start` to before `end`.
#[derive(Clone, Copy)]
pub(crate) struct AddressRange {
    start: u64,
    end: u64,
}

impl AddressRange {
    /// Every address.
    pub(crate) const ALL: AddressRange = AddressRange {
        start: 0,
        end: u64::MAX,
    };

    /// Takes `START-END` as `/proc/PID/maps` writes it (hexadecimal, `0x` may stand before it),
    /// or `all`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        if line == "all" {
            return Ok(Self::ALL);
        }
        let (start, end) = line.split_once('-').ok_or(EINVAL)?;
        let (start, end) = (text::parse_hex(start)?, text::parse_hex(end)?);
        if start >= end {
            return Err(EINVAL);
        }
        Ok(AddressRange { start, end })
    }

    /// Whether some byte is in both.
    pub(crate) fn overlaps(self, start: u64, end: u64) -> bool {
        start < self.end && self.start < end
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == Self::ALL.start && self.end == Self::ALL.end {
            write!(f, "all")
        } else {
            write!(f, "{:#x}-{:#x}", self.start, self.end)
        }
    }
}

/// Calls in one of the two contexts, or in both.
#[derive(Clone, Copy)]
pub(crate) enum ContextFilter {
    /// Both.
    Any,
    /// Those that may sleep, and must not be refused.
    Blockable,
    /// Those of the OOM reaper and of `process_mrelease(2)`.
    NonBlockable,
}

impl ContextFilter {
    const ALL: [ContextFilter; 3] = [
        ContextFilter::Any,
        ContextFilter::Blockable,
        ContextFilter::NonBlockable,
    ];

    const fn name(self) -> &'static str {
        match self {
            ContextFilter::Any => "any",
            ContextFilter::Blockable => "blockable",
            ContextFilter::NonBlockable => "nonblockable",
        }
    }

    /// Takes one of the names.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|filter| filter.name() == line)
            .ok_or(EINVAL)
    }

    /// Whether a call in this context is meant.
    pub(crate) fn admits(self, blockable: bool) -> bool {
        match self {
            ContextFilter::Any => true,
            ContextFilter::Blockable => blockable,
            ContextFilter::NonBlockable => !blockable,
        }
    }
}

impl fmt::Display for ContextFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

/// Which calls a fault is meant for, whatever their event.
#[derive(Clone, Copy)]
pub(crate) struct Filter {
    /// Calls that touch one of these addresses.
    pub(crate) range: AddressRange,
    /// Calls in this context.
    pub(crate) context: ContextFilter,
}
