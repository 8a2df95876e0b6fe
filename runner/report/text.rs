// SPDX-License-Identifier: GPL-2.0

//! Text for a terminal and for a parser of lines.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::model::Finding;

/// How many findings of one scenario are printed; the JSON report has more.
const SHOWN: usize = 6;

/// Kernel lines hold what others put there (a process names itself): no control character may
/// reach a terminal, and no line break a parser.
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

/// As much of a sentence as there is room for in a table.
pub(super) fn shortened(text: &str) -> String {
    const ROOM: usize = 72;
    let line = one_line(text);
    match line.char_indices().nth(ROOM) {
        None => line.into_owned(),
        Some((end, _)) => {
            let end = line[..end].rfind(' ').unwrap_or(end);
            format!("{} ...", &line[..end])
        }
    }
}

/// The evidence as lines, the first of each finding without indentation.
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

/// Milliseconds as seconds, with tenths.
pub fn seconds(millis: u64) -> String {
    format!("{}.{}", millis / 1000, millis % 1000 / 100)
}

/// Rows in columns that are as wide as they must be.
pub(super) fn table(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| one_line(cell).len()).max().unwrap_or(0)
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
    fn no_control_character_is_left() {
        assert_eq!(one_line("a\x1b[31m\nb\u{9b}ü"), "a\\u{1b}[31m\\nb\\u{9b}ü");
        assert!(matches!(one_line("plain ü"), Cow::Borrowed(_)));
    }
}
