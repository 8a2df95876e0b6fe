// SPDX-License-Identifier: GPL-2.0

//! Generator of lines for `control` and for a session.

use crate::fuzz::edges::{EDGES, address, range};
use crate::fuzz::grammar;
use crate::fuzz::kind::{KINDS, PLAIN, is_interval, word};
use crate::fuzz::line::LONGEST;
use crate::fuzz::setting::SETTINGS;
use crate::fuzz::spoil::{ended, nonsense, spoil};
use crate::random::Rng;

/// Parts of which lines for `control` are made.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Pids of processes to which a target can be attached.
    pub live: Vec<i32>,
    /// Pids with which an attach fails.
    pub dead: Vec<i32>,
    /// Names of the present targets.
    pub names: Vec<String>,
}

/// Generates a name for a target: mostly a valid one.
fn name(rng: &mut Rng, words: &Words) -> String {
    const LETTERS: &[u8] = b"abcxyzABCXYZ0189_.-";
    let free = |rng: &mut Rng, length: usize| -> String {
        // A letter comes first: a name must not begin with a dot.
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

/// Values of `how`. Those that the module takes come more often.
const WAYS: &[&str] = &[
    "register",
    "register",
    "locked",
    "locked",
    "get",
    "get",
    "get",
    "unlocked",
    "recursive",
    "atomic",
    "twice",
    "",
    "Locked",
];

/// Settings that may stand behind `attach`, and some that may not.
const SET: &[&str] = &[
    "UNMAP=0",
    "MMU_NOTIFY_CLEAR=0",
    "error=0",
    "delay_us=7",
    "verbose=0",
    "callback=end",
    "times=x",
    "MMU_NOTIFY_CLEAR=9999999999",
    "remove=9",
    "lock=1",
    "times=1",
];

/// Words that may stand only once, or not at all.
const MORE: &[&str] = &[
    "kind=plain",
    "kind=",
    "kind=none",
    "range=all",
    "range=0-1",
    "name=twice",
    "events=UNMAPPED",
    "key",
    "=",
    "=x",
];

/// Settings after which the kernel does not complain when the process ends: no errors, no sleeps,
/// no stacks.
const KEYS: &[&str] = &[
    "events",
    "context",
    "task",
    "caller",
    "probability",
    "interval",
    "times",
    "space",
    "record",
];

/// Generates an `attach` line; it mostly has no faults.
fn attach(rng: &mut Rng, words: &Words) -> String {
    let kind = *rng.pick(&KINDS);
    let mut keys = Vec::new();
    if kind != PLAIN || rng.one_in(3) {
        keys.push(format!("kind={}", word(kind)));
    }
    // Interval notifiers need a range; one of twelve lines has none. For the other kinds it is a
    // filter.
    if is_interval(kind) != rng.one_in(12) {
        keys.push(format!("range={}", range(rng)));
    }
    if !rng.one_in(5) {
        keys.push(format!("name={}", name(rng, words)));
    }
    if rng.one_in(4) {
        keys.push(format!("how={}", rng.pick(WAYS)));
    }
    for _ in 0..rng.below(4) {
        let key = *rng.pick(KEYS);
        let one = SETTINGS.iter().find(|one| one.key() == key);
        keys.extend(one.map(|one| format!("{key}={}", grammar::valid(rng, one.rule, kind))));
    }
    if rng.one_in(4) {
        keys.push((*rng.pick(SET)).to_owned());
    }
    if rng.one_in(15) {
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

/// Generates the bytes of a write(2) to `control` or to a session.
pub fn command(rng: &mut Rng, words: &Words) -> Vec<u8> {
    // Detach more often when there are many targets, which bounds their number.
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
            // Pad with blanks up to the longest line that is allowed, or one byte more.
            let blanks = LONGEST + rng.below(2) - line.len().min(LONGEST);
            line.replacen(' ', &" ".repeat(blanks + 1), 1).into_bytes()
        }
        _ => nonsense(rng, &line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::entry::Owner;
    use crate::fuzz::table::Table;

    #[test]
    fn generated_lines_attach_detach_and_yield_every_errno() {
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
