// SPDX-License-Identifier: GPL-2.0

//! Generator of the bytes written: valid values, values at the limits, nearly valid values, and
//! nonsense. It does not decide which of them are valid; the model of the interface does.

use mn_inject::model::NotifierEvent;

use crate::fuzz::edges::{EDGES, address, range};
use crate::fuzz::kind::{Kind, has_ends, has_release, is_interval};
use crate::fuzz::line::LONGEST;
use crate::fuzz::order::Order;
use crate::fuzz::setting::{CALLER_MAX, PREFIX, Rule, SETTINGS, settings_line};
use crate::fuzz::spoil::{ended, nonsense, spoil};
use crate::random::Rng;

fn events(rng: &mut Rng) -> String {
    let mut left = NotifierEvent::ALL.to_vec();
    let mut names = Vec::new();
    for _ in 0..=rng.below(left.len()) {
        let event = left.swap_remove(rng.below(left.len()));
        let prefix = if rng.one_in(2) { PREFIX } else { "" };
        names.push(format!("{prefix}{event}"));
    }
    names.join(",")
}

fn comm(rng: &mut Rng, length: usize) -> String {
    (0..length)
        .map(|_| char::from(b'!' + rng.below(usize::from(b'~' - b'!') + 1) as u8))
        .collect()
}

/// Generates a name of a symbol, mostly one that does not exist.
fn symbol(rng: &mut Rng, length: usize) -> String {
    const BYTES: &[u8] = b"abcxyzABCXYZ0189__..$";
    (0..length).map(|_| char::from(*rng.pick(BYTES))).collect()
}

/// Generates a value that the file accepts.
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
        Rule::Caller => match rng.below(5) {
            0 => "all".into(),
            1 => (*rng.pick(&["copy_page_range", "dup_mmap", "unmap_vmas"])).into(),
            _ => {
                let length = 1 + rng.below(40);
                symbol(rng, length)
            }
        },
        Rule::Number(min, max) => rng.number(min, max).to_string(),
        Rule::Error if is_interval(kind) => (*rng.pick(&["0", "-11"])).to_owned(),
        Rule::Error => rng.number(-4095, 0).to_string(),
        Rule::Callback => match rng.below(3) {
            0 if has_ends(kind) => "end".into(),
            1 if has_release(kind) => "release".into(),
            _ => "start".into(),
        },
        Rule::Breach(_) => "0".into(),
    }
}

/// Generates a value at the limits of the valid ones, on either side.
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
        Rule::Caller => match rng.below(3) {
            0 => {
                let length = *rng.pick(&[0, 1, CALLER_MAX - 1, CALLER_MAX, CALLER_MAX + 1, 600]);
                symbol(rng, length)
            }
            1 => {
                let length = 1 + rng.below(8);
                let other = *rng.pick(&["+0x1", "-", ",", "=", " ", ":", "\u{e9}", "\\"]);
                format!("{}{other}{}", symbol(rng, length), symbol(rng, length))
            }
            _ => (*rng.pick(&["ALL", "all.", "al", "all,all", "tid=1"])).into(),
        },
        Rule::Number(min, max) if rng.one_in(20) => {
            // Leading zeros, up to the longest line that is allowed.
            let digits = *rng.pick(&[20, 40, LONGEST - 1, LONGEST]);
            format!("{:0>digits$}", rng.number(min.max(0), max))
        }
        Rule::Number(min, max) => around(rng, min, max),
        Rule::Error => around(rng, -4095, 0),
        Rule::Callback => edge(rng, Rule::Word(&["start", "end", "release"])),
        Rule::Breach(max) => around(rng, 0, max),
    }
}

/// Generates the bytes of a write(2) to a setting of a target of the given kind.
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

/// Generates the bytes of a write(2) to `settings` of a target of the given kind, whose files have
/// the contents `values`.
pub fn settings(rng: &mut Rng, kind: Kind, values: &[String]) -> Vec<u8> {
    if rng.one_in(10) {
        // What was read is written back.
        return settings_line(values).into_bytes();
    }
    let mut words = Vec::new();
    // One line in three has a fault, so that those without are not rare.
    let fault = rng.one_in(3);
    for _ in 0..=rng.below(5) {
        let one = rng.pick(&SETTINGS);
        let key = match rng.below(3) {
            0 => one.key().trim_start_matches(PREFIX),
            _ => one.key(),
        };
        let value = match (fault, rng.below(3)) {
            (true, 0) => edge(rng, one.rule),
            _ => valid(rng, one.rule, kind),
        };
        words.push(format!("{key}={value}"));
    }
    if rng.one_in(8) {
        words.push(format!("error={}", valid(rng, Rule::Error, kind)));
    }
    if fault && rng.one_in(2) {
        const MORE: &[&str] = &[
            "",
            "=",
            "x",
            "=1",
            "x=1",
            "times",
            "times=",
            "TIMES=1",
            "name=x",
            "kind=plain",
            "settings=x",
            "UNMAPPED=0",
            "MMU_NOTIFY_=0",
            "remove=1",
            "errors=0",
        ];
        words.push((*rng.pick(MORE)).to_owned());
    }
    let blank = if rng.one_in(10) { "  " } else { " " };
    let line = words.join(blank);
    match rng.below(20) {
        0..16 => ended(rng, &line),
        16..19 => spoil(rng, &line),
        _ => nonsense(rng, &line),
    }
}

