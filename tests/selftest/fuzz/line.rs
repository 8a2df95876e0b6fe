// SPDX-License-Identifier: GPL-2.0

//! Lines, numbers and addresses as the module takes them, from its documentation.

use nix::errno::Errno;

/// The most bytes that a write(2) may have.
pub const LONGEST: usize = 4096;

/// Why a write is refused: one of these. There are several where several things are wrong with a
/// line, since nobody says which of them is looked at first.
pub type Refusal = Vec<Errno>;

/// The line that a write(2) is taken for.
pub fn line(bytes: &[u8]) -> Result<&str, Refusal> {
    if bytes.len() > LONGEST {
        return Err(vec![Errno::E2BIG]);
    }
    let bad = || vec![Errno::EINVAL];
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() || text.contains(['\0', '\n']) {
        return Err(bad());
    }
    Ok(text)
}

/// A decimal number of 64 bits that is not negative.
pub fn natural(text: &str) -> Result<u64, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 {
        return Err(vec![Errno::EINVAL]);
    }
    no_more(number.parse().map_err(|_| vec![Errno::ERANGE]), rest)
}

/// A decimal number that is in these bounds.
pub fn number(text: &str, min: i64, max: i64) -> Result<i64, Refusal> {
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    let value = match number.parse() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        // It is a number, so all that can be wrong with it is its size.
        _ if digits > 0 => Err(vec![Errno::ERANGE]),
        _ => return Err(vec![Errno::EINVAL]),
    };
    no_more(value, rest)
}

/// What follows a number is wrong, too.
fn no_more<T>(value: Result<T, Refusal>, rest: &str) -> Result<T, Refusal> {
    if rest.is_empty() {
        return value;
    }
    let mut refusal = value.err().unwrap_or_default();
    refusal.push(Errno::EINVAL);
    Err(refusal)
}

/// A hexadecimal address, with or without `0x`.
fn address(text: &str) -> Result<u64, Refusal> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 {
        return Err(vec![Errno::EINVAL]);
    }
    let value = u64::from_str_radix(number, 16).map_err(|_| vec![Errno::ERANGE]);
    no_more(value, rest)
}

/// `START-END`.
pub fn addresses(text: &str) -> Result<(u64, u64), Refusal> {
    let (start, end) = text.split_once('-').ok_or_else(|| vec![Errno::EINVAL])?;
    match (address(start), address(end)) {
        (Ok(start), Ok(end)) if start < end => Ok((start, end)),
        (Ok(_), Ok(_)) => Err(vec![Errno::EINVAL]),
        (start, end) => Err([start.err(), end.err()]
            .into_iter()
            .flatten()
            .flatten()
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_one_whole_line() {
        assert_eq!(line(b"x"), Ok("x"));
        assert_eq!(line(b"x\n"), Ok("x"));
        assert_eq!(line(&[b'x'; LONGEST]).map(str::len), Ok(LONGEST));
        for bad in [&b""[..], b"\n", b"x\n\n", b"\nx", b"a\nb", b"x\0", b"\xff"] {
            assert_eq!(line(bad), Err(vec![Errno::EINVAL]), "{bad:?}");
        }
        assert_eq!(line(&[0; LONGEST + 1]), Err(vec![Errno::E2BIG]));
    }
}
