// SPDX-License-Identifier: GPL-2.0

//! What is written: values that are right, values at the edge, values that are nearly right, and
//! nonsense. Nothing here knows which is which; the description of the interface judges them all.

use mn_inject::model::NotifierEvent;

use crate::fuzz::rng::Rng;
use crate::fuzz::setting::{Kind, LONGEST, Order, Rule};

/// Numbers at the edges of the types that a number may be kept in.
const EDGES: &[&str] = &[
    "0",
    "-0",
    "00",
    "007",
    "1",
    "-1",
    "127",
    "128",
    "-129",
    "255",
    "256",
    "32768",
    "65535",
    "65536",
    "2147483646",
    "2147483647",
    "2147483648",
    "-2147483647",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "4294967297",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
];

/// Addresses at the edges of the types that one may be kept in.
const ADDRESSES: &[&str] = &[
    "0",
    "1",
    "0x0",
    "0x1000",
    "7fffffff",
    "ffffffff",
    "100000000",
    "0x7ffffffff000",
    "7fffffffffffffff",
    "8000000000000000",
    "ffffffff81000000",
    "0xfffffffffffffffe",
    "ffffffffffffffff",
    "FFFFFFFFFFFFFFFF",
    "0xABCDEF",
    "00000000000000000001",
    "10000000000000000",
    "0x10000000000000000",
    "ffffffffffffffffffffffff",
    "0X10",
    "x10",
    "0x",
    "g",
    "",
];

/// What is put into a line, before it, or behind it.
const ORNAMENTS: &[&str] = &[
    " ",
    "  ",
    "\t",
    "+",
    "-",
    "\n",
    "\n\n",
    "\r\n",
    "\0",
    ",",
    "=",
    "0",
    "0x",
    "%",
    "\u{e9}",
    "\u{1f600}",
    ".",
    "/",
    "\\",
    "\"",
];

/// An address as somebody may write it.
fn address(rng: &mut Rng) -> String {
    if rng.one_in(3) {
        return (*rng.pick(ADDRESSES)).to_owned();
    }
    let bits = rng.bits() >> rng.below(64);
    match rng.below(4) {
        0 => format!("{bits:#x}"),
        1 => format!("{bits:X}"),
        2 => format!("0x{bits:X}"),
        _ => format!("{bits:x}"),
    }
}

/// A range that is right.
pub fn range(rng: &mut Rng) -> String {
    let (a, b) = (rng.bits() >> rng.below(64), rng.bits() >> rng.below(64));
    let (start, end) = (a.min(b), a.max(b));
    let end = if start == end { start | 1 } else { end };
    let start = if start == end { end - 1 } else { start };
    match rng.below(3) {
        0 => format!("{start:#x}-{end:#x}"),
        1 => format!("{start:X}-0x{end:x}"),
        _ => format!("{start:x}-{end:X}"),
    }
}

fn events(rng: &mut Rng) -> String {
    let mut left = NotifierEvent::ALL.to_vec();
    let mut names = Vec::new();
    for _ in 0..=rng.below(left.len()) {
        names.push(left.swap_remove(rng.below(left.len())).name());
    }
    names.join(",")
}

fn comm(rng: &mut Rng, length: usize) -> String {
    (0..length)
        .map(|_| char::from(b'!' + rng.below(usize::from(b'~' - b'!') + 1) as u8))
        .collect()
}

/// A value that the file takes.
pub fn valid(rng: &mut Rng, rule: Rule, kind: Kind) -> String {
    match rule {
        Rule::Events if rng.one_in(5) => "all".into(),
        Rule::Events => events(rng),
        Rule::Range if rng.one_in(5) => "all".into(),
        Rule::Range => range(rng),
        Rule::Word(words) => (*rng.pick(words)).to_owned(),
        Rule::Task => match rng.below(5) {
            0 => "all".into(),
            1 | 2 => format!("tid={}", rng.number(1, 4_194_304)),
            _ => {
                let length = 1 + rng.below(15);
                format!("comm={}", comm(rng, length))
            }
        },
        Rule::Number(min, max) => rng.number(min, max).to_string(),
        Rule::Error if kind.is_interval() => (*rng.pick(&["0", "-11"])).to_owned(),
        Rule::Error => rng.number(-4095, 0).to_string(),
        Rule::Callback if kind.has_ends() => (*rng.pick(&["start", "end"])).to_owned(),
        Rule::Callback => "start".into(),
        Rule::Breach => "0".into(),
    }
}

