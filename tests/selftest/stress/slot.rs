// SPDX-License-Identifier: GPL-2.0

//! Layout of the file in which a victim counts its operations. It has a row for each thread with
//! a number for each operation, then the index of the failed operation plus 1 (0 if none has
//! failed), then its errno.

use crate::stress::memory::MEMORY;

/// Number of threads of a busy victim.
pub const THREADS: usize = 2;

/// Number of numbers in a row.
pub const ROW: usize = MEMORY.len() + 2;
/// Size of a number in bytes.
pub const NUMBER: usize = size_of::<u64>();
/// Index of the start address of the first thread's area. The end address follows.
pub const AREA: usize = THREADS * ROW;
/// Size of the file in bytes.
pub const BYTES: usize = (AREA + 2) * NUMBER;

/// Offset of a number in bytes.
pub const fn at(index: usize) -> u64 {
    (index * NUMBER) as u64
}
