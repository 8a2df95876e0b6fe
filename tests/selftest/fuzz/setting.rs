// SPDX-License-Identifier: GPL-2.0

//! What the files of a target take, and what they then read: a second description of the
//! interface, made from its documentation and not from the module.

use nix::errno::Errno;

use mn_inject::model::NotifierEvent;
use mn_inject::os::sys::PAGE;

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

/// How a target's notifier is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: the address space is only held.
    None,
    /// With `invalidate_range_start` only.
    Plain,
    /// With `invalidate_range_end` besides.
    PlainEnd,
    /// An interval notifier.
    Interval,
    /// An interval notifier that is called in two passes.
    TwoPass,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [
        Kind::None,
        Kind::Plain,
        Kind::PlainEnd,
        Kind::Interval,
        Kind::TwoPass,
    ];

    /// The module's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Plain => "plain",
            Kind::PlainEnd => "plain-end",
            Kind::Interval => "interval",
            Kind::TwoPass => "interval-two-pass",
        }
    }

    /// Whether it sits on a range of addresses, and can only say yes or no.
    pub const fn is_interval(self) -> bool {
        matches!(self, Kind::Interval | Kind::TwoPass)
    }

    /// Whether a callback follows on its start.
    pub const fn has_ends(self) -> bool {
        matches!(self, Kind::PlainEnd | Kind::TwoPass)
    }
}

/// What a file takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Names of events.
    Events,
    /// Addresses.
    Range,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A thread, or a name of threads.
    Task,
    /// A number in these bounds.
    Number(i64, i64),
    /// What a callback returns.
    Error,
    /// `start`, or `end` where the kind has one.
    Callback,
    /// 0 or 1, of which the module takes the 1 only where it was loaded with `breach=1`.
    Breach,
}

/// A file that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its place in a target's folder.
    pub path: &'static str,
    /// What it takes.
    pub rule: Rule,
    /// What it reads before anything was written.
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

/// The highest thread id (PID_MAX_LIMIT).
const TID_MAX: i64 = 4_194_304;

/// The files that can be written, in the order in which `settings` has them.
pub const SETTINGS: [Setting; 24] = [
    setting("events", Rule::Events, "all"),
    setting("range", Rule::Range, "all"),
    setting(
        "context",
        Rule::Word(&["any", "blockable", "nonblockable"]),
        "any",
    ),
    setting("task", Rule::Task, "all"),
    setting("probability", Rule::Number(0, 100), "100"),
    setting("interval", Rule::Number(1, I32_MAX), "1"),
    setting("times", Rule::Number(-1, I32_MAX), "-1"),
    setting("space", Rule::Number(0, I32_MAX), "0"),
    setting("verbose", Rule::Number(0, 2), "0"),
    setting("sleep_us", Rule::Number(0, 10_000_000), "0"),
    setting("delay_us", Rule::Number(0, 100_000), "0"),
    setting("alloc_bytes", Rule::Number(0, 1 << 20), "0"),
    setting("lock", Rule::Number(0, 1), "0"),
    setting("remove", Rule::Breach, "0"),
    setting("callback", Rule::Callback, "start"),
    setting("record", Rule::Word(&["injected", "all"]), "injected"),
    setting("actions/UNMAP/error", Rule::Error, "0"),
    setting("actions/CLEAR/error", Rule::Error, "0"),
    setting("actions/PROTECTION_VMA/error", Rule::Error, "0"),
    setting("actions/PROTECTION_PAGE/error", Rule::Error, "0"),
    setting("actions/SOFT_DIRTY/error", Rule::Error, "0"),
    setting("actions/RELEASE/error", Rule::Error, "0"),
    setting("actions/MIGRATE/error", Rule::Error, "0"),
    setting("actions/EXCLUSIVE/error", Rule::Error, "0"),
];

/// A file that is only written: something is done each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ends what reading `read_begin` began.
    Retry,
    /// Zaps pages.
    Zap,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 2] = [Order::Retry, Order::Zap];

    /// Its place in a target's folder.
    pub const fn path(self) -> &'static str {
        match self {
            Order::Retry => "read_retry",
            Order::Zap => "zap",
        }
    }

    /// What comes of this write(2) to a target of that kind, whose range nobody has invalidated
    /// since `read_begin` has shown `seq`, and which has nothing mapped where we zap.
    pub fn judge(self, bytes: &[u8], kind: Kind, seq: u64) -> Result<(), Refusal> {
        let text = line(bytes)?;
        match self {
            Order::Retry => {
                let mut refusal = Refusal::new();
                let given = natural(text).map_err(|errnos| refusal.extend(errnos)).ok();
                if !kind.is_interval() {
                    refusal.push(Errno::EOPNOTSUPP);
                } else if given.is_some_and(|given| given != seq) {
                    refusal.push(Errno::EAGAIN);
                }
                no_fault(refusal)
            }
            Order::Zap => Err(zap(text)),
        }
    }
}

