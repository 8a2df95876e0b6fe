// SPDX-License-Identifier: GPL-2.0

//! The messages that are due: a pure function of the form of the check and of the module's log.

use crate::contract;
use crate::model::{
    Call, Context, Form, KernelMessage, Later, Notifier, Observation, ReaperMessage, Window,
};
use crate::oracle::index::ObservationId;
use crate::oracle::message::{
    CallbackSymbol, Caller, Content, LEVEL_CRIT, LEVEL_ERR, LEVEL_INFO, LEVEL_WARNING, Message,
};
use crate::oracle::seen::LineFormat;

/// Places of the WARNs about failed callbacks, as `FILE:LINE` or as a symbol, recognised from the
/// whole run. Empty where none was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sites<'a> {
    /// The check of the errno and the context.
    pub(super) check: &'a str,
    /// The WARN about a notifier that has failed and has an end.
    pub(super) end: &'a str,
    /// The WARN about an interval notifier that has failed in blockable context.
    pub(super) interval: &'a str,
}

/// A message that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due<'a> {
    pub(super) observation: ObservationId,
    /// Log entry of the callback that the message is about; [`None`] where it is about none, and so
    /// has no place in the order.
    pub(super) entry: Option<LogEntry>,
    pub(super) message: Message<'a>,
}

/// A callback in the module's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    /// Number of the entry.
    pub(super) seq: u64,
    /// Thread that made the call.
    pub(super) tid: i32,
}

impl LogEntry {
    const fn of(call: &Call) -> Self {
        LogEntry {
            seq: call.seq,
            tid: call.tid,
        }
    }

    const fn of_later(later: &Later) -> Self {
        LogEntry {
            seq: later.seq,
            tid: later.tid,
        }
    }
}

/// The messages that are due about one call, in their order.
fn due<'a>(
    form: Form,
    o: &'a Observation,
    call: &'a Call,
    sites: Sites<'a>,
    format: LineFormat,
) -> impl Iterator<Item = Message<'a>> {
    let notifier = notifier(o, call.notifier);
    // Those about the caller come before the first callback of the invalidation.
    let about_caller = if o.calls.first().is_some_and(|first| first.seq == call.seq) {
        contract::messages_of_caller(form, &o.expectation)
    } else {
        &[]
    };
    let about_call = notifier
        .into_iter()
        .flat_map(move |notifier| contract::messages_of_call(form, notifier, call));
    let symbol = CallbackSymbol {
        is_paired: notifier.is_some_and(|notifier| notifier.kind.is_paired()),
        is_at_start: true,
    };
    let due = about_caller.iter().copied().chain(about_call);
    due.map(move |message| about(message, call, symbol, sites, format))
}

fn notifier(o: &Observation, index: usize) -> Option<Notifier> {
    o.notifiers.get(index).map(|attached| attached.notifier)
}

/// The kernel's message about that call.
fn about<'a>(
    message: KernelMessage,
    call: &'a Call,
    symbol: CallbackSymbol,
    sites: Sites<'a>,
    format: LineFormat,
) -> Message<'a> {
    let warn = |site| Content::Warn {
        site,
        pid: call.tid,
        comm: format.comms.then_some(call.comm.as_str()),
    };
    Message {
        content: match message {
            KernelMessage::Info => Content::Info {
                errno: call.returned,
                context: call.context,
                symbol,
            },
            KernelMessage::PrWarn => Content::PrWarn { symbol },
            KernelMessage::CheckWarn => warn(sites.check),
            KernelMessage::EndWarn => warn(sites.end),
            KernelMessage::IntervalWarn => warn(sites.interval),
            symptom => Content::Symptom(symptom),
        },
        level: level(message),
        task: format.callers.then_some(Caller::Task(call.tid)),
    }
}

/// The message of a general debugging check in that thread.
fn symptom(message: KernelMessage, thread: Option<i32>, format: LineFormat) -> Message<'static> {
    Message {
        content: Content::Symptom(message),
        level: level(message),
        task: thread.map(Caller::Task).filter(|_| format.callers),
    }
}

/// The level of a message's first line.
const fn level(message: KernelMessage) -> u8 {
    match message {
        KernelMessage::Info => LEVEL_INFO,
        // printk(KERN_ERR) in schedule_debug() and __might_resched().
        KernelMessage::NonBlockSchedule
        | KernelMessage::AtomicSleep
        | KernelMessage::CallerSleep => LEVEL_ERR,
        KernelMessage::DeadBug => LEVEL_CRIT,
        _ => LEVEL_WARNING,
    }
}

