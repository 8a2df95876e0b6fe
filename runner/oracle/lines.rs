// SPDX-License-Identifier: GPL-2.0

//! Classifies the kernel's lines.
//!
//! The parsers take exactly what the kernel's format strings can print and nothing else: a line
//! that is only nearly right must not pass for one that is right.

use crate::kmsg::Record;
use crate::model::{
    CALLBACK_SYMBOL, Context, KernelMessage, MODULE_NAME, PAIRED_SYMBOL, ReaperMessage,
};

/// The names of the module's callbacks that the kernel prints.
const CALLBACKS: [&str; 2] = [CALLBACK_SYMBOL, PAIRED_SYMBOL];

/// What `%pS` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    /// As it was printed.
    pub(super) text: &'a str,
    /// The name; a bare address where the kernel found none.
    pub(super) name: &'a str,
    /// Absent where none was printed, as `%ps` does.
    offset: Option<&'a str>,
    module: Option<&'a str>,
}

impl<'a> Symbol<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (place, module) = match text.split_once(" [") {
            Some((place, module)) => (place, Some(module.strip_suffix(']')?)),
            None => (text, None),
        };
        let (name, offset) = match place.split_once('+') {
            Some((name, range)) => {
                let (offset, size) = range.split_once('/')?;
                is_hex(size).then_some(())?;
                (name, Some(offset))
            }
            None => (place, None),
        };
        let word = |word: &str| !word.is_empty() && !word.contains([' ', '[', ']']);
        (word(name) && offset.is_none_or(is_hex) && module.is_none_or(word)).then_some(Symbol {
            text,
            name,
            offset,
            module,
        })
    }

    /// Whether it is one of the module's callbacks. The offset is for the comparison to judge.
    pub(super) fn is_ours(&self) -> bool {
        CALLBACKS.contains(&self.name) && self.module == Some(MODULE_NAME)
    }

    /// Whether it is the callback of a notifier that has ends as well.
    pub(super) fn is_paired(&self) -> bool {
        self.name == PAIRED_SYMBOL
    }

    /// Whether it is a callback's name or something else of its module: perhaps ours gone wrong.
    pub(super) fn is_near_ours(&self) -> bool {
        CALLBACKS.contains(&self.name) || self.module == Some(MODULE_NAME)
    }

    /// Whether it points to the first byte of the function, and says so.
    pub(super) fn is_start(&self) -> bool {
        self.offset == Some("0x0")
    }
}

fn is_hex(text: &str) -> bool {
    text.strip_prefix("0x")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The first line of a WARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WarnHeader<'a> {
    /// `FILE:LINE`; absent without `CONFIG_DEBUG_BUGVERBOSE`.
    pub(super) place: Option<&'a str>,
    /// The function it is in, with offset, size and module.
    pub(super) symbol: Symbol<'a>,
    /// Who was running; 6.12 prints no comm here.
    pub(super) comm: Option<&'a str>,
    /// Its pid.
    pub(super) pid: i32,
}

