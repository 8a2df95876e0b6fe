// SPDX-License-Identifier: GPL-2.0

//! Model of the settings of a target: the values accepted, and the file contents that result. It is
//! made from the documentation of the interface and not from the module.

use nix::errno::Errno;

use mn_inject::model::NotifierEvent;

use crate::fuzz::keys::Faults;
use crate::fuzz::kind::{Kind, has_ends, has_release, is_interval};
use crate::fuzz::line::{Refusal, addresses, line, number};

/// Values that a file accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Names of events, or `all`.
    Events,
    /// A range of addresses, or `all`.
    Range,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A thread id, a thread name, or `all`.
    Task,
    /// Name of a symbol of the kernel, or `all`.
    Caller,
    /// A number within these bounds, which are included.
    Number(i64, i64),
    /// Return value of a callback: 0 or a negative errno.
    Error,
    /// `start`, or `end` if the kind has such a callback.
    Callback,
    /// A number of at most this; a write of any but 0 returns -EPERM unless the module was loaded with
    /// `breach=1`.
    Breach(i64),
}

/// A file of a target that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Path below the target's directory.
    pub path: &'static str,
    /// Values that it accepts.
    pub rule: Rule,
    /// Content before the first write, without the newline.
    pub default: &'static str,
}

const fn setting(path: &'static str, rule: Rule, default: &'static str) -> Setting {
    Setting {
        path,
        rule,
        default,
    }
}

const I32_MAX: i64 = i32::MAX as i64;

/// Highest thread id (PID_MAX_LIMIT).
const TID_MAX: i64 = 4_194_304;

/// Length of the longest name of a symbol (KSYM_NAME_LEN without the NUL).
pub const CALLER_MAX: usize = 511;

/// The files that can be written, in the order of the file `settings`.
pub const SETTINGS: [Setting; 26] = [
    setting("fault/events", Rule::Events, "all"),
    setting("fault/range", Rule::Range, "all"),
    setting(
        "fault/context",
        Rule::Word(&["any", "blockable", "non-blockable"]),
        "any",
    ),
    setting("fault/task", Rule::Task, "all"),
    setting("fault/caller", Rule::Caller, "all"),
    setting("fault/probability", Rule::Number(0, 100), "100"),
    setting("fault/interval", Rule::Number(1, I32_MAX), "1"),
    setting("fault/times", Rule::Number(-1, I32_MAX), "1"),
    setting("fault/space", Rule::Number(0, I32_MAX), "0"),
    setting("fault/verbose", Rule::Number(0, 2), "0"),
    setting("effect/sleep_us", Rule::Number(0, 10_000_000), "0"),
    setting("effect/delay_us", Rule::Number(0, 100_000), "0"),
    setting("breach/alloc_bytes", Rule::Breach(1 << 20), "0"),
    setting("breach/lock", Rule::Breach(1), "0"),
    setting("breach/remove", Rule::Breach(1), "0"),
    setting("effect/callback", Rule::Callback, "start"),
    setting("effect/young", Rule::Number(0, 1), "0"),
    setting("record", Rule::Word(&["injected", "all"]), "injected"),
    setting("actions/MMU_NOTIFY_UNMAP/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_CLEAR/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_PROTECTION_VMA/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_PROTECTION_PAGE/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_SOFT_DIRTY/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_RELEASE/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_MIGRATE/error", Rule::Error, "0"),
    setting("actions/MMU_NOTIFY_EXCLUSIVE/error", Rule::Error, "0"),
];

/// Returns the content of every file before the first write, without newlines.
pub fn defaults() -> Vec<String> {
    SETTINGS.iter().map(|one| one.default.to_owned()).collect()
}

/// Prefix of the kernel's names of events.
pub const PREFIX: &str = "MMU_NOTIFY_";

