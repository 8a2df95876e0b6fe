// SPDX-License-Identifier: GPL-2.0

//! Parsers of lines, numbers and addresses, made from the module's documentation.

use nix::errno::Errno;

/// Largest size of a write(2), in bytes.
pub const LONGEST: usize = 4096;

/// Errnos of which a write must fail with one. There are several if a line has several faults, since
/// the order in which the module checks them is not documented.
pub type Refusal = Vec<Errno>;

/// Returns the line that a write(2) consists of, without its newline.
///
/// # Errors
///
/// E2BIG if it is longer than [`LONGEST`]; EINVAL if it is empty, not UTF-8, or not one line.
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

/// Parses a decimal number that is not negative and fits into 64 bits.
pub fn natural(text: &str) -> Result<u64, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 {
        return Err(vec![Errno::EINVAL]);
    }
    no_trailing(number.parse().map_err(|_| vec![Errno::ERANGE]), rest)
}

/// Parses a decimal number in `min..=max`.
pub fn number(text: &str, min: i64, max: i64) -> Result<i64, Refusal> {
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    let value = match number.parse() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        // The text is a number, so only its size can be wrong.
        _ if digits > 0 => Err(vec![Errno::ERANGE]),
        _ => return Err(vec![Errno::EINVAL]),
    };
    no_trailing(value, rest)
}

/// Adds EINVAL to the errnos if anything follows the number.
fn no_trailing<T>(value: Result<T, Refusal>, rest: &str) -> Result<T, Refusal> {
    if rest.is_empty() {
        return value;
    }
    let mut refusal = value.err().unwrap_or_default();
    refusal.push(Errno::EINVAL);
    Err(refusal)
}

/// Parses a hexadecimal address, with or without `0x`.
fn address(text: &str) -> Result<u64, Refusal> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 {
        return Err(vec![Errno::EINVAL]);
    }
    let value = u64::from_str_radix(number, 16).map_err(|_| vec![Errno::ERANGE]);
    no_trailing(value, rest)
}

/// Parses `START-END`, which must not be empty.
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
