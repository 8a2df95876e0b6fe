// SPDX-License-Identifier: GPL-2.0

//! The file in which a victim counts: a row for each thread, in it a number for each operation,
//! and at the end of the row the operation that failed (its index and 1) and its errno.

use crate::stress::memory::MEMORY;

/// How many threads a busy victim has.
pub const THREADS: usize = 2;

/// Numbers in a row.
pub const ROW: usize = MEMORY.len() + 2;
/// Bytes of a number.
pub const NUMBER: usize = size_of::<u64>();
/// Where the addresses stand that the first thread works on: start and end.
pub const AREA: usize = THREADS * ROW;
/// Bytes of the file.
pub const BYTES: usize = (AREA + 2) * NUMBER;

/// Where a number stands, in bytes.
pub const fn at(index: usize) -> u64 {
    (index * NUMBER) as u64
}
