// SPDX-License-Identifier: GPL-2.0

//! How a finding says what was written, what was due, and what came instead.

use std::fmt::Write as _;
use std::io;

use nix::errno::Errno;

use crate::fuzz::line::Refusal;

/// How many findings are enough: what follows is mostly more of the same.
pub const ENOUGH: usize = 50;

/// So many bytes are shown whole.
const SHOWN: usize = 160;

/// The bytes with everything escaped that is not plain ASCII. Of long ones the first and the last,
/// and how many there are: the seed makes them again.
pub fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let (first, last) = (&bytes[..SHOWN / 2], &bytes[bytes.len() - SHOWN / 4..]);
    format!(
        "\"{}\" ... \"{}\" ({} bytes)",
        first.escape_ascii(),
        last.escape_ascii(),
        bytes.len()
    )
}

/// `EINVAL`, or `EINVAL or ERANGE`.
pub fn errnos(refusal: &Refusal) -> String {
    let mut text = String::new();
    for (index, errno) in refusal.iter().enumerate() {
        let or = if index > 0 { " or " } else { "" };
        // Nothing that writes to a string fails.
        let _ = write!(text, "{or}{errno:?}");
    }
    text
}

/// The errno of a failed system call.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// What a system call returned.
pub fn returned(result: &io::Result<usize>) -> String {
    match result {
        Ok(count) => count.to_string(),
        Err(error) => format!("{:?}", errno_of(error)),
    }
}

/// The lines that are missing and those that are too many; or both texts, where the difference is
/// another one.
pub fn difference(due: &str, seen: &str) -> String {
    let without = |lines: &str, others: &str| -> Vec<String> {
        lines
            .lines()
            .filter(|line| !others.lines().any(|other| other == *line))
            .map(str::to_owned)
            .collect()
    };
    let (missing, extra) = (without(due, seen), without(seen, due));
    if missing.is_empty() && extra.is_empty() {
        return format!("expected {due:?}, read {seen:?}");
    }
    format!("missing lines {missing:?}, lines too many {extra:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_so_that_they_can_be_typed() {
        assert_eq!(shown(b"a\n\0\xff\""), r#""a\n\x00\xff\"""#);
        let long = shown(&[b'a'; 4097]);
        assert!(long.ends_with("(4097 bytes)"), "{long}");
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_difference_is_shown_as_such() {
        assert_eq!(
            difference("a\nb\n", "a\nc\n"),
            r#"missing lines ["b"], lines too many ["c"]"#
        );
        assert_eq!(
            difference("a\nb\n", "b\na\n"),
            r#"expected "a\nb\n", read "b\na\n""#
        );
    }

    #[test]
    fn errnos_have_their_names() {
        assert_eq!(errnos(&vec![Errno::EINVAL]), "EINVAL");
        assert_eq!(
            errnos(&vec![Errno::EINVAL, Errno::ERANGE]),
            "EINVAL or ERANGE"
        );
        assert_eq!(
            returned(&Err(io::Error::from_raw_os_error(Errno::EIO as i32))),
            "EIO"
        );
        assert_eq!(returned(&Ok(3)), "3");
    }
}