impl<'a> WarnHeader<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("WARNING: ")?;
        match rest.strip_prefix("CPU: ") {
            Some(rest) => Self::parse_6_12(rest),
            None => Self::parse_7(rest),
        }
    }

    /// `[COND] FILE:LINE at SYMBOL, CPU#N: COMM/PID`
    fn parse_7(rest: &'a str) -> Option<Self> {
        let (left, task) = rest.split_once(", CPU#")?;
        let (cpu, task) = task.split_once(": ")?;
        let _: u32 = cpu.parse().ok()?;
        let (comm, pid) = task.rsplit_once('/')?;
        let (place, symbol) = match left.strip_prefix("at ") {
            Some(symbol) => (None, symbol),
            None => {
                let (place, symbol) = left.rsplit_once(" at ")?;
                // The condition is there with CONFIG_DEBUG_BUGVERBOSE_DETAILED only.
                let place = match place.rsplit_once(' ') {
                    Some((condition, place)) => {
                        (condition.starts_with('[') && condition.ends_with(']')).then_some(place)?
                    }
                    None => place,
                };
                (Some(place), symbol)
            }
        };
        Some(WarnHeader {
            place,
            symbol: Symbol::parse(symbol)?,
            comm: Some(comm),
            pid: pid.parse().ok()?,
        })
    }

    /// `N PID: N at FILE:LINE SYMBOL`
    fn parse_6_12(rest: &'a str) -> Option<Self> {
        let (cpu, rest) = rest.split_once(" PID: ")?;
        let _: u32 = cpu.parse().ok()?;
        let (pid, rest) = rest.split_once(" at ")?;
        let (place, symbol) = match rest.split_once(' ') {
            Some((place, symbol)) if !symbol.starts_with('[') => (Some(place), symbol),
            _ => (None, rest),
        };
        Some(WarnHeader {
            place,
            symbol: Symbol::parse(symbol)?,
            comm: None,
            pid: pid.parse().ok()?,
        })
    }

    /// Whether it comes from where the kernel calls notifiers.
    pub(super) fn is_of_notifiers(&self) -> bool {
        let file = self.place.map(|place| match place.rsplit_once(':') {
            Some((file, _)) => file,
            None => place,
        });
        let of_file = file.is_none_or(|file| {
            file.strip_suffix("mm/mmu_notifier.c")
                .is_some_and(|dir| dir.is_empty() || dir.ends_with('/'))
        });
        let name = self.symbol.name;
        of_file
            && ["mmu_notifier", "mmu_interval", "mn_hlist", "mn_itree"]
                .iter()
                .any(|part| name.contains(part))
            // Our own module's functions have such names too.
            && self.symbol.module.is_none()
    }

    /// What it is a symptom of, where it is one.
    pub(super) fn symptom(&self) -> Option<KernelMessage> {
        let file = self.place.and_then(|place| place.rsplit_once(':'));
        let file = file.map_or("", |(file, _)| file);
        if file.ends_with("linux/rwsem.h") || file.ends_with("linux/mmap_lock.h") {
            Some(KernelMessage::LockWarn)
        } else if self.symbol.name.contains("mmu_interval_notifier_insert") {
            Some(KernelMessage::DeadWarn)
        } else {
            None
        }
    }

    /// What tells one WARN_ON from another.
    pub(super) fn site(&self) -> &'a str {
        self.place.unwrap_or(self.symbol.text)
    }
}

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
    /// The first line of a WARN; the rest of it is noise.
    Warn(WarnHeader<'a>),
    /// The first line of something else that the kernel finds wrong.
    Symptom(KernelMessage),
    /// The OOM reaper's closing line.
    Reaper {
        word: ReaperMessage,
        pid: i32,
        comm: &'a str,
    },
    /// Nearly one of the two lines with a symbol, but not quite.
    Malformed { about_ours: bool },
    /// None of our business.
    Noise,
}

/// What is said about a failing callback, however it is said.
const PHRASE: &str = "callback fail";

impl<'a> Line<'a> {
    /// Classifies one record. User space can write what it likes, so that is always noise.
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
        // A complaint of ours could be worded quite differently; a stack trace names the symbol
        // in a line that starts with a space.
        if CALLBACKS.iter().any(|name| text.starts_with(name)) {
            return Line::Malformed { about_ours: true };
        }
        Line::Noise
    }
}

/// What the kernel's own checks say. A WARN is told by its header.
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
        // Which lock it is about is said further down: `held_lock`.
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

