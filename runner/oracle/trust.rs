// SPDX-License-Identifier: GPL-2.0

//! Whether the module can be believed.
//!
//! What is due follows from the module's log, so a module that logs something else than it does
//! would put its own fault on the kernel. It is caught where the kernel's lines contradict it, and
//! what else is known says that the kernel is right. A contradiction in one window is one for the
//! whole run: a log that is wrong once is no evidence anywhere.

use std::collections::HashSet;

use nix::libc::EAGAIN;

use crate::contract::Form;
use crate::model::{Context, Observation, ReaperMessage, Window};

use crate::oracle::message::{Caller, What};
use crate::oracle::seen::{Scan, Seen};

/// The largest errno: include/linux/err.h.
const MAX_ERRNO: i32 = 4095;

/// Why the module's word is not taken, one sentence each; `scanned` are the windows of which there
/// is no doubt.
pub(super) fn doubts<'a>(
    promise: Form,
    scanned: impl Iterator<Item = (&'a Window, &'a Scan<'a>)>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut silence = Silence::default();
    let mut errno = Errno {
        promise,
        named: None,
        acts_on_the_log: false,
    };
    for (window, scan) in scanned {
        silence.add(window, scan);
        errno.add(window, scan);
        doubts.extend(thread(window, scan));
        doubts.extend(context(window, scan));
    }
    doubts.extend(errno.doubt());
    doubts.extend(silence.doubt());
    // A module that is wrong once is wrong every time.
    let mut known = HashSet::new();
    doubts.retain(|(kind, _)| known.insert(*kind));
    doubts
        .into_iter()
        .map(|(_, text)| format!("the kernel contradicts the module: {text}"))
        .collect()
}

/// In what the module is contradicted, and a sentence.
type Doubt = (Subject, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Thread,
    Context,
    Errno,
    Failure,
}

/// The info lines about our callbacks: each with its errno and its context.
fn infos<'a>(scan: &'a Scan<'a>) -> impl Iterator<Item = (usize, &'a Seen<'a>, i32, Context)> {
    let ours = scan.ours.iter().enumerate();
    ours.filter_map(|(at, seen)| match seen.message.what {
        What::Info { errno, context, .. } => Some((at, seen, errno, context)),
        _ => None,
    })
}

/// The core prints an info line in the thread that called, and its number is printk's.
fn thread(window: &Window, scan: &Scan<'_>) -> Option<Doubt> {
    let calls = || window.observations.iter().flat_map(|o| &o.calls);
    let stranger = infos(scan).find_map(|(_, seen, ..)| match seen.message.task {
        Some(Caller::Task(tid)) if calls().all(|call| call.tid != tid) => Some((tid, seen)),
        _ => None,
    })?;
    let (tid, seen) = stranger;
    Some((
        Subject::Thread,
        format!(
            "thread {tid} had a callback fail (record {}), and there is no call of that thread in \
             the log",
            seen.record.seq
        ),
    ))
}

/// Callback and info line have the context from the same `struct mmu_notifier_range`. Where the
/// line has the one that the operation has, it is the log that is wrong.
fn context(window: &Window, scan: &Scan<'_>) -> Option<Doubt> {
    window.observations.iter().find_map(|o| {
        let is = |context: Context| context == o.expectation.context;
        let mut failed = o.calls.iter().filter(|call| call.returned != 0).peekable();
        failed.peek()?;
        // All of them: a kernel that is wrong in one place only is right in others.
        if failed.any(|call| is(call.context)) {
            return None;
        }
        let lines: Vec<Context> = infos(scan)
            .filter(|(_, seen, ..)| is_by_a_caller_of(o, seen))
            .map(|(_, _, _, context)| context)
            .collect();
        let agree = !lines.is_empty() && lines.into_iter().all(is);
        agree.then(|| {
            (
                Subject::Context,
                format!(
                    "{} is {}, so say the operation and the kernel's line, and the log has its \
                     calls in the other context",
                    o.scenario, o.expectation.context
                ),
            )
        })
    })
}

