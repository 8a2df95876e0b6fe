// SPDX-License-Identifier: GPL-2.0

//! What the kernel owes: a pure function of its promise and of what the module logged.

use crate::contract;
use crate::contract::Form;
use crate::model::{
    Call, Context, KernelMessage, Later, NotifierKind, Observation, ReaperMessage, Window,
};

use crate::oracle::message::{
    Callback, Caller, LEVEL_CRIT, LEVEL_ERR, LEVEL_INFO, LEVEL_WARNING, Message, What,
};
use crate::oracle::seen::Told;

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
    /// The callback it is about; none for a closing line of the OOM reaper without one.
    pub(super) place: Option<Place>,
    pub(super) message: Message<'a>,
}

/// Where a callback stands among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the module's log.
    pub(super) seq: u64,
    /// The thread that made it.
    pub(super) tid: i32,
}

impl Place {
    const fn of(call: &Call) -> Self {
        Place {
            seq: call.seq,
            tid: call.tid,
        }
    }

    const fn of_later(later: &Later) -> Self {
        Place {
            seq: later.seq,
            tid: later.tid,
        }
    }
}

/// The messages that are due for one call, in their order.
fn due<'a>(
    promise: Form,
    o: &'a Observation,
    call: &'a Call,
    sites: Sites<'a>,
    told: Told,
) -> impl Iterator<Item = Message<'a>> {
    let notifier = o
        .notifiers
        .get(call.notifier)
        .map(|notifier| notifier.notifier);
    // Before the first callback of the invalidation.
    let of_caller = if o.calls.first().is_some_and(|first| first.seq == call.seq) {
        contract::messages_of_caller(promise, &o.expectation)
    } else {
        &[]
    };
    let of_call = notifier
        .into_iter()
        .flat_map(move |notifier| contract::messages_of_call(promise, notifier, call));
    let complaints = of_caller.iter().copied().chain(of_call);
    let callback = Callback {
        is_paired: notifier.is_some_and(|notifier| notifier.kind == NotifierKind::PlainEnd),
        is_start: true,
    };
    complaints.map(move |complaint| message(complaint, call, callback, sites, told))
}

fn message<'a>(
    complaint: KernelMessage,
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
            KernelMessage::Info => What::Info {
                errno: call.returned,
                context: call.context,
                symbol,
            },
            KernelMessage::PrWarn => What::PrWarn { symbol },
            KernelMessage::CheckWarn => warn(sites.check),
            KernelMessage::EndWarn => warn(sites.end),
            KernelMessage::IntervalWarn => warn(sites.interval),
            symptom => What::Symptom(symptom),
        },
        level: level(complaint),
        task: told.callers.then_some(Caller::Task(call.tid)),
    }
}

/// The level of a complaint's first line.
const fn level(complaint: KernelMessage) -> u8 {
    match complaint {
        KernelMessage::Info => LEVEL_INFO,
        // printk(KERN_ERR) in schedule_debug() and __might_resched().
        KernelMessage::NonBlockSchedule
        | KernelMessage::AtomicSleep
        | KernelMessage::CallerSleep => LEVEL_ERR,
        KernelMessage::DeadBug => LEVEL_CRIT,
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
/// The OOM reaper's closing line is due behind the last callback that its thread made for that victim.
/// `reaper` is its thread, for a victim that it did not call for at all.
pub(super) fn dues<'a>(
    promise: Form,
    window: &'a Window,
    sites: Sites<'a>,
    told: Told,
    reaper: Option<Caller>,
) -> Vec<Due<'a>> {
    let last: Vec<Option<Place>> = window.observations.iter().map(last_of_reaper).collect();
    let thread = last
        .iter()
        .zip(&window.observations)
        .filter(|(_, o)| o.expectation.reaper.is_some())
        .find_map(|(place, _)| place.map(|place| Caller::Task(place.tid)))
        .or(reaper);

    let mut dues = Vec::new();
    for (observation, call) in calls(window) {
        let o = &window.observations[observation];
        dues.extend(due(promise, o, call, sites, told).map(|message| Due {
            observation,
            place: Some(Place::of(call)),
            message,
        }));
    }
    for (observation, o) in window.observations.iter().enumerate() {
        dues.extend(of_ends(promise, observation, o, told));
        if let Some(word) = o.expectation.reaper
            && let Some(place) = last[observation]
        {
            dues.push(closing(observation, o, word, Some(place), told, thread));
        }
    }
    dues.sort_by_key(|due| due.place.map(|place| place.seq));
    // lockdep reports once and is off then.
    let mut was_lockdep = false;
    dues.retain(|due| {
        !matches!(due.message.what, What::Symptom(notice) if notice.is_of_lockdep())
            || !std::mem::replace(&mut was_lockdep, true)
    });
    for (observation, o) in window.observations.iter().enumerate() {
        dues.extend(o.expectation.said.iter().map(|complaint| {
            Due {
                observation,
                place: None,
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
            && last[observation].is_none()
        {
            dues.push(closing(observation, o, word, None, told, thread));
        }
    }
    dues
}

/// The last callback that may be the OOM reaper's.
fn last_of_reaper(o: &Observation) -> Option<Place> {
    let is_its = |context: Context| context == Context::NonBlockable;
    let calls = o.calls.iter().filter(|call| is_its(call.context));
    let later = o.later.iter().filter(|later| is_its(later.context));
    let places = calls.map(Place::of).chain(later.map(Place::of_later));
    places.max_by_key(|place| place.seq)
}

/// What is due of what ends do.
fn of_ends<'a>(
    promise: Form,
    observation: usize,
    o: &'a Observation,
    told: Told,
) -> impl Iterator<Item = Due<'a>> {
    o.later.iter().flat_map(move |later| {
        let notifier = o
            .notifiers
            .get(later.notifier)
            .map(|notifier| notifier.notifier);
        let said = notifier.map_or(&[][..], |notifier| {
            contract::messages_of_end(promise, notifier, later)
        });
        said.iter().map(move |notice| Due {
            observation,
            place: Some(Place::of_later(later)),
            message: Message {
                what: What::Symptom(*notice),
                level: level(*notice),
                task: told.callers.then_some(Caller::Task(later.tid)),
            },
        })
    })
}

fn closing<'a>(
    observation: usize,
    o: &'a Observation,
    word: ReaperMessage,
    place: Option<Place>,
    told: Told,
    thread: Option<Caller>,
) -> Due<'a> {
    let thread = place.map(|place| Caller::Task(place.tid)).or(thread);
    Due {
        observation,
        place,
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
