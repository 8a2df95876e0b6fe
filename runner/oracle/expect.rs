// SPDX-License-Identifier: GPL-2.0

//! What the kernel owes: a pure function of its promise and of what the module logged.

use nix::libc::EAGAIN;

use crate::model::{Call, Context, Observation, ReaperWord, Window};

use super::message::{Caller, LEVEL_INFO, LEVEL_WARNING, Message, What};
use super::seen::Told;

/// The rule a kernel is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Info line, and a pr_warn in blockable context.
    Seed,
    /// Info line, and a WARN unless the failure is `-EAGAIN` in non-blockable context.
    Mainline,
}

impl Promise {
    /// Whether the kernel complains about this call.
    pub fn complains(self, call: &Call) -> bool {
        let blockable = call.context == Context::Blockable;
        call.returned != 0
            && match self {
                Promise::Seed => blockable,
                Promise::Mainline => blockable || call.returned != -EAGAIN,
            }
    }
}

/// A message that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due<'a> {
    /// Index of the observation it is due in.
    pub(super) observation: usize,
    /// The call it is about; none for a closing line of the OOM reaper without a call.
    pub(super) call: Option<&'a Call>,
    pub(super) message: Message<'a>,
}

/// The messages that are due for one call, in their order.
pub(super) fn due<'a>(
    promise: Promise,
    call: &'a Call,
    site: &'a str,
    told: Told,
) -> impl Iterator<Item = Message<'a>> {
    let task = told.callers.then_some(Caller::Task(call.tid));
    let info = (call.returned != 0).then_some(Message {
        what: What::Info {
            errno: call.returned,
            context: call.context,
            at_start: true,
        },
        level: LEVEL_INFO,
        task,
    });
    let complaint = promise.complains(call).then(|| Message {
        what: match promise {
            Promise::Seed => What::PrWarn { at_start: true },
            Promise::Mainline => What::Warn {
                site,
                pid: call.tid,
                comm: told.comms.then_some(call.comm.as_str()),
            },
        },
        level: LEVEL_WARNING,
        task,
    });
    info.into_iter().chain(complaint)
}

/// All calls of a window in the module's order, each with the index of its observation.
pub(super) fn calls(window: &Window) -> Vec<(usize, &Call)> {
    let mut calls: Vec<(usize, &Call)> = window
        .observations
        .iter()
        .enumerate()
        .flat_map(|(index, o)| o.calls.iter().map(move |call| (index, call)))
        .collect();
    calls.sort_by_key(|(_, call)| call.seq);
    calls
}

/// All messages that are due in a window, in the module's order.
///
/// The OOM reaper's closing line is due behind the last call that its thread made for that victim.
/// `reaper` is its thread, for a victim that it did not call for at all.
pub(super) fn dues<'a>(
    promise: Promise,
    window: &'a Window,
    site: &'a str,
    told: Told,
    reaper: Option<Caller>,
) -> Vec<Due<'a>> {
    let last_calls: Vec<Option<&Call>> = window
        .observations
        .iter()
        .map(|o| {
            o.calls
                .iter()
                .rfind(|call| call.context == Context::NonBlockable)
        })
        .collect();
    let thread = last_calls
        .iter()
        .zip(&window.observations)
        .filter(|(_, o)| o.expectation.reaper.is_some())
        .find_map(|(call, _)| call.map(|call| Caller::Task(call.tid)))
        .or(reaper);

    let mut dues = Vec::new();
    for (observation, call) in calls(window) {
        for message in due(promise, call, site, told) {
            dues.push(Due {
                observation,
                call: Some(call),
                message,
            });
        }
        let o = &window.observations[observation];
        if let Some(word) = o.expectation.reaper
            && last_calls[observation].is_some_and(|last| last.seq == call.seq)
        {
            dues.push(closing(observation, o, word, Some(call), told, thread));
        }
    }
    for (observation, o) in window.observations.iter().enumerate() {
        if let Some(word) = o.expectation.reaper
            && last_calls[observation].is_none()
        {
            dues.push(closing(observation, o, word, None, told, thread));
        }
    }
    dues
}

fn closing<'a>(
    observation: usize,
    o: &'a Observation,
    word: ReaperWord,
    call: Option<&'a Call>,
    told: Told,
    thread: Option<Caller>,
) -> Due<'a> {
    let thread = call.map(|call| Caller::Task(call.tid)).or(thread);
    Due {
        observation,
        call,
        message: Message {
            what: What::Reaper {
                word,
                pid: o.pid,
                comm: &o.comm,
            },
            level: LEVEL_INFO,
            task: thread.filter(|_| told.callers),
        },
    }
}