fn is_by_a_caller_of(o: &Observation, seen: &Seen<'_>) -> bool {
    match seen.message.task {
        Some(Caller::Task(tid)) => o.calls.iter().any(|call| call.tid == tid),
        Some(Caller::Other(_)) => false,
        None => true,
    }
}

/// The kernel's lines name an errno that no callback has returned, by the log.
struct Errno {
    promise: Form,
    /// The first of them.
    named: Option<String>,
    /// Whether the kernel acted on what the log has: then its line is wrong, and not the log.
    acts_on_the_log: bool,
}

impl Errno {
    fn add(&mut self, window: &Window, scan: &Scan<'_>) {
        let calls = || window.observations.iter().flat_map(|o| &o.calls);
        let returned: HashSet<i32> = calls()
            .map(|call| call.returned)
            .filter(|errno| *errno != 0)
            .collect();
        for (at, seen, errno, context) in infos(scan) {
            // Whatever is no errno comes from the line.
            if returned.contains(&errno) || !(-MAX_ERRNO..0).contains(&errno) {
                continue;
            }
            self.named.get_or_insert_with(|| {
                format!(
                    "a callback failed with {errno} (record {}), and by the log none has returned \
                     that",
                    seen.record.seq
                )
            });
            // Only there what the kernel does depends on the errno.
            let complains = complains_after(scan, at);
            let due = |errno: i32| errno != -EAGAIN;
            if self.promise == Form::Mainline
                && context == Context::NonBlockable
                && let Some(&logged) = returned.iter().next()
                && returned.iter().all(|other| due(*other) == due(logged))
                && due(logged) != due(errno)
            {
                self.acts_on_the_log |= complains == due(logged);
            }
        }
    }

    fn doubt(self) -> Option<Doubt> {
        let named = self.named.filter(|_| !self.acts_on_the_log)?;
        Some((Subject::Errno, named))
    }
}

/// Whether the task has a complaint between its info line and its next.
fn complains_after(scan: &Scan<'_>, info: usize) -> bool {
    let task = scan.ours[info].message.task;
    let same = scan.ours[info + 1..]
        .iter()
        .filter(|seen| seen.message.task == task);
    same.take_while(|seen| !matches!(seen.message.what, What::Info { .. }))
        .any(|seen| {
            matches!(
                seen.message.what,
                What::PrWarn { .. } | What::Warn { .. } | What::Malformed
            )
        })
}

/// Nothing but the module's word says that anything has failed.
#[derive(Default)]
struct Silence {
    /// Calls that failed, by the log.
    failed: u64,
    /// Whether the kernel has taken notice of any of them.
    is_noticed: bool,
    /// Whether there was a non-blockable one: that one stops the operation, whatever is printed.
    could_refuse: bool,
}

impl Silence {
    fn add(&mut self, window: &Window, scan: &Scan<'_>) {
        for o in &window.observations {
            for call in o.calls.iter().filter(|call| call.returned != 0) {
                // Nothing is said of an interval notifier that refuses where it may.
                if o.kind(call).is_some_and(|kind| !kind.is_interval()) {
                    self.failed += 1;
                }
                self.could_refuse |= call.context == Context::NonBlockable;
            }
            self.is_noticed |= o.outcome != 0;
        }
        // Under another name, too: a wrong symbol is the kernel's.
        let said = scan.ours.iter().chain(&scan.foreign);
        self.is_noticed |= said.into_iter().any(|seen| match seen.message.what {
            What::Info { .. } | What::PrWarn { .. } | What::Warn { .. } | What::Malformed => true,
            What::Reaper { word, .. } => word == ReaperMessage::UnableToReap,
            What::Symptom(_) => false,
        });
    }

    fn doubt(self) -> Option<Doubt> {
        let is_alone = self.failed > 0 && self.could_refuse && !self.is_noticed;
        is_alone.then(|| {
            (
                Subject::Failure,
                format!(
                    "by the log {} callbacks have failed, and the kernel neither said so of any \
                     nor was stopped by one",
                    self.failed
                ),
            )
        })
    }
}
