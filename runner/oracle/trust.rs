// SPDX-License-Identifier: GPL-2.0

//! Checks of the module's log against the kernel's lines.
//!
//! The messages that are due follow from the module's log, so a wrong log would make a correct
//! kernel fail. The log is in doubt where the kernel's lines contradict it and the remaining
//! evidence agrees with the kernel. One contradiction puts the whole run in doubt: a log that is
//! wrong once is no evidence anywhere.

use std::collections::HashSet;

use nix::libc::EAGAIN;

use crate::model::{Context, Form, Observation, ReaperMessage, Window};
use crate::oracle::message::{Caller, Content};
use crate::oracle::seen::{Scan, Seen};

/// The largest errno: include/linux/err.h.
const MAX_ERRNO: i32 = 4095;

/// Reasons why the module's log is in doubt, one sentence each. `scanned` are the windows whose own
/// evidence is not in doubt.
pub(super) fn doubts<'a>(
    form: Form,
    scanned: impl Iterator<Item = (&'a Window, &'a Scan<'a>)>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut silence = Silence::default();
    let mut errno = UnloggedErrno {
        form,
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
    // A wrong module is wrong every time: the first contradiction of each kind is enough.
    let mut known = HashSet::new();
    doubts.retain(|(kind, _)| known.insert(*kind));
    doubts
        .into_iter()
        .map(|(_, text)| format!("the kernel contradicts the module: {text}"))
        .collect()
}

/// A contradiction, and a sentence about it.
type Doubt = (Contradiction, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Contradiction {
    Thread,
    Context,
    Errno,
    Failure,
}

/// The info lines about the module's callbacks: index, message, errno and context.
fn infos<'a>(scan: &'a Scan<'a>) -> impl Iterator<Item = (usize, &'a Seen<'a>, i32, Context)> {
    let ours = scan.ours.iter().enumerate();
    ours.filter_map(|(at, seen)| match seen.message.content {
        Content::Info { errno, context, .. } => Some((at, seen, errno, context)),
        _ => None,
    })
}

/// An info line of a thread that is not in the log. The kernel prints the line in the thread that
/// makes the call, and printk adds the thread's number.
fn thread(window: &Window, scan: &Scan<'_>) -> Option<Doubt> {
    let calls = || window.observations.iter().flat_map(|o| &o.calls);
    let unknown = infos(scan).find_map(|(_, seen, ..)| match seen.message.task {
        Some(Caller::Task(tid)) if calls().all(|call| call.tid != tid) => Some((tid, seen)),
        _ => None,
    })?;
    let (tid, seen) = unknown;
    Some((
        Contradiction::Thread,
        format!(
            "thread {tid} had a callback fail (record {}), and there is no call of that thread in \
             the log",
            seen.record.seq
        ),
    ))
}

/// A scenario whose calls are logged in the wrong context. Callback and info line take the context
/// from the same `struct mmu_notifier_range`: if the line has the context of the operation, the log
/// is wrong.
fn context(window: &Window, scan: &Scan<'_>) -> Option<Doubt> {
    window.observations.iter().find_map(|o| {
        let is = |context: Context| context == o.expectation.context;
        let mut failed = o.calls.iter().filter(|call| call.returned != 0).peekable();
        failed.peek()?;
        // All calls must have the wrong context: a kernel that is wrong in one place is right in
        // others.
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
                Contradiction::Context,
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

/// Info lines with an errno that no callback has returned by the log.
struct UnloggedErrno {
    form: Form,
    /// Sentence about the first of them.
    named: Option<String>,
    /// Whether the kernel acted on the errno of the log: then its line is wrong, and not the log.
    acts_on_the_log: bool,
}

impl UnloggedErrno {
    fn add(&mut self, window: &Window, scan: &Scan<'_>) {
        let calls = || window.observations.iter().flat_map(|o| &o.calls);
        let returned: HashSet<i32> = calls()
            .map(|call| call.returned)
            .filter(|errno| *errno != 0)
            .collect();
        for (at, seen, errno, context) in infos(scan) {
            // A number that is no errno cannot come from the callback, so the line is wrong.
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
            // In no other case do the kernel's complaints depend on the errno.
            let complains = complains_after(scan, at);
            let due = |errno: i32| errno != -EAGAIN;
            if self.form == Form::Mainline
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
        Some((Contradiction::Errno, named))
    }
}

/// Whether the task has a complaint between that info line and its next one.
fn complains_after(scan: &Scan<'_>, info: usize) -> bool {
    let task = scan.ours[info].message.task;
    let same = scan.ours[info + 1..]
        .iter()
        .filter(|seen| seen.message.task == task);
    same.take_while(|seen| !matches!(seen.message.content, Content::Info { .. }))
        .any(|seen| {
            matches!(
                seen.message.content,
                Content::PrWarn { .. } | Content::Warn { .. } | Content::Malformed
            )
        })
}

/// Failures that are in the module's log and nowhere else.
#[derive(Default)]
struct Silence {
    /// Calls that failed, by the log.
    failed: u64,
    /// Whether the kernel printed a line about any of them or stopped the operation.
    is_noticed: bool,
    /// Whether there was one in non-blockable context, which stops the operation whatever is
    /// printed.
    could_refuse: bool,
}

impl Silence {
    fn add(&mut self, window: &Window, scan: &Scan<'_>) {
        for o in &window.observations {
            for call in o.calls.iter().filter(|call| call.returned != 0) {
                // The kernel prints nothing about an interval notifier that refuses where it may.
                if o.kind(call).is_some_and(|kind| !kind.is_interval()) {
                    self.failed += 1;
                }
                self.could_refuse |= call.context == Context::NonBlockable;
            }
            self.is_noticed |= o.outcome != 0;
        }
        // Lines with another symbol count, too: the symbol comes from the kernel.
        let lines = scan.ours.iter().chain(&scan.foreign);
        self.is_noticed |= lines.into_iter().any(|seen| match seen.message.content {
            Content::Info { .. }
            | Content::PrWarn { .. }
            | Content::Warn { .. }
            | Content::Malformed => true,
            Content::Reaper { word, .. } => word == ReaperMessage::UnableToReap,
            Content::Symptom(_) => false,
        });
    }

    fn doubt(self) -> Option<Doubt> {
        let is_alone = self.failed > 0 && self.could_refuse && !self.is_noticed;
        is_alone.then(|| {
            (
                Contradiction::Failure,
                format!(
                    "by the log {} callbacks have failed, and the kernel neither said so of any \
                     nor was stopped by one",
                    self.failed
                ),
            )
        })
    }
}
