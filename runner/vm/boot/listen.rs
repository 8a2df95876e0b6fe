// SPDX-License-Identifier: GPL-2.0

//! Runs a guest and reads the results channel.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::vm::boot::machine::Machine;
// Part of the trait below.
pub use crate::vm::boot::machine::Pace;
use crate::vm::build::stage::Lines;
use crate::vm::host::cache;
use crate::vm::host::progress;

/// Time limit from the start of QEMU to the first line of a guest, without emulation.
pub const BOOT: Duration = Duration::from_secs(12);
/// Time limit for QEMU to exit after the last line of the guest.
const POWER_OFF: Duration = Duration::from_secs(10);

/// State of the exchange with one guest, updated with each line that the guest sends.
pub trait Conversation {
    /// Handles a line from the guest.
    fn line(&mut self, line: &str);

    /// Whether no more lines are expected.
    fn over(&self) -> bool;

    /// Time limit for the next line.
    fn patience(&self, pace: Pace) -> Duration;

    /// State of the guest, to be shown to the user.
    fn note(&self) -> Option<String>;
}

/// Reason why the results channel ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// QEMU exited, which closes the channel.
    Closed,
    /// The time limit for the next line expired.
    Deadline,
}

/// State of the results channel at its end.
pub struct ChannelEnd {
    /// Reason for an early end; `None` if the conversation is over.
    pub ending: Option<Ending>,
    /// Bytes after the last complete line.
    pub rest: Vec<u8>,
}

/// Runs a guest until the conversation is over, QEMU exits, or the time limit for the next line
/// expires. Everything that the guest sends is also written to
/// `log`, where there is one.
///
/// # Errors
///
/// QEMU cannot be started, the log cannot be written, or
/// [`Interrupted`](crate::vm::host::signals::Interrupted). QEMU is killed in each case.
pub fn listen(
    machine: &Machine<'_>,
    conversation: &mut impl Conversation,
    log: Option<&Path>,
    task: &progress::Task<'_>,
) -> Result<ChannelEnd> {
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
                // Only a complete line extends the deadline: a guest that sends bytes without a
                // line break must time out.
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
        // No later output can change the verdict, but the console log is complete only when QEMU
        // has exited.
        let deadline = Instant::now() + POWER_OFF;
        while guest
            .read(&mut buffer, Some(deadline))?
            .is_some_and(|n| n > 0)
        {}
    }
    Ok(ChannelEnd {
        ending,
        rest: lines.rest().to_vec(),
    })
}

/// Finds the first console line that contains `words`. Returns it from `words` on.
pub fn line_with<'a>(console: &'a str, words: &str) -> Option<&'a str> {
    console
        .lines()
        .find_map(|line| line.find(words).map(|at| line[at..].trim_end()))
}