/// A value at the edge of what the file takes, on either side.
fn edge(rng: &mut Rng, rule: Rule) -> String {
    let around = |rng: &mut Rng, min: i64, max: i64| match rng.below(6) {
        0 => min.to_string(),
        1 => max.to_string(),
        2 => (min - 1).to_string(),
        3 => (max + 1).to_string(),
        _ => (*rng.pick(EDGES)).to_owned(),
    };
    match rule {
        Rule::Events => match rng.below(5) {
            0 => format!("{},all", events(rng)),
            1 => format!("{0},{0}", rng.pick(&NotifierEvent::ALL)),
            2 => NotifierEvent::ALL.map(NotifierEvent::name).join(","),
            3 => format!("{},", events(rng)),
            _ => format!(",{}", events(rng)),
        },
        Rule::Range => match rng.below(6) {
            0 => "0-ffffffffffffffff".into(),
            1 => {
                let same = address(rng);
                format!("{same}-{same}")
            }
            _ => format!("{}-{}", address(rng), address(rng)),
        },
        Rule::Word(words) => {
            let word = rng.pick(words);
            match rng.below(3) {
                0 => word.to_uppercase(),
                1 => word[..rng.below(word.len())].to_owned(),
                _ => format!("{word}s"),
            }
        }
        Rule::Task => match rng.below(4) {
            0 => {
                let length = *rng.pick(&[0, 1, 14, 15, 16, 17, 255]);
                format!("comm={}", comm(rng, length))
            }
            1 => "comm=\u{e9}\u{e9}".into(),
            _ => format!("tid={}", around(rng, 1, 4_194_304)),
        },
        Rule::Number(min, max) if rng.one_in(20) => {
            // A long way to write a small number, up to the most that a line may have.
            let digits = *rng.pick(&[20, 40, LONGEST - 1, LONGEST]);
            format!("{:0>digits$}", rng.number(min.max(0), max))
        }
        Rule::Number(min, max) => around(rng, min, max),
        Rule::Error => around(rng, -4095, 0),
        Rule::Callback => edge(rng, Rule::Word(&["start", "end"])),
        Rule::Breach => around(rng, 0, 1),
    }
}

/// Changes a few bytes.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(6) {
            0 => bytes.insert(at, rng.bits() as u8),
            1 => {
                let ornament = rng.pick(ORNAMENTS).as_bytes();
                bytes.splice(at..at, ornament.iter().copied());
            }
            2 => bytes.truncate(at),
            _ if at == bytes.len() => bytes.push(b' '),
            3 => bytes[at] ^= 1 << rng.below(8),
            4 => drop(bytes.remove(at)),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

/// Bytes that are no line for any file, by their length or by what they are.
fn nonsense(rng: &mut Rng, value: &str) -> Vec<u8> {
    let fill = |length: usize, last: &str| {
        let mut bytes = value.as_bytes().repeat(length / value.len().max(1) + 1);
        bytes.resize(length - last.len(), b'0');
        bytes.extend(last.as_bytes());
        bytes
    };
    match rng.below(10) {
        0 => Vec::new(),
        1 => b"\n".to_vec(),
        2 => vec![rng.bits() as u8],
        3 => fill(LONGEST, ""),
        4 => fill(LONGEST, "\n"),
        5 => fill(LONGEST + 1, "\n"),
        6 if rng.one_in(4) => fill(64 << 10, "\n"),
        6 => fill(LONGEST + 1, ""),
        7 => [value.as_bytes(), b"\xc3\x28\xff"].concat(),
        8 => [value.as_bytes(), b"\0"].concat(),
        _ => (0..rng.below(300)).map(|_| rng.bits() as u8).collect(),
    }
}

/// With or without the newline that a line may have.
fn ended(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if rng.one_in(2) {
        bytes.push(b'\n');
    }
    bytes
}

/// What may be made of a line that is right.
fn spoil(rng: &mut Rng, text: &str) -> Vec<u8> {
    let ornament = rng.pick(ORNAMENTS);
    match rng.below(5) {
        0 => format!("{ornament}{text}").into_bytes(),
        1 => format!("{text}{ornament}").into_bytes(),
        2 => text.to_lowercase().into_bytes(),
        3 => text.to_uppercase().into_bytes(),
        _ => {
            let mut bytes = ended(rng, text);
            mutate(rng, &mut bytes);
            bytes
        }
    }
}

/// Something to write to a file of a target of that kind.
pub fn value(rng: &mut Rng, rule: Rule, kind: Kind) -> Vec<u8> {
    match rng.below(20) {
        0..8 => {
            let value = valid(rng, rule, kind);
            ended(rng, &value)
        }
        8..12 => {
            let value = edge(rng, rule);
            ended(rng, &value)
        }
        12..17 => {
            let value = valid(rng, rule, kind);
            spoil(rng, &value)
        }
        17 => (*rng.pick(EDGES)).as_bytes().to_vec(),
        _ => {
            let value = valid(rng, rule, kind);
            nonsense(rng, &value)
        }
    }
}

