// SPDX-License-Identifier: GPL-2.0

//! Text of findings: the bytes written, the expected result and the actual one.

use std::fmt::Write as _;
use std::io;

use nix::errno::Errno;

use crate::fuzz::line::Refusal;

/// Number of findings at which the run stops, since further ones are mostly consequences.
pub const ENOUGH: usize = 50;

/// Number of bytes up to which a write is shown in full.
const SHOWN: usize = 160;

/// Formats `bytes` with all but printable ASCII escaped. Of long ones it shows the beginning, the end
/// and the length; the seed reproduces the rest.
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

/// Formats the expected errnos: `EINVAL`, or `EINVAL or ERANGE`.
pub fn errnos(refusal: &Refusal) -> String {
    let mut text = String::new();
    for (index, errno) in refusal.iter().enumerate() {
        let or = if index > 0 { " or " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{or}{errno:?}");
    }
    text
}

/// Returns the errno of a failed system call.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Formats the return value of a system call: the count or the errno.
pub fn returned(result: &io::Result<usize>) -> String {
    match result {
        Ok(count) => count.to_string(),
        Err(error) => format!("{:?}", errno_of(error)),
    }
}

/// Describes the missing and the superfluous lines, or shows both texts if they differ only in order
/// or number of lines.
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
    fn bytes_are_escaped_and_long_ones_shortened() {
        assert_eq!(shown(b"a\n\0\xff\""), r#""a\n\x00\xff\"""#);
        let long = shown(&[b'a'; 4097]);
        assert!(long.ends_with("(4097 bytes)"), "{long}");
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_difference_names_the_lines_or_shows_both_texts() {
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
    fn errnos_are_shown_by_name() {
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