/// Generates the bytes of a write(2) to a file that takes orders. `seq` is the number that
/// `read_begin` shows.
pub fn order(rng: &mut Rng, order: Order, seq: u64) -> Vec<u8> {
    let text = match order {
        Order::Begin => match rng.below(4) {
            0..3 => "begin".into(),
            _ => (*rng.pick(&["", "Begin", "begin ", "begin begin", "end", "1"])).into(),
        },
        Order::Retry => match rng.below(6) {
            0 | 1 => seq.to_string(),
            2 => format!("0{seq}"),
            3 => seq.wrapping_add(rng.below(5) as u64).to_string(),
            4 => (rng.bits() >> rng.below(64)).to_string(),
            _ => (*rng.pick(EDGES)).to_owned(),
        },
        Order::Copy => (*rng.pick(&["copy", "copy", "", "copy copy", "none"])).into(),
        Order::Zap => {
            let range = match rng.below(4) {
                0 => range(rng),
                1 => format!("{}-{}", address(rng), address(rng)),
                // Below `mmap_min_addr`, where nothing is mapped.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::kind::{INTERVAL, KINDS, PLAIN};
    use crate::fuzz::setting::{defaults, judge_settings};

    #[test]
    fn valid_values_are_accepted() {
        let mut rng = Rng::new(1);
        for round in 0..4000 {
            let rule = SETTINGS[round % SETTINGS.len()].rule;
            let kind = *rng.pick(&KINDS);
            let value = valid(&mut rng, rule, kind);
            assert!(rule.judge(value.as_bytes(), kind).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn every_file_gets_valid_and_invalid_values() {
        let mut rng = Rng::new(2);
        for one in SETTINGS {
            let judged: Vec<bool> = (0..400)
                .map(|_| value(&mut rng, one.rule, PLAIN))
                .map(|bytes| one.rule.judge(&bytes, PLAIN).is_ok())
                .collect();
            let taken = judged.iter().filter(|&&taken| taken).count();
            assert!((100..350).contains(&taken), "{}: {taken}", one.path);
        }
    }

    #[test]
    fn lines_of_settings_are_valid_and_invalid() {
        let mut rng = Rng::new(5);
        let values = defaults();
        let judged: Vec<_> = (0..2000)
            .map(|_| settings(&mut rng, PLAIN, &values))
            .map(|bytes| judge_settings(&bytes, PLAIN))
            .collect();
        let taken = judged.iter().filter(|one| one.is_ok()).count();
        assert!((600..1600).contains(&taken), "{taken}");
        let several = judged.iter().flatten().filter(|values| values.len() > 1);
        assert!(several.count() > 300);
    }

    #[test]
    fn reads_succeed_and_zaps_yield_every_errno() {
        let mut rng = Rng::new(4);
        let zaps = (0..400).map(|_| order(&mut rng, Order::Zap, 7));
        let mut met: Vec<_> = zaps
            .filter_map(|bytes| Order::Zap.judge(&bytes, PLAIN, 7).err())
            .filter(|refusal| refusal.len() == 1)
            .flatten()
            .collect();
        met.sort_unstable_by_key(|&errno| errno as i32);
        met.dedup();
        use nix::errno::Errno;
        for errno in [Errno::EPERM, Errno::EFAULT, Errno::EINVAL, Errno::ERANGE] {
            assert!(met.contains(&errno), "{errno:?}");
        }
        for one in [Order::Begin, Order::Retry] {
            let succeeded = (0..400)
                .map(|_| order(&mut rng, one, 7))
                .filter(|bytes| one.judge(bytes, INTERVAL, 7).is_ok())
                .count();
            assert!((50..350).contains(&succeeded), "{one:?}: {succeeded}");
        }
    }
}
