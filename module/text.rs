// SPDX-License-Identifier: GPL-2.0

//! Text: what debugfs files show, and what is written to them.

use crate::abstractions::Output;
use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Text that grows as it is written, which may be long: it needs no pages in one piece. Allocates
/// from the memory of the current task's cgroup, so it is not for callbacks.
pub(crate) struct Text(KVVec<u8>);

impl Text {
    /// No text, with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Result<Self> {
        Ok(Text(KVVec::with_capacity(capacity, GFP_KERNEL_ACCOUNT)?))
    }

    /// Adds to the text. Fails with `ENOMEM`.
    pub(crate) fn add(&mut self, args: fmt::Arguments<'_>) -> Result {
        fmt::Write::write_fmt(self, args).map_err(|_| ENOMEM)
    }

    /// Adds to the text what there is room for, without an allocation. Returns false if some of it
    /// is missing.
    pub(crate) fn add_within_capacity(&mut self, args: fmt::Arguments<'_>) -> bool {
        fmt::Write::write_fmt(&mut Within(self), args).is_ok()
    }

    /// Removes all text, and makes room for twice as much. Fails with `ENOMEM`.
    pub(crate) fn clear_and_grow(&mut self) -> Result {
        let capacity = self.0.capacity().saturating_mul(2).max(PAGE_SIZE);
        *self = Text::with_capacity(capacity)?;
        Ok(())
    }

    /// The text so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0
            .extend_from_slice(s.as_bytes(), GFP_KERNEL_ACCOUNT)
            .map_err(|_| fmt::Error)
    }
}

/// The room that a text has.
struct Within<'a>(&'a mut Text);

impl fmt::Write for Within<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let Text(bytes) = &mut *self.0;
        if s.len() > bytes.capacity().saturating_sub(bytes.len()) {
            return Err(fmt::Error);
        }
        self.0.write_str(s)
    }
}

/// Copies out the part of `bytes` that starts at `position`, as far as `out` has room.
pub(crate) fn copy_out(bytes: &[u8], position: &mut u64, out: &mut dyn Output) -> Result<usize> {
    let rest = usize::try_from(*position)
        .ok()
        .and_then(|start| bytes.get(start..))
        .unwrap_or(&[]);
    let part = rest.get(..out.room()).unwrap_or(rest);
    out.put(part)?;
    *position = position.wrapping_add(part.len() as u64);
    Ok(part.len())
}

/// A name that takes one word whatever is in it: what is not printable, blanks and the backslash
/// stand as `\xNN`. It ends with the first NUL.
pub(crate) struct Word<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take_while(|&&byte| byte != 0) {
            if byte.is_ascii_graphic() && byte != b'\\' {
                write!(f, "{}", byte as char)?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The line in `data`: UTF-8 without NUL, one newline at its end left off.
pub(crate) fn line(data: &[u8]) -> Result<&str> {
    let text = core::str::from_utf8(data).map_err(|_| EINVAL)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.contains(['\n', '\0']) {
        return Err(EINVAL);
    }
    Ok(text)
}

/// Maps the reasons why a number is none to errnos.
fn number_error(error: core::num::ParseIntError) -> Error {
    match error.kind() {
        core::num::IntErrorKind::PosOverflow | core::num::IntErrorKind::NegOverflow => ERANGE,
        _ => EINVAL,
    }
}

/// A decimal number that may be negative. Fails with `EINVAL` or `ERANGE`.
pub(crate) fn parse_i32(text: &str) -> Result<i32> {
    // The standard library takes a plus, which nothing here shows.
    if text.starts_with('+') {
        return Err(EINVAL);
    }
    text.parse().map_err(number_error)
}

/// A decimal number that is not negative. Fails with `EINVAL` or `ERANGE`.
pub(crate) fn parse_u64(text: &str) -> Result<u64> {
    if text.starts_with('+') {
        return Err(EINVAL);
    }
    text.parse().map_err(number_error)
}

/// A hexadecimal number; `0x` may stand before it. Fails with `EINVAL` or `ERANGE`.
pub(crate) fn parse_hex(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.starts_with(['+', '-']) {
        return Err(EINVAL);
    }
    u64::from_str_radix(digits, 16).map_err(number_error)
}

#[kunit_tests(mmu_notifier_inject_text)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_end_with_one_newline() {
        assert_eq!(line(b"5\n"), Ok("5"));
        assert_eq!(line(b"5"), Ok("5"));
        assert_eq!(line(b""), Ok(""));
        for bad in [&b"5\n\n"[..], b"\n5", b"5\0", b"\0", b"\xff", b"a\nb"] {
            assert_eq!(line(bad), Err(EINVAL));
        }
    }

    #[test]
    fn decimal_numbers() {
        assert_eq!(parse_i32("-2147483648"), Ok(i32::MIN));
        assert_eq!(parse_i32("007"), Ok(7));
        assert_eq!(parse_i32("2147483648"), Err(ERANGE));
        assert_eq!(parse_i32("-99999999999999999999"), Err(ERANGE));
        for bad in ["", "-", "+5", " 5", "5 ", "0x5", "5a", "--5"] {
            assert_eq!(parse_i32(bad), Err(EINVAL));
        }
    }

    #[test]
    fn decimal_numbers_of_64_bits() {
        assert_eq!(parse_u64("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_u64("007"), Ok(7));
        assert_eq!(parse_u64("18446744073709551616"), Err(ERANGE));
        for bad in ["", "-1", "+5", " 5", "5 ", "0x5", "5a"] {
            assert_eq!(parse_u64(bad), Err(EINVAL));
        }
    }

    #[test]
    fn hexadecimal_numbers() {
        assert_eq!(parse_hex("0xfF"), Ok(255));
        assert_eq!(parse_hex("ffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(parse_hex("10000000000000000"), Err(ERANGE));
        for bad in ["", "0x", "-1", "0x+1", "0X1", "g", "1 "] {
            assert_eq!(parse_hex(bad), Err(EINVAL));
        }
    }

    #[test]
    fn a_text_grows_only_when_it_is_told_to() -> Result {
        let mut text = Text::with_capacity(0)?;
        assert!(!text.add_within_capacity(fmt!("a")));
        text.clear_and_grow()?;
        assert!(text.add_within_capacity(fmt!("{}", "a")));
        let room = text.0.capacity();
        while text.add_within_capacity(fmt!("b")) {}
        assert_eq!((text.0.len(), text.0.capacity()), (room, room));
        text.clear_and_grow()?;
        assert_eq!(text.as_bytes(), b"");
        assert!(text.0.capacity() >= 2 * room);
        Ok(())
    }

    #[test]
    fn a_word_has_no_blanks() -> Result {
        let mut text = Text::with_capacity(0)?;
        text.add(fmt!("{}", Word(b"a b\\\x01c\0d")))?;
        assert_eq!(text.as_bytes(), b"a\\x20b\\x5c\\x01c");
        Ok(())
    }
}