/// All calls of a window in the order of the module's log.
pub(super) fn calls(window: &Window) -> Vec<(ObservationId, &Call)> {
    let mut calls: Vec<(ObservationId, &Call)> = observations(window)
        .flat_map(|(id, o)| o.calls.iter().map(move |call| (id, call)))
        .collect();
    calls.sort_by_key(|(_, call)| call.seq);
    calls
}

fn observations(window: &Window) -> impl Iterator<Item = (ObservationId, &Observation)> {
    let observations = window.observations.iter().enumerate();
    observations.map(|(index, o)| (ObservationId(index), o))
}

/// All messages that are due in a window: in the order of the module's log, and behind those the
/// ones without a log entry.
///
/// The OOM reaper's closing line is due behind the last callback that the reaper made for that
/// victim. `reaper` is the reaper's thread, for a window in which it made no callback.
pub(super) fn dues<'a>(
    form: Form,
    window: &'a Window,
    sites: Sites<'a>,
    format: LineFormat,
    reaper: Option<Caller>,
) -> Vec<Due<'a>> {
    let last: Vec<Option<LogEntry>> = window.observations.iter().map(last_of_reaper).collect();
    let thread = last
        .iter()
        .zip(&window.observations)
        .filter(|(_, o)| o.expectation.reaper.is_some())
        .find_map(|(entry, _)| entry.map(|entry| Caller::Task(entry.tid)))
        .or(reaper);

    let mut dues = Vec::new();
    for (observation, call) in calls(window) {
        let o = &window.observations[observation.0];
        dues.extend(due(form, o, call, sites, format).map(|message| Due {
            observation,
            entry: Some(LogEntry::of(call)),
            message,
        }));
    }
    for ((observation, o), last) in observations(window).zip(&last) {
        dues.extend(of_ends(form, observation, o, format));
        if let Some(word) = o.expectation.reaper
            && last.is_some()
        {
            dues.push(closing(observation, o, word, *last, format, thread));
        }
    }
    dues.sort_by_key(|due| due.entry.map(|entry| entry.seq));
    // lockdep prints one report and is off afterwards.
    let mut has_report = false;
    dues.retain(|due| {
        !matches!(due.message.content, Content::Symptom(message) if message.is_of_lockdep())
            || !std::mem::replace(&mut has_report, true)
    });
    for ((observation, o), last) in observations(window).zip(&last) {
        let thread_of_actor = o.actors.first().copied();
        dues.extend(o.expectation.said.iter().map(|message| Due {
            observation,
            entry: None,
            message: symptom(*message, thread_of_actor, format),
        }));
        if let Some(word) = o.expectation.reaper
            && last.is_none()
        {
            dues.push(closing(observation, o, word, None, format, thread));
        }
    }
    dues
}

/// The last callback that the OOM reaper can have made.
fn last_of_reaper(o: &Observation) -> Option<LogEntry> {
    let is_reapers = |context: Context| context == Context::NonBlockable;
    let calls = o.calls.iter().filter(|call| is_reapers(call.context));
    let later = o.later.iter();
    let later = later.filter(|later| later.op.is_end() && is_reapers(later.context));
    let entries = calls.map(LogEntry::of).chain(later.map(LogEntry::of_later));
    entries.max_by_key(|entry| entry.seq)
}

/// The messages that are due about ends and second passes.
fn of_ends<'a>(
    form: Form,
    observation: ObservationId,
    o: &'a Observation,
    format: LineFormat,
) -> impl Iterator<Item = Due<'a>> {
    o.later.iter().flat_map(move |later| {
        let messages = notifier(o, later.notifier).map_or(&[][..], |notifier| {
            contract::messages_of_end(form, notifier, later)
        });
        messages.iter().map(move |message| Due {
            observation,
            entry: Some(LogEntry::of_later(later)),
            message: symptom(*message, Some(later.tid), format),
        })
    })
}

/// The OOM reaper's closing line about the victim of an observation.
fn closing<'a>(
    observation: ObservationId,
    o: &'a Observation,
    word: ReaperMessage,
    entry: Option<LogEntry>,
    format: LineFormat,
    thread: Option<Caller>,
) -> Due<'a> {
    let thread = entry.map(|entry| Caller::Task(entry.tid)).or(thread);
    Due {
        observation,
        entry,
        message: Message {
            content: Content::Reaper {
                word,
                pid: o.pid,
                comm: &o.comm,
            },
            level: LEVEL_INFO,
            task: thread.filter(|_| format.callers),
        },
    }
}