/// What lockdep's report is about, by its lines: which lock the task holds that should not take
/// another. The name of a lock stands in parentheses behind its address, as `print_lock()` of
/// kernel/locking/lockdep.c has it.
pub(super) fn lockdep<'a>(mut report: impl Iterator<Item = &'a str>) -> KernelMessage {
    const HELD: &str = "but task is already holding lock:";
    // It stands within the first ten lines of the report, with an empty one before it in the same
    // record.
    let held = report
        .by_ref()
        .take(20)
        .any(|line| line.trim_start() == HELD);
    let name = report.next().filter(|_| held).and_then(|line| {
        let (_, name) = line.split_once(" (")?;
        // Behind it there may be which one of several locks of that name it is.
        name.split_once("){")?.0.split(['#', '/']).next()
    });
    match name {
        Some("mmu_notifier_invalidate_range_start") => KernelMessage::LockdepInvalidation,
        Some("srcu") => KernelMessage::LockdepSrcu,
        Some("&mm->mmap_lock") => KernelMessage::LockdepMmapLock,
        _ => KernelMessage::LockdepOther,
    }
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
    // The comm may hold anything, brackets too.
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

    type Parts = (Option<String>, String, Option<String>, i32, bool);

    fn warn(text: &str) -> Option<Parts> {
        match Line::of(&record(text)) {
            Line::Warn(header) => Some((
                header.place.map(str::to_owned),
                header.symbol.name.to_owned(),
                header.comm.map(str::to_owned),
                header.pid,
                header.is_of_notifiers(),
            )),
            _ => None,
        }
    }

    #[test]
    fn warn_headers_of_all_kernels() {
        let place = Some("mm/mmu_notifier.c:534".to_owned());
        let name = "mn_hlist_invalidate_range_start".to_owned();
        let comm = |comm: &str| Some(comm.to_owned());
        let table = [
            (
                "WARNING: mm/mmu_notifier.c:534 at mn_hlist_invalidate_range_start+0x1/0x2, CPU#0: a b/7",
                (place.clone(), name.clone(), comm("a b"), 7, true),
            ),
            (
                "WARNING: [a ? b : c || _ret != -11] mm/mmu_notifier.c:534 at \
                 mn_hlist_invalidate_range_start+0x1/0x2, CPU#12: at x, CPU#3: y/8/9",
                (
                    place.clone(),
                    name.clone(),
                    comm("at x, CPU#3: y/8"),
                    9,
                    true,
                ),
            ),
            (
                "WARNING: at mn_hlist_invalidate_range_start+0x1/0x2, CPU#0: x/7",
                (None, name.clone(), comm("x"), 7, true),
            ),
            (
                "WARNING: mm/mmu_notifier.c:534 at mmu_interval_notifier_remove+0x1/0x2, CPU#0: x/7",
                (
                    place.clone(),
                    "mmu_interval_notifier_remove".to_owned(),
                    comm("x"),
                    7,
                    true,
                ),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mm/mmu_notifier.c:534 mn_hlist_invalidate_range_start+0x1/0x2",
                (place.clone(), name.clone(), None, 7, true),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mn_hlist_invalidate_range_start+0x1/0x2",
                (None, name.clone(), None, 7, true),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at drivers/x.c:1 mmu_notifier_x+0x1/0x2 [x]",
                (
                    Some("drivers/x.c:1".to_owned()),
                    "mmu_notifier_x".to_owned(),
                    None,
                    7,
                    false,
                ),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mmu_notifier_x+0x1/0x2 [x]",
                (None, "mmu_notifier_x".to_owned(), None, 7, false),
            ),
        ];
        for (text, parts) in table {
            assert_eq!(warn(text), Some(parts), "{text}");
        }
        for text in [
            "WARNING: possible circular locking dependency detected",
            "WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm",
            "WARNING: [a mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
            "WARNING: a] mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
            "a WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
        ] {
            assert_eq!(warn(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_the_kernel_prints_is_taken() {
        let ours = "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";
        for (tail, well) in [
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
            let is_well = match line {
                Line::Info { symbol, .. } | Line::PrWarn { symbol } => symbol.is_ours(),
                Line::Malformed { about_ours } => {
                    assert!(about_ours);
                    false
                }
                _ => panic!("{tail}: {line:?}"),
            };
            assert_eq!(is_well, well, "{tail}");
        }
    }

    #[test]
    fn others_are_others() {
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
    fn reaper_words() {
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

    /// Some functions of the module, and of other drivers, are named after what they use.
    #[test]
    fn warns_of_notifiers_come_from_the_kernels_own_file() {
        for (place, of_notifiers) in [
            ("mm/mmu_notifier.c:1 at mn_itree_invalidate+0x1/0x2", true),
            ("/src/mm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2", true),
            ("mm/mmu_notifier.c:1 at other+0x1/0x2", false),
            ("drivers/x.c:1 at mmu_notifier_x+0x1/0x2", false),
            ("xmm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2", false),
            ("mm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2 [x]", false),
        ] {
            let text = format!("WARNING: {place}, CPU#0: a/1");
            let is_of_notifiers = warn(&text).map(|parts| parts.4);
            assert_eq!(is_of_notifiers, Some(of_notifiers), "{text}");
        }
    }

    #[test]
    fn a_symbol_is_a_name_and_an_offset_and_a_module() {
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
    fn what_is_nearly_a_line_about_a_notifier_is_reported() {
        for text in [
            "x+0x0/0x10 [m] callback failed with -11 in a blockable context.",
            "x+0x0/0x10 [m]: callback failure not allowed!",
        ] {
            let line = Line::Malformed { about_ours: false };
            assert_eq!(Line::of(&record(text)), line, "{text}");
        }
    }

    #[test]
    fn a_report_of_lockdep_is_about_the_lock_that_is_held() {
        let of = |held: &str| {
            let lines = [
                "7.3.4 #32 Tainted: G           O     N ",
                "mn-target/103 is trying to acquire lock:",
                "ffffffff822bd260 (srcu){+.+.}-{0:0}, at: f+0x1/0x2",
                "",
                "\nbut task is already holding lock:",
                held,
            ];
            lockdep(lines.into_iter())
        };
        for (held, due) in [
            (
                "ffffffff822c1c00 (mmu_notifier_invalidate_range_start){+.+.}-{0:0}, at: f+0x1/0x2",
                KernelMessage::LockdepInvalidation,
            ),
            (
                "ffffffff822c1c58 (srcu){.+.+}-{0:0}, at: f+0x1/0x2",
                KernelMessage::LockdepSrcu,
            ),
            (
                "ffff888000169c78 (&mm->mmap_lock){++++}-{4:4}, at: f+0x1/0x2 [m]",
                KernelMessage::LockdepMmapLock,
            ),
            (
                "ffff888000169c78 (&mm->mmap_lock#2/1){++++}-{4:4}, at: f+0x1/0x2",
                KernelMessage::LockdepMmapLock,
            ),
            (
                "ffff888000169c78 (fs_reclaim){+.+.}-{0:0}, at: f (srcu){",
                KernelMessage::LockdepOther,
            ),
            ("srcu", KernelMessage::LockdepOther),
        ] {
            assert_eq!(of(held), due, "{held}");
        }
        // Where it does not say so within its first lines, it is not known.
        let other = ["x"; 20].into_iter();
        let late = other.chain(["but task is already holding lock:", "0 (srcu){"]);
        assert_eq!(lockdep(late), KernelMessage::LockdepOther);
        assert_eq!(
            lockdep(["0 (srcu){"].into_iter()),
            KernelMessage::LockdepOther
        );
    }

    #[test]
    fn what_the_kernel_finds_wrong_with_itself_is_known() {
        use KernelMessage::{
            AtomicSleep, CallerSleep, DeadBug, DeadWarn, LockWarn, LockdepOther, NonBlockSchedule,
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
        for (text, notice) in table {
            assert_eq!(Line::of(&record(&text)), Line::Symptom(notice), "{text}");
        }
        let insert = "mm/mmu_notifier.c:9 at __mmu_interval_notifier_insert+0x1/0x2";
        for (place, notice) in [
            ("include/linux/rwsem.h:85 at x+0x1/0x2", Some(LockWarn)),
            ("include/linux/mmap_lock.h:71 at x+0x1/0x2", Some(LockWarn)),
            (insert, Some(DeadWarn)),
            ("mm/mmu_notifier.c:9 at x+0x1/0x2", None),
            ("at x+0x1/0x2", None),
        ] {
            let record = record(&format!("WARNING: {place}, CPU#0: a/1"));
            let Line::Warn(header) = Line::of(&record) else {
                panic!("{place} is no WARN");
            };
            assert_eq!(header.symptom(), notice, "{place}");
        }
    }
}