impl Setting {
    /// Its key in the file `settings`: the kernel's name of the event for an error.
    pub fn key(&self) -> &'static str {
        match self.path.split_once('/') {
            Some(("actions", rest)) => rest.trim_end_matches("/error"),
            Some((_, name)) => name,
            None => self.path,
        }
    }

    /// Whether it has a file of its own in a module that is loaded without `breach=1`.
    pub fn has_file(&self) -> bool {
        !matches!(self.rule, Rule::Breach(_))
    }

    /// Whether a key in a line means this setting. The key `error` means the errors of all events.
    fn is_meant(&self, key: &str) -> bool {
        let own = self.key();
        key == own
            || self.rule == Rule::Error && (key == "error" || own.strip_prefix(PREFIX) == Some(key))
    }
}

/// Returns the path of a setting's file below the target's directory, by its key; and any other name
/// as it is.
pub fn path_of(name: &str) -> &str {
    let one = SETTINGS.iter().find(|one| one.key() == name);
    one.map_or(name, |one| one.path)
}

/// Returns what `effect/error` reads if the files have the contents `values`.
pub fn common_error(values: &[String]) -> &str {
    let errors = SETTINGS.iter().zip(values);
    let mut errors = errors.filter(|(one, _)| one.rule == Rule::Error);
    match errors.next() {
        Some((_, first)) if errors.all(|(_, other)| other == first) => first,
        _ => "various",
    }
}

/// Returns the content of `settings` if the files have the contents `values`.
pub fn settings_line(values: &[String]) -> String {
    let words = SETTINGS.iter().zip(values);
    let words: Vec<_> = words
        .map(|(one, value)| format!("{}={value}", one.key()))
        .collect();
    words.join(" ") + "\n"
}

/// Values that a line sets: indices in [`SETTINGS`], and the new contents of the files.
pub type Values = Vec<(usize, String)>;

/// Returns the values that the words of a line set, and adds the faults.
pub fn words<'a>(words: impl Iterator<Item = &'a str>, kind: Kind, faults: &mut Faults) -> Values {
    let mut values = Values::new();
    for word in words {
        let (key, text) = word.split_once('=').unwrap_or_default();
        let mut known = false;
        for (index, one) in SETTINGS.iter().enumerate() {
            if !one.is_meant(key) {
                continue;
            }
            known = true;
            if values.iter().any(|(other, _)| *other == index) {
                faults.add(Errno::EINVAL);
            }
            // After a fault the values are not used.
            let value = faults.of(one.rule.accept(text, kind));
            values.push((index, value.unwrap_or_default()));
        }
        if !known {
            faults.add(Errno::EINVAL);
        }
    }
    values
}

/// Returns the values that a write(2) of `bytes` to `settings` of a target of the given kind sets; or
/// the errnos allowed.
pub fn judge_settings(bytes: &[u8], kind: Kind) -> Result<Values, Refusal> {
    let mut faults = Faults::default();
    let values = words(line(bytes)?.split_ascii_whitespace(), kind, &mut faults);
    if values.is_empty() {
        faults.add(Errno::EINVAL);
    }
    match faults.0.is_empty() {
        true => Ok(values),
        false => Err(faults.0),
    }
}

fn events(text: &str) -> Result<String, Errno> {
    if text == "all" {
        return Ok("all".into());
    }
    let mut chosen = Vec::new();
    for name in text.split(',') {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let event = NotifierEvent::from_name(name).ok_or(Errno::EINVAL)?;
        if chosen.contains(&event) {
            return Err(Errno::EINVAL);
        }
        chosen.push(event);
    }
    if chosen.len() == NotifierEvent::ALL.len() {
        return Ok("all".into());
    }
    let sorted: Vec<String> = NotifierEvent::ALL
        .into_iter()
        .filter(|event| chosen.contains(event))
        .map(|event| format!("{PREFIX}{event}"))
        .collect();
    Ok(sorted.join(","))
}

