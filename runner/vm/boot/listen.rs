// SPDX-License-Identifier: GPL-2.0

//! Runs a guest and listens to it, whatever it has to say.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::vm::boot::qemu::Machine;
use crate::vm::build::stage::Lines;
use crate::vm::host::cache;
use crate::vm::host::progress;

/// How long QEMU may take to end after the guest said its last word.
const POWER_OFF: Duration = Duration::from_secs(10);

/// What a guest says, as far as it has said it.
pub trait Conversation {
    /// Takes one line.
    fn line(&mut self, line: &str);

    /// Whether nothing more is to be expected.
    fn over(&self) -> bool;

    /// How long to wait for the next line.
    fn patience(&self, pace: Pace) -> Duration;

    /// Where the guest is, for a person.
    fn note(&self) -> Option<String>;
}

/// How many times slower than a real machine with the `core` configuration a guest is, at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// By how its instructions are carried out.
    pub accelerator: u32,
    /// By how many more of them there are.
    pub config: u32,
}

impl Pace {
    /// Both together.
    pub const fn all(self) -> u32 {
        self.accelerator * self.config
    }
}

/// Why the host stopped to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The channel was closed: QEMU has ended.
    Closed,
    /// A deadline passed.
    Deadline,
}

/// How it ended.
pub struct Heard {
    /// Why nothing more was listened to; `None` where all was said.
    pub ending: Option<Ending>,
    /// What came after the last whole line.
    pub rest: Vec<u8>,
}

/// Runs the guest and listens to it, to its end or its deadline. What it sends goes to the log as
/// it is, where there is one.
pub fn listen(
    machine: &Machine<'_>,
    conversation: &mut impl Conversation,
    log: Option<&Path>,
    task: &progress::Task<'_>,
) -> Result<Heard> {
    let mut log = match log {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|e| cache::explain(e, "cannot write", path))?;
            Some((path, file))
        }
    };
    let pace = machine.pace();
    let mut lines = Lines::default();
    let mut guest = machine.start()?;
    let mut buffer = vec![0; 64 * 1024];
    let mut deadline = Instant::now() + conversation.patience(pace);
    let ending = loop {
        match guest.read(&mut buffer, Some(deadline))? {
            None => break Some(Ending::Deadline),
            Some(0) => break Some(Ending::Closed),
            Some(n) => {
                if let Some((path, file)) = &mut log {
                    file.write_all(&buffer[..n])
                        .map_err(|e| cache::explain(e, "cannot write", path))?;
                }
                let mut new_line = false;
                lines.feed(&buffer[..n], |line| {
                    new_line = true;
                    conversation.line(line);
                });
                // Only a whole line is a sign of life: half of one can be repeated for ever.
                if new_line {
                    deadline = Instant::now() + conversation.patience(pace);
                    if let Some(note) = conversation.note() {
                        task.note(&note);
                    }
                }
            }
        }
        if conversation.over() {
            break None;
        }
    };
    if ending.is_none() {
        guest.acknowledge();
        // Nothing that comes now changes the verdict, but the console's log gets its end.
        let deadline = Instant::now() + POWER_OFF;
        while guest
            .read(&mut buffer, Some(deadline))?
            .is_some_and(|n| n > 0)
        {}
    }
    Ok(Heard {
        ending,
        rest: lines.rest().to_vec(),
    })
}

/// The first line of the console that contains the words, from them on.
pub fn line_with<'a>(console: &'a str, words: &str) -> Option<&'a str> {
    console
        .lines()
        .find_map(|line| line.find(words).map(|at| line[at..].trim_end()))
}
