// SPDX-License-Identifier: GPL-2.0

//! Numbers and addresses at the limits of the integer types that may hold them.

use crate::random::Rng;

/// Numbers at the limits of the integer types that may hold them.
pub const EDGES: &[&str] = &[
    "0",
    "-0",
    "00",
    "007",
    "1",
    "-1",
    "127",
    "128",
    "-129",
    "255",
    "256",
    "32768",
    "65535",
    "65536",
    "2147483646",
    "2147483647",
    "2147483648",
    "-2147483647",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "4294967297",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
];

/// Addresses at the limits of the integer types that may hold them, and malformed ones.
pub const ADDRESSES: &[&str] = &[
    "0",
    "1",
    "0x0",
    "0x1000",
    "7fffffff",
    "ffffffff",
    "100000000",
    "0x7ffffffff000",
    "7fffffffffffffff",
    "8000000000000000",
    "ffffffff81000000",
    "0xfffffffffffffffe",
    "ffffffffffffffff",
    "FFFFFFFFFFFFFFFF",
    "0xABCDEF",
    "00000000000000000001",
    "10000000000000000",
    "0x10000000000000000",
    "ffffffffffffffffffffffff",
    "0X10",
    "x10",
    "0x",
    "g",
    "",
];

/// Generates an address in one of the notations that a user may write; it may be invalid.
pub fn address(rng: &mut Rng) -> String {
    if rng.one_in(3) {
        return (*rng.pick(ADDRESSES)).to_owned();
    }
    let bits = rng.bits() >> rng.below(64);
    match rng.below(4) {
        0 => format!("{bits:#x}"),
        1 => format!("{bits:X}"),
        2 => format!("0x{bits:X}"),
        _ => format!("{bits:x}"),
    }
}

/// Generates a valid range: not empty, with its start below its end.
pub fn range(rng: &mut Rng) -> String {
    let (a, b) = (rng.bits() >> rng.below(64), rng.bits() >> rng.below(64));
    let (start, end) = (a.min(b), a.max(b));
    let end = if start == end { start | 1 } else { end };
    let start = if start == end { end - 1 } else { start };
    match rng.below(3) {
        0 => format!("{start:#x}-{end:#x}"),
        1 => format!("{start:X}-0x{end:x}"),
        _ => format!("{start:x}-{end:X}"),
    }
}
