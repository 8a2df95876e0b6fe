// SPDX-License-Identifier: GPL-2.0

//! Corruption of lines: bytes that are changed, added or removed, and nonsense.

use crate::fuzz::line::LONGEST;
use crate::random::Rng;

/// Strings that are inserted into a line, or put before or after it.
const ORNAMENTS: &[&str] = &[
    " ",
    "  ",
    "\t",
    "+",
    "-",
    "\n",
    "\n\n",
    "\r\n",
    "\0",
    ",",
    "=",
    "0",
    "0x",
    "%",
    "\u{e9}",
    "\u{1f600}",
    ".",
    "/",
    "\\",
    "\"",
];

/// Changes a few random bytes.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(6) {
            0 => bytes.insert(at, rng.bits() as u8),
            1 => {
                let ornament = rng.pick(ORNAMENTS).as_bytes();
                bytes.splice(at..at, ornament.iter().copied());
            }
            2 => bytes.truncate(at),
            _ if at == bytes.len() => bytes.push(b' '),
            3 => bytes[at] ^= 1 << rng.below(8),
            4 => drop(bytes.remove(at)),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

/// Generates bytes that are mostly not a valid line for any file, by length or by content.
pub fn nonsense(rng: &mut Rng, value: &str) -> Vec<u8> {
    let fill = |length: usize, last: &str| {
        let mut bytes = value.as_bytes().repeat(length / value.len().max(1) + 1);
        bytes.resize(length - last.len(), b'0');
        bytes.extend(last.as_bytes());
        bytes
    };
    match rng.below(10) {
        0 => Vec::new(),
        1 => b"\n".to_vec(),
        2 => vec![rng.bits() as u8],
        3 => fill(LONGEST, ""),
        4 => fill(LONGEST, "\n"),
        5 => fill(LONGEST + 1, "\n"),
        6 if rng.one_in(4) => fill(64 << 10, "\n"),
        6 => fill(LONGEST + 1, ""),
        7 => [value.as_bytes(), b"\xc3\x28\xff"].concat(),
        8 => [value.as_bytes(), b"\0"].concat(),
        _ => (0..rng.below(300)).map(|_| rng.bits() as u8).collect(),
    }
}

/// Returns the bytes of `text`, with or without the optional newline.
pub fn ended(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if rng.one_in(2) {
        bytes.push(b'\n');
    }
    bytes
}

/// Corrupts a valid line; the result may still be valid.
pub fn spoil(rng: &mut Rng, text: &str) -> Vec<u8> {
    let ornament = rng.pick(ORNAMENTS);
    match rng.below(5) {
        0 => format!("{ornament}{text}").into_bytes(),
        1 => format!("{text}{ornament}").into_bytes(),
        2 => text.to_lowercase().into_bytes(),
        3 => text.to_uppercase().into_bytes(),
        _ => {
            let mut bytes = ended(rng, text);
            mutate(rng, &mut bytes);
            bytes
        }
    }
}
