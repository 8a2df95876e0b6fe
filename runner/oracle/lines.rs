// SPDX-License-Identifier: GPL-2.0

//! Classifies the kernel's lines.
//!
//! The parsers accept exactly the output of the kernel's format strings: a line that is only nearly
//! right must not pass for a right one.

use crate::kmsg::Record;
use crate::model::{Context, KernelMessage, MODULE_NAME, ReaperMessage};
use crate::oracle::symbol::{CALLBACKS, Symbol};
use crate::oracle::warn::WarnHeader;

/// One line of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `SYMBOL callback failed with ERRNO in [non-]blockable context.`
    Info {
        symbol: Symbol<'a>,
        errno: i32,
        context: Context,
    },
    /// `SYMBOL callback failure not allowed`
    PrWarn { symbol: Symbol<'a> },
    /// The first line of a WARN; the others are noise.
    Warn(WarnHeader<'a>),
    /// The first line of a report of another of the kernel's checks.
    Symptom(KernelMessage),
    /// The OOM reaper's closing line.
    Reaper {
        word: ReaperMessage,
        pid: i32,
        comm: &'a str,
    },
    /// Nearly one of the two lines with a symbol.
    Malformed { about_ours: bool },
    /// Any other line.
    Noise,
}

/// Part that all lines about a failed callback have in common.
const PHRASE: &str = "callback fail";

impl<'a> Line<'a> {
    /// Classifies one record. A record of user space can have any text, so it is always noise.
    pub(super) fn of(record: &'a Record) -> Self {
        if !record.is_kernel() {
            return Line::Noise;
        }
        let text = record.text.as_str();
        if text.starts_with("WARNING: ")
            && let Some(header) = WarnHeader::parse(text)
        {
            return Line::Warn(header);
        }
        if let Some(line) = reaper(text) {
            return line;
        }
        if let Some(symptom) = symptom(text) {
            return Line::Symptom(symptom);
        }
        if text.contains(PHRASE) {
            return failure(text).unwrap_or_else(|| malformed(text));
        }
        // A line about the callback with an unknown text. In a stack trace the symbol stands behind
        // a space.
        if CALLBACKS.iter().any(|name| text.starts_with(name)) {
            return Line::Malformed { about_ours: true };
        }
        Line::Noise
    }
}

/// The check that a report begins with this line. WARNs are recognised by their header instead.
fn symptom(text: &str) -> Option<KernelMessage> {
    const AT: &str = "BUG: sleeping function called from invalid context at ";
    if let Some(place) = text.strip_prefix(AT) {
        let file = place.rsplit_once(':').map_or(place, |(file, _)| file);
        return Some(if file.ends_with("linux/mmu_notifier.h") {
            KernelMessage::CallerSleep
        } else {
            KernelMessage::AtomicSleep
        });
    }
    [
        (
            "BUG: scheduling in a non-blocking section: ",
            KernelMessage::NonBlockSchedule,
        ),
        // The lock that is held stands further down in the report: see `lockdep::report`.
        (
            "WARNING: possible recursive locking detected",
            KernelMessage::LockdepOther,
        ),
        (
            "WARNING: possible circular locking dependency detected",
            KernelMessage::LockdepOther,
        ),
        ("WARNING: suspicious RCU usage", KernelMessage::LockWarn),
        (
            "WARNING: Nested lock was not taken",
            KernelMessage::LockWarn,
        ),
        ("[ BUG: Invalid wait context ]", KernelMessage::AtomicSleep),
        ("kernel BUG at mm/mmu_notifier.c:", KernelMessage::DeadBug),
    ]
    .into_iter()
    .find_map(|(start, symptom)| text.starts_with(start).then_some(symptom))
}

fn failure(text: &str) -> Option<Line<'_>> {
    if let Some(symbol) = text.strip_suffix(" callback failure not allowed") {
        let symbol = Symbol::parse(symbol)?;
        return Some(Line::PrWarn { symbol });
    }
    let (symbol, rest) = text.split_once(" callback failed with ")?;
    let (errno, context) = rest.split_once(" in ")?;
    let context = match context {
        "blockable context." => Context::Blockable,
        "non-blockable context." => Context::NonBlockable,
        _ => return None,
    };
    let value: i32 = errno.parse().ok()?;
    // "+11" and "-011" are numbers, but %d does not print them.
    (value.to_string() == errno).then_some(())?;
    Some(Line::Info {
        symbol: Symbol::parse(symbol)?,
        errno: value,
        context,
    })
}

fn malformed(text: &str) -> Line<'_> {
    let about_ours = text.contains(MODULE_NAME);
    let about_a_notifier =
        text.contains("blockable context") || text.contains("callback failure not allowed");
    if about_ours || about_a_notifier {
        Line::Malformed { about_ours }
    } else {
        Line::Noise
    }
}