fn task(text: &str) -> Result<String, Refusal> {
    if text == "all" {
        return Ok("all".into());
    }
    if let Some(tid) = text.strip_prefix("tid=") {
        return number(tid, 1, TID_MAX).map(|tid| format!("tid={tid}"));
    }
    match text.strip_prefix("comm=") {
        Some(comm)
            if (1..=15).contains(&comm.len())
                && comm.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(text.into())
        }
        _ => Err(vec![Errno::EINVAL]),
    }
}

fn caller(text: &str) -> Result<String, Errno> {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '$'].contains(&c);
    if text.is_empty() || text.len() > CALLER_MAX || !text.chars().all(is_taken) {
        return Err(Errno::EINVAL);
    }
    Ok(text.into())
}

impl Rule {
    /// Returns the content of the file after a write of the line `text`, without the newline; or the
    /// errnos allowed.
    fn accept(self, text: &str, kind: Kind) -> Result<String, Refusal> {
        let one = |errno| vec![errno];
        match self {
            Rule::Events => events(text).map_err(one),
            Rule::Range if text == "all" => Ok("all".into()),
            Rule::Range => addresses(text).map(|(start, end)| match (start, end) {
                (0, u64::MAX) => "all".into(),
                _ => format!("{start:#x}-{end:#x}"),
            }),
            Rule::Word(words) if words.contains(&text) => Ok(text.into()),
            Rule::Word(_) => Err(one(Errno::EINVAL)),
            Rule::Task => task(text),
            Rule::Caller => caller(text).map_err(one),
            Rule::Number(min, max) => number(text, min, max).map(|number| number.to_string()),
            Rule::Callback => match text {
                "start" => Ok(text.into()),
                "end" if has_ends(kind) => Ok(text.into()),
                "release" if has_release(kind) => Ok(text.into()),
                _ => Err(one(Errno::EINVAL)),
            },
            Rule::Breach(max) => match number(text, 0, max)? {
                0 => Ok("0".into()),
                _ => Err(one(Errno::EPERM)),
            },
            Rule::Error => match number(text, -4095, 0)? {
                error if is_interval(kind) && error != 0 && error != -(Errno::EAGAIN as i64) => {
                    Err(one(Errno::EINVAL))
                }
                error => Ok(error.to_string()),
            },
        }
    }

    /// Returns the content of the file after a write(2) of `bytes` to a target of the given kind,
    /// without the newline; or the errnos allowed.
    pub fn judge(self, bytes: &[u8], kind: Kind) -> Result<String, Refusal> {
        self.accept(line(bytes)?, kind)
    }
}