/// Why pages are not zapped.
fn zap(text: &str) -> Refusal {
    let mut words = text.split_ascii_whitespace();
    let mut refusal = Refusal::new();
    let range = match words.next() {
        // All addresses are no whole pages.
        None | Some("all") => Err(vec![Errno::EINVAL]),
        Some(range) => addresses(range),
    };
    match range {
        Ok((start, end)) if (start | end) % PAGE as u64 == 0 => {}
        Ok(_) => refusal.push(Errno::EINVAL),
        Err(errnos) => refusal.extend(errnos),
    }
    match (words.next(), words.next()) {
        (None, _) => {}
        (Some("atomic"), None) => refusal.push(Errno::EPERM),
        _ => refusal.push(Errno::EINVAL),
    }
    if refusal.is_empty() {
        refusal.push(Errno::EFAULT);
    }
    refusal
}

fn no_fault(refusal: Refusal) -> Result<(), Refusal> {
    if refusal.is_empty() {
        Ok(())
    } else {
        Err(refusal)
    }
}

/// A decimal number of 64 bits that is not negative.
fn natural(text: &str) -> Result<u64, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 {
        return Err(vec![Errno::EINVAL]);
    }
    no_more(number.parse().map_err(|_| vec![Errno::ERANGE]), rest)
}

/// What every file reads before anything was written.
pub fn defaults() -> Vec<String> {
    SETTINGS.iter().map(|one| one.default.to_owned()).collect()
}