fn reaper(text: &str) -> Option<Line<'_>> {
    let rest = text.strip_prefix("oom_reaper: ")?;
    let (word, rest, end) = match rest.strip_prefix("reaped process ") {
        Some(rest) => (ReaperMessage::Reaped, rest, "), now anon-rss:"),
        None => {
            let rest = rest.strip_prefix("unable to reap pid:")?;
            (ReaperMessage::UnableToReap, rest, ")")
        }
    };
    let (pid, rest) = rest.split_once(" (")?;
    // A comm may contain anything, parentheses included.
    let (comm, tail) = rest.rsplit_once(end)?;
    (word == ReaperMessage::Reaped || tail.is_empty()).then_some(())?;
    Some(Line::Reaper {
        word,
        pid: pid.parse().ok()?,
        comm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record {
            seq: 1,
            time_us: 1,
            level: 6,
            facility: 0,
            caller: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn only_the_kernels_exact_lines_are_accepted() {
        let ours = "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";
        for (tail, is_right) in [
            ("callback failed with -11 in blockable context.", true),
            ("callback failed with -11 in non-blockable context.", true),
            ("callback failure not allowed", true),
            ("callback failed with -11 in blockable context", false),
            ("callback failed with -011 in blockable context.", false),
            ("callback failed with 0x1 in blockable context.", false),
            ("callback failed with -11 in a blockable context.", false),
            ("callback failure not allowed!", false),
            ("callback failure is not allowed", false),
            ("may not fail", false),
        ] {
            let record = record(&format!("{ours} {tail}"));
            let line = Line::of(&record);
            let is_accepted = match line {
                Line::Info { symbol, .. } | Line::PrWarn { symbol } => symbol.is_ours(),
                Line::Malformed { about_ours } => {
                    assert!(about_ours);
                    false
                }
                _ => panic!("{tail}: {line:?}"),
            };
            assert_eq!(is_accepted, is_right, "{tail}");
        }
    }

    #[test]
    fn lines_about_other_drivers_are_not_about_the_module() {
        let foreign = record("amdgpu_mn+0x0/0x10 [amdgpu] callback failure not allowed");
        assert!(matches!(Line::of(&foreign), Line::PrWarn { symbol } if !symbol.is_ours()));
        for text in [
            "usb: callback failed with -5",
            " ? mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]",
            "Modules linked in: mmu_notifier_inject(O)",
            "---[ end trace 0000000000000000 ]---",
        ] {
            assert_eq!(Line::of(&record(text)), Line::Noise, "{text}");
        }
        let mut fake = record("x+0x0/0x10 callback failure not allowed");
        fake.facility = 1;
        assert_eq!(Line::of(&fake), Line::Noise);
    }

    #[test]
    fn closing_lines_of_the_oom_reaper_are_parsed() {
        let text =
            "oom_reaper: reaped process 7 (a) (b), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB";
        assert_eq!(
            Line::of(&record(text)),
            Line::Reaper {
                word: ReaperMessage::Reaped,
                pid: 7,
                comm: "a) (b"
            }
        );
        assert_eq!(
            Line::of(&record("oom_reaper: unable to reap pid:7 (x)")),
            Line::Reaper {
                word: ReaperMessage::UnableToReap,
                pid: 7,
                comm: "x"
            }
        );
        assert_eq!(
            Line::of(&record("oom_reaper: unable to reap pid:7 (x) again")),
            Line::Noise
        );
    }

    #[test]
    fn a_symbol_is_a_name_with_an_offset_and_a_module() {
        for symbol in [
            "x y+0x0/0x10 [m]",
            "+0x0/0x10 [m]",
            "x+0xg/0x10 [m]",
            "x+0x/0x10 [m]",
            "x+0/0x10 [m]",
            "x+0x0/10 [m]",
            "x+0x0/0x10 [m n]",
            "x+0x0/0x10 []",
        ] {
            let record = record(&format!("{symbol} callback failure not allowed"));
            let line = Line::of(&record);
            assert_eq!(line, Line::Malformed { about_ours: false }, "{symbol}");
        }
        for symbol in ["x+0x0/0x10 [m]", "x+0x0/0x10", "x", "0xffffffffc0000000"] {
            let record = record(&format!("{symbol} callback failure not allowed"));
            let line = Line::of(&record);
            assert!(matches!(line, Line::PrWarn { .. }), "{symbol}: {line:?}");
        }
    }

    #[test]
    fn a_line_that_is_nearly_right_is_malformed() {
        for text in [
            "x+0x0/0x10 [m] callback failed with -11 in a blockable context.",
            "x+0x0/0x10 [m]: callback failure not allowed!",
        ] {
            let line = Line::Malformed { about_ours: false };
            assert_eq!(Line::of(&record(text)), line, "{text}");
        }
    }

    #[test]
    fn first_lines_of_other_checks_are_recognised() {
        use KernelMessage::{
            AtomicSleep, CallerSleep, DeadBug, LockWarn, LockdepOther, NonBlockSchedule,
        };
        const SLEEP: &str = "BUG: sleeping function called from invalid context at";
        let table = [
            (
                format!("{SLEEP} include/linux/mmu_notifier.h:460"),
                CallerSleep,
            ),
            (format!("{SLEEP} kernel/locking/mutex.c:1"), AtomicSleep),
            (
                "BUG: scheduling in a non-blocking section: a/1/0x2".to_owned(),
                NonBlockSchedule,
            ),
            (
                "WARNING: possible recursive locking detected".to_owned(),
                LockdepOther,
            ),
            (
                "WARNING: possible circular locking dependency detected".to_owned(),
                LockdepOther,
            ),
            ("WARNING: suspicious RCU usage".to_owned(), LockWarn),
            ("WARNING: Nested lock was not taken".to_owned(), LockWarn),
            ("[ BUG: Invalid wait context ]".to_owned(), AtomicSleep),
            ("kernel BUG at mm/mmu_notifier.c:620!".to_owned(), DeadBug),
        ];
        for (text, message) in table {
            assert_eq!(Line::of(&record(&text)), Line::Symptom(message), "{text}");
        }
    }
}
