// SPDX-License-Identifier: GPL-2.0

//! Model of the words of an `attach` or `detach` line, and their faults.

use nix::errno::Errno;

use crate::fuzz::line::{Refusal, number};

/// Longest name of a target, in bytes.
const LONGEST_NAME: usize = 64;

/// Errnos of all faults of a line, each once.
#[derive(Default)]
pub struct Faults(pub Refusal);

impl Faults {
    /// Adds an errno, unless it is there already.
    pub fn add(&mut self, errno: Errno) {
        if !self.0.contains(&errno) {
            self.0.push(errno);
        }
    }

    /// Returns the value, or [`None`] after adding the errnos.
    pub fn of<T>(&mut self, result: Result<T, Refusal>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(refusal) => {
                refusal.into_iter().for_each(|errno| self.add(errno));
                None
            }
        }
    }
}

/// Parses a pid, which need not belong to a process.
pub fn process_id(word: &str) -> Result<i32, Refusal> {
    number(word, i32::MIN.into(), i32::MAX.into()).map(|pid| pid as i32)
}

/// Adds the faults of a target's name.
pub fn check_name(name: &str, faults: &mut Faults) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
        faults.add(Errno::EINVAL);
    }
    if name.len() > LONGEST_NAME {
        faults.add(Errno::ENAMETOOLONG);
    }
}

/// Adds the fault of the value of `how`.
pub fn check_how(how: Option<&str>, faults: &mut Faults) {
    match how {
        None => {}
        Some(how) if LEGAL.contains(&how) => {}
        Some(how) if ILLEGAL.contains(&how) => faults.add(Errno::EPERM),
        Some(_) => faults.add(Errno::EINVAL),
    }
}

/// The `key=value` words of an `attach` line.
#[derive(Default)]
pub struct Keys<'a> {
    /// Name of the new target; its pid if not given.
    pub name: Option<&'a str>,
    /// Kind of its notifier; plain if not given.
    pub kind: Option<&'a str>,
    /// Range of an interval notifier.
    pub range: Option<&'a str>,
    /// Way in which the notifier is registered.
    pub how: Option<&'a str>,
    /// The other words, which are settings.
    pub settings: Vec<&'a str>,
}

/// Ways to register a notifier that the kernel allows.
const LEGAL: [&str; 2] = ["register", "locked"];
/// Ways to register a notifier that break the kernel's rules and need `breach=1`.
const ILLEGAL: [&str; 4] = ["unlocked", "recursive", "atomic", "twice"];

impl<'a> Keys<'a> {
    /// Parses `key=value` words. A repeated key is a fault.
    pub fn parse(words: impl Iterator<Item = &'a str>, faults: &mut Faults) -> Self {
        let mut keys = Keys::default();
        for word in words {
            let (slot, value) = match word.split_once('=') {
                Some(("name", value)) => (&mut keys.name, value),
                Some(("kind", value)) => (&mut keys.kind, value),
                Some(("range", value)) => (&mut keys.range, value),
                Some(("how", value)) => (&mut keys.how, value),
                _ => {
                    keys.settings.push(word);
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                faults.add(Errno::EINVAL);
            }
        }
        keys
    }
}