/// What `settings` reads where the files read `values`.
pub fn settings_line(values: &[String]) -> String {
    let mut words = Vec::new();
    let mut errors = Vec::new();
    for (one, value) in SETTINGS.iter().zip(values) {
        match one.rule {
            Rule::Error => errors.push(value.as_str()),
            _ => words.push(format!("{}={value}", one.path)),
        }
    }
    format!("{} errors={}\n", words.join(" "), errors.join(","))
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

fn events(text: &str) -> Result<String, Errno> {
    if text == "all" {
        return Ok("all".into());
    }
    let mut chosen = Vec::new();
    for name in text.split(',') {
        let event = NotifierEvent::from_name(name).ok_or(Errno::EINVAL)?;
        if chosen.contains(&event) {
            return Err(Errno::EINVAL);
        }
        chosen.push(event);
    }
    if chosen.len() == NotifierEvent::ALL.len() {
        return Ok("all".into());
    }
    let sorted: Vec<&str> = NotifierEvent::ALL
        .into_iter()
        .filter(|event| chosen.contains(event))
        .map(NotifierEvent::name)
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

impl Rule {
    /// What the file reads after `text` was written, without the newline; or why it is refused.
    fn take(self, text: &str, kind: Kind) -> Result<String, Refusal> {
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
            Rule::Number(min, max) => number(text, min, max).map(|number| number.to_string()),
            Rule::Callback => match text {
                "start" => Ok(text.into()),
                "end" if kind.has_ends() => Ok(text.into()),
                _ => Err(one(Errno::EINVAL)),
            },
            Rule::Breach => match number(text, 0, 1)? {
                0 => Ok("0".into()),
                _ => Err(one(Errno::EPERM)),
            },
            Rule::Error => match number(text, -4095, 0)? {
                error if kind.is_interval() && error != 0 && error != -(Errno::EAGAIN as i64) => {
                    Err(one(Errno::EINVAL))
                }
                error => Ok(error.to_string()),
            },
        }
    }

    /// What the file of a target of that kind reads after this write(2); or why it is refused.
    pub fn judge(self, bytes: &[u8], kind: Kind) -> Result<String, Refusal> {
        self.take(line(bytes)?, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str) -> Rule {
        SETTINGS.iter().find(|one| one.path == path).unwrap().rule
    }

    fn judge(path: &str, bytes: &[u8]) -> Result<String, Refusal> {
        rule(path).judge(bytes, Kind::Plain)
    }

    fn refused(path: &str, bytes: &[u8], errno: Errno) {
        assert_eq!(judge(path, bytes), Err(vec![errno]), "{path} {bytes:?}");
    }

    #[test]
    fn every_default_is_what_the_file_itself_takes() {
        for one in SETTINGS {
            for kind in Kind::ALL {
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
    fn the_settings_line_is_the_documented_one() {
        assert_eq!(
            settings_line(&defaults()),
            "events=all range=all context=any task=all probability=100 interval=1 times=-1 space=0 \
             verbose=0 sleep_us=0 delay_us=0 alloc_bytes=0 lock=0 remove=0 \
             callback=start record=injected errors=0,0,0,0,0,0,0,0\n"
        );
    }

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

    #[test]
    fn numbers_have_bounds_and_no_ornaments() {
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
    fn events_come_back_in_the_kernels_order() {
        assert_eq!(judge("events", b"CLEAR,UNMAP"), Ok("UNMAP,CLEAR".into()));
        let all = NotifierEvent::ALL.map(NotifierEvent::name).join(",");
        assert_eq!(judge("events", all.as_bytes()), Ok("all".into()));
        for bad in [
            "CLEAR,CLEAR",
            "clear",
            "CLEAR,",
            "all,CLEAR",
            "CLEAR, UNMAP",
        ] {
            refused("events", bad.as_bytes(), Errno::EINVAL);
        }
    }

    #[test]
    fn tasks_are_threads_or_names() {
        assert_eq!(judge("task", b"tid=4194304"), Ok("tid=4194304".into()));
        assert_eq!(judge("task", b"comm=a=b"), Ok("comm=a=b".into()));
        refused("task", b"tid=0", Errno::ERANGE);
        refused("task", b"tid=4194305", Errno::ERANGE);
        for bad in ["comm=", "comm=a b", "comm=0123456789abcdef", "tid=", "x"] {
            refused("task", bad.as_bytes(), Errno::EINVAL);
        }
    }

    #[test]
    fn who_looks_again_gives_the_number_that_he_was_given() {
        let judge = |text: &str, kind| Order::Retry.judge(text.as_bytes(), kind, 7);
        assert_eq!(judge("7\n", Kind::Interval), Ok(()));
        assert_eq!(judge("007", Kind::TwoPass), Ok(()));
        assert_eq!(judge("9", Kind::Interval), Err(vec![Errno::EAGAIN]));
        assert_eq!(judge("7", Kind::Plain), Err(vec![Errno::EOPNOTSUPP]));
        assert_eq!(judge("-7", Kind::Interval), Err(vec![Errno::EINVAL]));
        assert_eq!(
            judge("18446744073709551616", Kind::Interval),
            Err(vec![Errno::ERANGE])
        );
        assert_eq!(
            judge("x", Kind::None),
            Err(vec![Errno::EINVAL, Errno::EOPNOTSUPP])
        );
    }

    #[test]
    fn nothing_is_zapped_where_nothing_is() {
        for (text, errnos) in [
            ("1000-2000", &[Errno::EFAULT][..]),
            ("1000-2000 atomic", &[Errno::EPERM]),
            ("1000-2001", &[Errno::EINVAL]),
            ("1000-2000 atomic x", &[Errno::EINVAL]),
            ("1000-10000000000000000", &[Errno::ERANGE]),
            ("1-2 atomic", &[Errno::EINVAL, Errno::EPERM]),
            ("all", &[Errno::EINVAL]),
        ] {
            assert_eq!(
                Order::Zap.judge(text.as_bytes(), Kind::Plain, 0),
                Err(errnos.to_vec()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_breaks_the_kernel_is_not_allowed() {
        assert_eq!(judge("remove", b"0"), Ok("0".into()));
        refused("remove", b"1", Errno::EPERM);
        refused("remove", b"2", Errno::ERANGE);
    }

    #[test]
    fn an_interval_notifier_can_only_refuse() {
        let error = rule("actions/UNMAP/error");
        for kind in [Kind::Interval, Kind::TwoPass] {
            assert_eq!(error.judge(b"-11", kind), Ok("-11".into()));
            assert_eq!(error.judge(b"-12", kind), Err(vec![Errno::EINVAL]));
            assert_eq!(error.judge(b"-4096", kind), Err(vec![Errno::ERANGE]));
        }
        assert_eq!(error.judge(b"-12", Kind::PlainEnd), Ok("-12".into()));
        assert_eq!(error.judge(b"1", Kind::Plain), Err(vec![Errno::ERANGE]));
    }
}