/// Something to write to a file that is only written. `seq` is what `read_begin` has shown.
pub fn order(rng: &mut Rng, order: Order, seq: u64) -> Vec<u8> {
    let text = match order {
        Order::Retry => match rng.below(6) {
            0 | 1 => seq.to_string(),
            2 => format!("0{seq}"),
            3 => seq.wrapping_add(rng.below(5) as u64).to_string(),
            4 => (rng.bits() >> rng.below(64)).to_string(),
            _ => (*rng.pick(EDGES)).to_owned(),
        },
        Order::Zap => {
            let range = match rng.below(4) {
                0 => range(rng),
                1 => format!("{}-{}", address(rng), address(rng)),
                // Nobody maps anything there: `mmap_min_addr`.
                _ => (*rng.pick(&["0-1000", "0x1000-0x2000", "2000-a000"])).to_owned(),
            };
            let rest = *rng.pick(&["", "", " atomic", "  atomic", " atomic atomic", " x"]);
            format!("{range}{rest}")
        }
    };
    match rng.below(10) {
        0..7 => ended(rng, &text),
        7 | 8 => spoil(rng, &text),
        _ => nonsense(rng, &text),
    }
}

/// What lines for `control` are made of.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Processes that can be attached.
    pub live: Vec<i32>,
    /// Numbers with which none can be.
    pub dead: Vec<i32>,
    /// The names in use.
    pub names: Vec<String>,
}

/// A name that may be given to a target.
fn name(rng: &mut Rng, words: &Words) -> String {
    const LETTERS: &[u8] = b"abcxyzABCXYZ0189_.-";
    let free = |rng: &mut Rng, length: usize| -> String {
        // A letter first: a name may not begin with a dot.
        (0..length)
            .map(|at| char::from(*rng.pick(if at == 0 { &LETTERS[..12] } else { LETTERS })))
            .collect()
    };
    match rng.below(8) {
        0 if !words.names.is_empty() => rng.pick(&words.names).clone(),
        1 => {
            let length = *rng.pick(&[1, 63, 64, 65, 66, 300]);
            free(rng, length)
        }
        2 => {
            const ODD: &[&str] = &[
                "", ".", "..", ".x", "a/b", "../x", "a:b", "-", "_", "\u{e9}", "a=b", "control",
            ];
            (*rng.pick(ODD)).to_owned()
        }
        _ => {
            let length = 3 + rng.below(10);
            free(rng, length)
        }
    }
}

fn object(rng: &mut Rng, words: &Words) -> String {
    match rng.below(10) {
        3 => format!("@{}", name(rng, words)),
        4 if !words.names.is_empty() => format!("@{}", rng.pick(&words.names)),
        0 | 1 if !words.dead.is_empty() => rng.pick(&words.dead).to_string(),
        2 => (*rng.pick(EDGES)).to_owned(),
        _ if words.live.is_empty() => "0".into(),
        _ => rng.pick(&words.live).to_string(),
    }
}

/// A line that attaches a process, where nothing stands against it.
fn attach(rng: &mut Rng, words: &Words) -> String {
    let kind = *rng.pick(&Kind::ALL);
    let mut keys = Vec::new();
    if kind != Kind::Plain || rng.one_in(3) {
        keys.push(format!("kind={}", kind.name()));
    }
    // Rarely wrong on purpose: it belongs to the interval kinds, and to them only.
    if kind.is_interval() != rng.one_in(12) {
        keys.push(format!("range={}", range(rng)));
    }
    if !rng.one_in(5) {
        keys.push(format!("name={}", name(rng, words)));
    }
    if rng.one_in(4) {
        const WAYS: &[&str] = &[
            "register",
            "register",
            "locked",
            "locked",
            "unlocked",
            "recursive",
            "atomic",
            "twice",
            "",
            "Locked",
        ];
        keys.push(format!("how={}", rng.pick(WAYS)));
    }
    if rng.one_in(15) {
        const MORE: &[&str] = &[
            "kind=plain",
            "kind=",
            "kind=none",
            "range=all",
            "range=0-1",
            "name=twice",
            "events=all",
            "key",
            "=",
            "=x",
        ];
        keys.push((*rng.pick(MORE)).to_owned());
    }
    if rng.one_in(12) {
        keys.push(format!("range={}-{}", address(rng), address(rng)));
    }
    let mut line = format!("attach {}", object(rng, words));
    while !keys.is_empty() {
        let key = keys.swap_remove(rng.below(keys.len()));
        line.push_str(if rng.one_in(10) { "  " } else { " " });
        line.push_str(&key);
    }
    line
}

