// SPDX-License-Identifier: GPL-2.0

//! Text in a buffer of fixed size, for what debugfs files show.

use kernel::{
    fmt,
    prelude::*,
    uaccess::UserSliceWriter, //
};

/// Up to `N` bytes of text.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Formats `args`. Fails with `EOVERFLOW` where they need more than `N` bytes.
    pub(crate) fn new(args: fmt::Arguments<'_>) -> Result<Self> {
        let mut text = Text {
            bytes: [0; N],
            len: 0,
        };
        fmt::Write::write_fmt(&mut text, args).map_err(|_| EOVERFLOW)?;
        Ok(text)
    }

    /// What was formatted.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len.checked_add(s.len()).ok_or(fmt::Error)?;
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Copies out the part of `bytes` that starts at `position`, as far as `out` has room.
pub(crate) fn copy_out(
    bytes: &[u8],
    position: &mut u64,
    out: &mut UserSliceWriter,
) -> Result<usize> {
    let rest = usize::try_from(*position)
        .ok()
        .and_then(|start| bytes.get(start..))
        .unwrap_or(&[]);
    let part = rest.get(..out.len()).unwrap_or(rest);
    out.write_slice(part)?;
    *position = position.wrapping_add(part.len() as u64);
    Ok(part.len())
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
    text.parse().map_err(number_error)
}

/// A hexadecimal number; `0x` may stand before it. Fails with `EINVAL` or `ERANGE`.
pub(crate) fn parse_hex(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // The standard library takes a sign, which no address has.
    if digits.starts_with(['+', '-']) {
        return Err(EINVAL);
    }
    u64::from_str_radix(digits, 16).map_err(number_error)
}
