// SPDX-License-Identifier: GPL-2.0

//! What the kernel owes: a pure function of its promise and of what the module logged.

use crate::contract::{self, Notice, Promise};
use crate::model::{Call, Context, NotifierKind, Observation, ReaperWord, Window};

use super::message::{
    Callback, Caller, LEVEL_CRIT, LEVEL_ERR, LEVEL_INFO, LEVEL_WARNING, Message, What,
};
use super::seen::Told;

/// Where the WARNs come from that are about failing callbacks, as `FILE:LINE` or as a symbol:
/// recognised from the whole run. Empty where none was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sites<'a> {
    /// The check of the errno and the context.
    pub(super) check: &'a str,
    /// That a notifier whose start failed has an end.
    pub(super) end: &'a str,
    /// That an interval notifier failed in blockable context.
    pub(super) interval: &'a str,
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
fn due<'a>(
    promise: Promise,
    o: &'a Observation,
    call: &'a Call,
    sites: Sites<'a>,
    told: Told,
) -> impl Iterator<Item = Message<'a>> {
    let role = o.notifiers.get(call.notifier).map(|notifier| notifier.role);
    // Before the first callback of the invalidation.
    let of_caller = if o.calls.first().is_some_and(|first| first.seq == call.seq) {
        contract::said_of_caller(promise, &o.expectation)
    } else {
        &[]
    };
    let of_call = role
        .into_iter()
        .flat_map(move |role| contract::said_of_call(promise, role, call));
    let complaints = of_caller.iter().copied().chain(of_call);
    let callback = Callback {
        is_paired: role.is_some_and(|role| role.kind == NotifierKind::PlainEnd),
        is_start: true,
    };
    complaints.map(move |complaint| message(complaint, call, callback, sites, told))
}

fn message<'a>(
    complaint: Notice,
    call: &'a Call,
    symbol: Callback,
    sites: Sites<'a>,
    told: Told,
) -> Message<'a> {
    let warn = |site| What::Warn {
        site,
        pid: call.tid,
        comm: told.comms.then_some(call.comm.as_str()),
    };
    Message {
        what: match complaint {
            Notice::Info => What::Info {
                errno: call.returned,
                context: call.context,
                symbol,
            },
            Notice::PrWarn => What::PrWarn { symbol },
            Notice::CheckWarn => warn(sites.check),
            Notice::EndWarn => warn(sites.end),
            Notice::IntervalWarn => warn(sites.interval),
            symptom => What::Symptom(symptom),
        },
        level: level(complaint),
        task: told.callers.then_some(Caller::Task(call.tid)),
    }
}

/// The level of a complaint's first line.
const fn level(complaint: Notice) -> u8 {
    match complaint {
        Notice::Info => LEVEL_INFO,
        // printk(KERN_ERR) in schedule_debug() and __might_resched().
        Notice::NonBlockSchedule | Notice::AtomicSleep | Notice::CallerSleep => LEVEL_ERR,
        Notice::DeadBug => LEVEL_CRIT,
        _ => LEVEL_WARNING,
    }
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
    sites: Sites<'a>,
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
    // lockdep reports once and is off then.
    let mut was_lockdep = false;
    for (observation, call) in calls(window) {
        let o = &window.observations[observation];
        for message in due(promise, o, call, sites, told) {
            if message.what == What::Symptom(Notice::Lockdep)
                && std::mem::replace(&mut was_lockdep, true)
            {
                continue;
            }
            dues.push(Due {
                observation,
                call: Some(call),
                message,
            });
        }
        if let Some(word) = o.expectation.reaper
            && last_calls[observation].is_some_and(|last| last.seq == call.seq)
        {
            dues.push(closing(observation, o, word, Some(call), told, thread));
        }
    }
    for (observation, o) in window.observations.iter().enumerate() {
        dues.extend(o.expectation.said.iter().map(|complaint| {
            Due {
                observation,
                call: None,
                message: Message {
                    what: What::Symptom(*complaint),
                    level: level(*complaint),
                    task: o
                        .actors
                        .first()
                        .map(|&tid| Caller::Task(tid))
                        .filter(|_| told.callers),
                },
            }
        }));
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