/// Something to write to `control` or to a session.
pub fn command(rng: &mut Rng, words: &Words) -> Vec<u8> {
    // Targets must not become more and more.
    let detaches = if words.names.len() > 12 { 14 } else { 4 };
    let line = if rng.below(20) < detaches {
        match rng.below(8) {
            0 => format!("detach {}", name(rng, words)),
            1 => (*rng.pick(&["detach", "detach ", "detach  x y", "DETACH x"])).to_owned(),
            _ if words.names.is_empty() => "detach nobody".into(),
            _ => format!("detach {}", rng.pick(&words.names)),
        }
    } else {
        attach(rng, words)
    };
    match rng.below(40) {
        0..28 => ended(rng, &line),
        28..36 => spoil(rng, &line),
        36 => {
            // Blanks up to the most that a line may have, or one more.
            let blanks = LONGEST + rng.below(2) - line.len().min(LONGEST);
            line.replacen(' ', &" ".repeat(blanks + 1), 1).into_bytes()
        }
        _ => nonsense(rng, &line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::setting::SETTINGS;
    use crate::fuzz::table::{Owner, Table};

    #[test]
    fn values_that_are_right_are_taken() {
        let mut rng = Rng::new(1);
        for round in 0..4000 {
            let rule = SETTINGS[round % SETTINGS.len()].rule;
            let kind = *rng.pick(&Kind::ALL);
            let value = valid(&mut rng, rule, kind);
            assert!(rule.judge(value.as_bytes(), kind).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn every_file_is_written_right_and_wrong() {
        let mut rng = Rng::new(2);
        for one in SETTINGS {
            let judged: Vec<bool> = (0..400)
                .map(|_| value(&mut rng, one.rule, Kind::Plain))
                .map(|bytes| one.rule.judge(&bytes, Kind::Plain).is_ok())
                .collect();
            let taken = judged.iter().filter(|&&taken| taken).count();
            assert!((100..350).contains(&taken), "{}: {taken}", one.path);
        }
    }

    #[test]
    fn every_order_is_obeyed_and_refused() {
        let mut rng = Rng::new(4);
        let refused = (0..400).map(|_| order(&mut rng, Order::Zap, 7));
        let mut met: Vec<_> = refused
            .filter_map(|bytes| Order::Zap.judge(&bytes, Kind::Plain, 7).err())
            .filter(|refusal| refusal.len() == 1)
            .flatten()
            .collect();
        met.sort_unstable_by_key(|&errno| errno as i32);
        met.dedup();
        use nix::errno::Errno;
        for errno in [Errno::EPERM, Errno::EFAULT, Errno::EINVAL, Errno::ERANGE] {
            assert!(met.contains(&errno), "{errno:?}");
        }
        let obeyed = (0..400)
            .map(|_| order(&mut rng, Order::Retry, 7))
            .filter(|bytes| Order::Retry.judge(bytes, Kind::Interval, 7).is_ok())
            .count();
        assert!((50..350).contains(&obeyed), "{obeyed}");
    }

    #[test]
    fn lines_attach_and_detach_and_meet_every_errno() {
        use nix::errno::Errno;
        let mut rng = Rng::new(3);
        let mut table = Table {
            pids: vec![100, 200],
            two_pass: false,
            ..Table::default()
        };
        let mut met = Vec::new();
        let mut taken = 0;
        for _ in 0..20_000 {
            let words = Words {
                live: table.pids.clone(),
                dead: vec![0, -1, 2],
                names: table
                    .entries
                    .iter()
                    .map(|entry| entry.name.clone())
                    .collect(),
            };
            let line = command(&mut rng, &words);
            match table.judge(&line, Owner::Control) {
                Ok(change) => {
                    taken += 1;
                    table.apply(change);
                }
                Err(refusal) if refusal.len() == 1 => met.extend(refusal),
                Err(_) => {}
            }
            assert!(table.entries.len() < 40);
        }
        assert!(taken > 4000, "{taken}");
        for errno in [
            Errno::E2BIG,
            Errno::EINVAL,
            Errno::ERANGE,
            Errno::ESRCH,
            Errno::EEXIST,
            Errno::ENOENT,
            Errno::ENAMETOOLONG,
            Errno::EOPNOTSUPP,
            Errno::EPERM,
        ] {
            assert!(met.contains(&errno), "{errno}");
        }
    }
}