/// Returns the values that a write(2) of `bytes` to `effect/error` sets; or the errnos allowed.
pub fn judge_error(bytes: &[u8], kind: Kind) -> Result<Values, Refusal> {
    let value = Rule::Error.judge(bytes, kind)?;
    let errors = SETTINGS.iter().enumerate();
    let errors = errors.filter(|(_, one)| one.rule == Rule::Error);
    Ok(errors.map(|(index, _)| (index, value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::kind::{INTERVAL, KINDS, PLAIN, PLAIN_END, TWO_PASS};

    fn rule(path: &str) -> Rule {
        let path = path_of(path);
        SETTINGS.iter().find(|one| one.path == path).unwrap().rule
    }

    fn judge(path: &str, bytes: &[u8]) -> Result<String, Refusal> {
        rule(path).judge(bytes, PLAIN)
    }

    fn refused(path: &str, bytes: &[u8], errno: Errno) {
        assert_eq!(judge(path, bytes), Err(vec![errno]), "{path} {bytes:?}");
    }

    #[test]
    fn every_default_is_a_valid_value() {
        for one in SETTINGS {
            for kind in KINDS {
                assert_eq!(
                    one.rule.judge(one.default.as_bytes(), kind),
                    Ok(one.default.to_owned()),
                    "{}",
                    one.path
                );
            }
        }
    }

    #[test]
    fn the_settings_line_is_as_documented() {
        assert_eq!(
            settings_line(&defaults()),
            "events=all range=all context=any task=all caller=all probability=100 interval=1 \
             times=1 space=0 verbose=0 sleep_us=0 delay_us=0 alloc_bytes=0 lock=0 remove=0 \
             callback=start young=0 record=injected MMU_NOTIFY_UNMAP=0 MMU_NOTIFY_CLEAR=0 \
             MMU_NOTIFY_PROTECTION_VMA=0 MMU_NOTIFY_PROTECTION_PAGE=0 MMU_NOTIFY_SOFT_DIRTY=0 \
             MMU_NOTIFY_RELEASE=0 MMU_NOTIFY_MIGRATE=0 MMU_NOTIFY_EXCLUSIVE=0\n"
        );
    }

    #[test]
    fn a_line_sets_all_of_its_values() {
        let index = |key: &str| SETTINGS.iter().position(|one| one.key() == key).unwrap();
        assert_eq!(
            judge_settings(b" times=007  MMU_NOTIFY_UNMAP=-11 CLEAR=-1\n", PLAIN),
            Ok(vec![
                (index("times"), "7".into()),
                (index("MMU_NOTIFY_UNMAP"), "-11".into()),
                (index("MMU_NOTIFY_CLEAR"), "-1".into()),
            ])
        );
        assert_eq!(judge_settings(b"error=-11", INTERVAL).unwrap().len(), 8);
        let whole = settings_line(&defaults());
        let values = judge_settings(whole.as_bytes(), INTERVAL).unwrap();
        let texts: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
        assert_eq!(texts, defaults());
    }

    #[test]
    fn different_errors_have_none_in_common() {
        let mut values = defaults();
        assert_eq!(common_error(&values), "0");
        let last = values.len() - 1;
        values[last] = "-11".into();
        assert_eq!(common_error(&values), "various");
    }

    #[test]
    fn a_line_with_a_fault_sets_nothing() {
        let refused = |line: &str, errnos: &[Errno]| {
            let judged = judge_settings(line.as_bytes(), PLAIN);
            assert_eq!(judged, Err(errnos.to_vec()), "{line}");
        };
        for line in [
            " ",
            "times",
            "times=1 times=1",
            "times=1 colour=blue",
            "UNMAP=0 MMU_NOTIFY_UNMAP=0",
            "error=0 UNMAP=0",
            "MMU_NOTIFY_MMU_NOTIFY_UNMAP=0",
            "times=1 callback=end",
            "actions/UNMAP/error=0",
            "unmap=0",
        ] {
            refused(line, &[Errno::EINVAL]);
        }
        refused("times=1 space=-1", &[Errno::ERANGE]);
        refused("times=1 lock=1", &[Errno::EPERM]);
        refused("UNMAP=1 lock=1", &[Errno::ERANGE, Errno::EPERM]);
    }

    #[test]
    fn numbers_are_bounded_and_plain_decimal() {
        assert_eq!(judge("times", b"-1"), Ok("-1".into()));
        assert_eq!(judge("times", b"2147483647\n"), Ok("2147483647".into()));
        assert_eq!(judge("probability", b"007"), Ok("7".into()));
        assert_eq!(judge("probability", b"-0"), Ok("0".into()));
        for out in ["-2", "2147483648", "99999999999999999999999999"] {
            refused("times", out.as_bytes(), Errno::ERANGE);
        }
        for bad in ["+1", " 1", "1 ", "-", "--1", "1-", "0x1", "1.0", "1\r", "a"] {
            refused("times", bad.as_bytes(), Errno::EINVAL);
        }
        assert_eq!(
            judge("times", b"2147483648x"),
            Err(vec![Errno::ERANGE, Errno::EINVAL])
        );
    }

    #[test]
    fn ranges_are_hexadecimal_and_not_empty() {
        assert_eq!(judge("range", b"1000-0x20F0"), Ok("0x1000-0x20f0".into()));
        assert_eq!(judge("range", b"0-ffffffffffffffff"), Ok("all".into()));
        refused("range", b"2-2", Errno::EINVAL);
        refused("range", b"0X1-2", Errno::EINVAL);
        refused("range", b"1-2-3", Errno::EINVAL);
        refused("range", b"1-", Errno::EINVAL);
        refused("range", b"0x-1", Errno::EINVAL);
        refused("range", b"1-10000000000000000", Errno::ERANGE);
        assert_eq!(
            judge("range", b"x-10000000000000000"),
            Err(vec![Errno::EINVAL, Errno::ERANGE])
        );
        assert_eq!(
            judge("range", b"1-10000000000000000g"),
            Err(vec![Errno::ERANGE, Errno::EINVAL])
        );
    }

    #[test]
    fn events_read_back_in_the_kernels_order() {
        assert_eq!(
            judge("events", b"CLEAR,MMU_NOTIFY_UNMAP"),
            Ok("MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR".into())
        );
        let all = NotifierEvent::ALL.map(NotifierEvent::name).join(",");
        assert_eq!(judge("events", all.as_bytes()), Ok("all".into()));
        for bad in [
            "CLEAR,CLEAR",
            "CLEAR,MMU_NOTIFY_CLEAR",
            "MMU_NOTIFY_MMU_NOTIFY_CLEAR",
            "clear",
            "CLEAR,",
            "all,CLEAR",
            "CLEAR, UNMAP",
        ] {
            refused("events", bad.as_bytes(), Errno::EINVAL);
        }
    }

    #[test]
    fn tasks_are_thread_ids_or_names() {
        assert_eq!(judge("task", b"tid=4194304"), Ok("tid=4194304".into()));
        assert_eq!(judge("task", b"comm=a=b"), Ok("comm=a=b".into()));
        refused("task", b"tid=0", Errno::ERANGE);
        refused("task", b"tid=4194305", Errno::ERANGE);
        for bad in ["comm=", "comm=a b", "comm=0123456789abcdef", "tid=", "x"] {
            refused("task", bad.as_bytes(), Errno::EINVAL);
        }
    }

    #[test]
    fn callers_are_names_of_symbols() {
        let longest = "x".repeat(CALLER_MAX);
        for name in ["all", "_", "f.isra.0", "$a", "7", &longest] {
            assert_eq!(judge("caller", name.as_bytes()), Ok(name.into()));
        }
        let longer = "x".repeat(CALLER_MAX + 1);
        for bad in ["", "f g", "f+0x1", "f,g", "f=g", "-", "\u{e9}", &longer] {
            refused("caller", bad.as_bytes(), Errno::EINVAL);
        }
    }

    #[test]
    fn a_breach_returns_eperm() {
        for (path, max) in [("remove", 1), ("lock", 1), ("alloc_bytes", 1 << 20)] {
            assert_eq!(judge(path, b"0"), Ok("0".into()));
            refused(path, b"1", Errno::EPERM);
            refused(path, max.to_string().as_bytes(), Errno::EPERM);
            refused(path, (max + 1).to_string().as_bytes(), Errno::ERANGE);
        }
    }

    #[test]
    fn an_interval_notifier_can_only_return_eagain() {
        let error = rule("actions/MMU_NOTIFY_UNMAP/error");
        for kind in [INTERVAL, TWO_PASS] {
            assert_eq!(error.judge(b"-11", kind), Ok("-11".into()));
            assert_eq!(error.judge(b"-12", kind), Err(vec![Errno::EINVAL]));
            assert_eq!(error.judge(b"-4096", kind), Err(vec![Errno::ERANGE]));
        }
        assert_eq!(error.judge(b"-12", PLAIN_END), Ok("-12".into()));
        assert_eq!(error.judge(b"1", PLAIN), Err(vec![Errno::ERANGE]));
    }
}
