// SPDX-License-Identifier: GPL-2.0

//! Text for a terminal and for parsers that read lines.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::model::Finding;
use crate::model::exit::Exit;

/// Maximum number of findings printed for one scenario; the JSON report has more.
const SHOWN: usize = 6;

/// Escapes control characters. Lines of the kernel contain foreign text, such as the name that a
/// process sets for itself: no control character may reach a terminal, and no line break a parser.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        let escape = |c: char| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        };
        text.chars().map(escape).collect::<String>().into()
    } else {
        text.into()
    }
}

/// Cuts a sentence after a word so that it fits into a table.
pub(super) fn shortened(text: &str) -> String {
    /// In characters.
    const LONGEST: usize = 72;
    let line = one_line(text);
    match line.char_indices().nth(LONGEST) {
        None => line.into_owned(),
        Some((end, _)) => {
            let end = line[..end].rfind(' ').unwrap_or(end);
            format!("{} ...", &line[..end])
        }
    }
}

/// Formats findings as lines; only the first line of each finding is not indented.
pub(super) fn evidence(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings.iter().take(SHOWN) {
        lines.push(format!(
            "{}: {}",
            finding.kind.words(),
            one_line(&finding.text)
        ));
        if let Some(due) = &finding.due {
            let call = finding.call_seq.map(|seq| format!("  (call {seq})"));
            lines.push(format!(
                "  due:  {}{}",
                one_line(due),
                call.unwrap_or_default()
            ));
        }
        if let Some(seen) = &finding.seen {
            let record = finding.kmsg_seq.map(|seq| format!("  (record {seq})"));
            lines.push(format!(
                "  seen: {}{}",
                one_line(seen),
                record.unwrap_or_default()
            ));
        }
    }
    if findings.len() > SHOWN {
        let more = findings.len() - SHOWN;
        lines.push(format!("and {more} more; the JSON report has them"));
    }
    lines
}

/// The verdict on a kernel that an exit code stands for.
pub const fn verdict_word(exit: Exit) -> &'static str {
    match exit {
        Exit::Pass => "PASS",
        Exit::Fail => "FAIL",
        Exit::Skip => "SKIP",
        _ => "NO VERDICT",
    }
}

/// Formats milliseconds as seconds with tenths.
pub fn seconds(millis: u64) -> String {
    format!("{}.{}", millis / 1000, millis % 1000 / 100)
}

/// Writes rows in columns; each column is as wide as its longest cell.
pub(super) fn table(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            // In characters, as the padding below is.
            let lengths = cells.map(|cell| one_line(cell).chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{:<width$}", one_line(cell)))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("a\x1b[31m\nb\u{9b}ü"), "a\\u{1b}[31m\\nb\\u{9b}ü");
        assert!(matches!(one_line("plain ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_aligned_after_a_two_byte_letter() -> io::Result<()> {
        let rows = [["ü.patch", "pass"], ["a.patch", "fail"]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        table(&rows.map(Vec::from), &mut out)?;
        assert_eq!(
            String::from_utf8_lossy(&out),
            "ü.patch  pass\na.patch  fail\n"
        );
        Ok(())
    }
}
