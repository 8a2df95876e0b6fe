// SPDX-License-Identifier: GPL-2.0

//! Words of the form `key=value`, and the numbers and names in them.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::model::{Context, NotifierEvent};

/// Splits a line of `key=value` words.
///
/// # Errors
///
/// The keys are not exactly these in this order, with one blank between two words.
pub fn values<'a, const N: usize>(line: &'a str, keys: [&str; N]) -> Result<[&'a str; N]> {
    let mut words = line.split(' ');
    let mut found = [""; N];
    for (slot, key) in found.iter_mut().zip(keys) {
        let value = words
            .next()
            .and_then(|word| word.strip_prefix(key))
            .and_then(|rest| rest.strip_prefix('='));
        match value {
            Some(value) => *slot = value,
            None => bail!("no {key}= where it should stand in {line:?}"),
        }
    }
    if words.next().is_some() {
        bail!("more words than expected in {line:?}");
    }
    Ok(found)
}

/// Parses a hexadecimal number with `0x`, as the module writes addresses.
///
/// # Errors
///
/// It has no `0x`, a sign, or more than 64 bits.
pub fn hex(text: &str) -> Result<u64> {
    let digits = text
        .strip_prefix("0x")
        .with_context(|| format!("{text:?} does not begin with 0x"))?;
    // `from_str_radix` alone takes a plus sign.
    ensure!(
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{text:?} is no address"
    );
    u64::from_str_radix(digits, 16).with_context(|| format!("{text:?} is no address"))
}

/// Parses a decimal number without a sign.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T> {
    // `parse` alone takes a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ => bail!("{text:?} is no number"),
    }
}

/// Parses a decimal number that may have a minus sign.
pub(super) fn signed<T: FromStr>(text: &str) -> Result<T> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match text.parse() {
        Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => bail!("{text:?} is no number"),
    }
}

/// Parses a line of words with decimal numbers.
pub(super) fn numbers<const N: usize>(line: &str, keys: [&str; N]) -> Result<[u64; N]> {
    let mut found = [0; N];
    for (slot, text) in found.iter_mut().zip(values(line, keys)?) {
        *slot = number(text).with_context(|| format!("in {line:?}"))?;
    }
    Ok(found)
}

/// Returns the value of this word.
pub(super) fn one_of<T: Copy, const N: usize>(text: &str, known: [(&str, T); N]) -> Result<T> {
    match known.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => bail!("{text:?} is none of {:?}", known.map(|(word, _)| word)),
    }
}

/// Parses the kernel's name of an event. `UNKNOWN`, an event that is newer than the module, is an
/// error.
pub(super) fn event(text: &str) -> Result<NotifierEvent> {
    text.strip_prefix("MMU_NOTIFY_")
        .and_then(NotifierEvent::from_name)
        .with_context(|| format!("unknown event {text:?}"))
}

/// Parses `blockable` or `non-blockable`.
pub(super) fn context(text: &str) -> Result<Context> {
    one_of(
        text,
        [
            ("blockable", Context::Blockable),
            ("non-blockable", Context::NonBlockable),
        ],
    )
}

/// Parses `START-END`, of which neither is empty, or `all`, which is [`None`].
pub(super) fn range(text: &str) -> Result<Option<(u64, u64)>> {
    if text == "all" {
        return Ok(None);
    }
    let (start, end) = text
        .split_once('-')
        .with_context(|| format!("{text:?} is no range"))?;
    let (start, end) = (hex(start)?, hex(end)?);
    ensure!(start < end, "the range {text:?} is empty");
    Ok(Some((start, end)))
}

/// Undoes the module's `\xNN`.
pub(super) fn unescape(word: &str) -> Result<String> {
    ensure!(
        word.bytes().all(|byte| byte.is_ascii_graphic()),
        "unescaped characters in {word:?}"
    );
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest[at..]
            .strip_prefix("\\x")
            .and_then(|digits| digits.get(..2))
            .with_context(|| format!("cut escape in {word:?}"))?;
        ensure!(
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "bad escape in {word:?}"
        );
        bytes.push(
            u8::from_str_radix(digits, 16).with_context(|| format!("bad escape in {word:?}"))?,
        );
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines of a text. Unlike [`str::lines`] it leaves a carriage return where it is.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n')
}

/// The text of a file of one line, with or without its newline.
pub(super) fn one_line(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_digits_only() {
        assert_eq!(number::<u64>("18446744073709551615").unwrap(), u64::MAX);
        for bad in [
            "",
            "+5",
            "-5",
            " 5",
            "5 ",
            "0x5",
            "5a",
            "18446744073709551616",
        ] {
            assert!(number::<u64>(bad).is_err(), "{bad:?}");
        }
        assert_eq!(signed::<i32>("-4095").unwrap(), -4095);
        assert_eq!(signed::<i32>("7").unwrap(), 7);
        for bad in ["", "-", "+5", "--5", "-+5", "2147483648"] {
            assert!(signed::<i32>(bad).is_err(), "{bad:?}");
        }
        assert!(number::<i32>("2147483648").is_err());
    }

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(hex("0xffffffffffffffff").unwrap(), u64::MAX);
        assert_eq!(hex("0x0").unwrap(), 0);
        for bad in [
            "",
            "0x",
            "7000",
            "0X1",
            "0x+1",
            "0x-1",
            "0xg",
            "0x10000000000000000",
        ] {
            assert!(hex(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_come_in_their_order() {
        assert_eq!(values("a=1 b=x=y", ["a", "b"]).unwrap(), ["1", "x=y"]);
        for bad in [
            "",
            "a=1",
            "b=2 a=1",
            "a=1 b=2 c=3",
            "a=1  b=2",
            "a=1 b=2 ",
            "ab=1 b=2",
        ] {
            assert!(values(bad, ["a", "b"]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(
            unescape("oom\\x20reap\\x5cx41\\x00").unwrap(),
            "oom reap\\x41\0"
        );
        assert_eq!(unescape("").unwrap(), "");
        for bad in [
            "\\xZZ",
            "a\\x5",
            "\\x+5",
            "\\",
            "a\\n",
            "a\tb",
            "\u{e9}",
            "\\x\u{e9}",
        ] {
            assert!(unescape(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ranges_have_addresses() {
        assert_eq!(range("all").unwrap(), None);
        assert_eq!(range("0x1000-0x2000").unwrap(), Some((0x1000, 0x2000)));
        for bad in ["", "ALL", "0x1000", "0x2000-0x1000", "0x1-0x1", "1-2"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
    }
}
