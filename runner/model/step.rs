// SPDX-License-Identifier: GPL-2.0

//! The steps of a scripted scenario, as they are recorded: each with its action and with its raw
//! result. The result that is due is in [`crate::contract::steps`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Context, FollowUp, NotifierEvent, NotifierKind};

/// One step of a scenario that has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The action.
    pub kind: StepKind,
    /// Its result.
    pub seen: Seen,
}

/// The action of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepKind {
    /// `mmu_interval_read_begin()`.
    ReadBegin,
    /// A second `mmu_interval_read_begin()` of the same notifier, after an invalidation of its
    /// addresses.
    NextReadBegin,
    /// `mmu_interval_read_begin()` while a callback of an invalidation of its addresses sleeps.
    ReadBeginInInvalidation,
    /// `mmu_interval_read_retry()`.
    ReadRetry {
        /// The event since `mmu_interval_read_begin()`.
        after: Between,
    },
    /// An invalidation of the adjacent addresses while a callback sleeps.
    InvalidateBeside,
    /// A registration in that way.
    Register(Registration),
    /// The registration of an interval notifier before an invalidation.
    RegisterBefore,
    /// The registration of a notifier while a callback of an invalidation sleeps.
    RegisterInInvalidation,
    /// The time at which a registration that was begun while a callback slept returned.
    ReturnOfRegistration,
    /// The starts and ends of the notifier that was registered.
    CallsOfRegistered,
    /// The removal of a notifier that has just been registered.
    Remove,
    /// The return value of the removal of an interval notifier that was begun while a callback of
    /// an invalidation slept.
    RemoveInInvalidation,
    /// The time at which that removal returned.
    ReturnOfRemoval,
    /// The removal of an interval notifier after the invalidation in which it was registered.
    RemoveAfter,
    /// The removal of a plain notifier whose process exits meanwhile.
    RemoveAtExit,
    /// A look at the pages that an invalidation zaps, while a start of it sleeps.
    PagesInStart,
    /// A look at the pages that an invalidation zaps, while an end of it runs.
    PagesInEnd,
    /// `process_mrelease(2)` of a process one of whose notifiers returns `-EAGAIN`.
    Mrelease,
    /// A look at the pages after that.
    PagesLeft,
    /// `munmap(2)` in which a callback removes its own notifier.
    MunmapWithRemoval,
    /// The exit of the process.
    Exit {
        /// Index of the notifier whose callbacks are recorded.
        notifier: usize,
    },
    /// The removal of all notifiers at the end.
    Removals,
    /// Pages are made old.
    Aging,
    /// khugepaged looks at pages that it may collapse, before it announces that it does.
    AskedBeforeStart,
    /// It looks at them once more afterwards.
    AskedAfterStart,
    /// A look at the pages beside those that were to be write-protected.
    ProtectedBeside,
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StepKind::ReadBegin => "the number of a read side is",
            StepKind::NextReadBegin => "the second read side begins with",
            StepKind::ReadBeginInInvalidation => "a read side that begins in an invalidation",
            StepKind::ReadRetry { .. } => "mmu_interval_read_retry() says",
            StepKind::InvalidateBeside => "an invalidation beside it",
            StepKind::Register(_) => "registering",
            StepKind::RegisterBefore => "registering before",
            StepKind::RegisterInInvalidation => "registering in an invalidation",
            StepKind::ReturnOfRegistration => "a registration that begins in an invalidation",
            StepKind::CallsOfRegistered => "ends without a start, or the reverse",
            StepKind::Remove => "removing",
            StepKind::RemoveInInvalidation => "removing in an invalidation",
            StepKind::ReturnOfRemoval => "a removal that begins in an invalidation",
            StepKind::RemoveAfter => "removing after",
            StepKind::RemoveAtExit => "removing while the process exits",
            StepKind::PagesInStart => "while a start runs, the pages are",
            StepKind::PagesInEnd => "while an end runs, the pages are",
            StepKind::Mrelease => "process_mrelease returns",
            StepKind::PagesLeft => "pages that are left",
            StepKind::MunmapWithRemoval => "munmap",
            StepKind::Exit { notifier } => {
                return write!(f, "what notifier {notifier} is told when the process exits");
            }
            StepKind::AskedBeforeStart => "pages that are asked about before the start",
            StepKind::AskedAfterStart => "pages that are asked about after it",
            StepKind::ProtectedBeside => {
                "pages beside those that were announced that are write-protected"
            }
            StepKind::Aging => "whether the page was used, the notifier is",
            StepKind::Removals => "releases when the notifier is removed",
        })
    }
}

/// The event between `mmu_interval_read_begin()` and `mmu_interval_read_retry()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// None.
    Nothing,
    /// An invalidation of the notifier's addresses.
    Invalidation,
    /// An invalidation of other addresses.
    InvalidationElsewhere,
    /// An invalidation in non-blockable context that the notifier has refused.
    Refusal,
    /// An invalidation in blockable context in which the notifier's callback has failed.
    Failure,
}

/// A way to register a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The kind of notifier.
    pub kind: NotifierKind,
    /// The function, and the state in which it is called.
    pub way: Way,
}

/// The function that registers a notifier, and the state in which it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `__mmu_notifier_register()` or `mmu_interval_notifier_insert_locked()`, with `mmap_lock` held
    /// for writing.
    Locked,
    /// The same without `mmap_lock`.
    Unlocked,
    /// `mmu_notifier_register()` or `mmu_interval_notifier_insert()` with `mmap_lock` held. The
    /// second one takes `mmap_lock` only for the first interval notifier of an address space.
    Recursive,
    /// The same in an atomic section.
    Atomic,
    /// `mmu_notifier_register()`, twice with the same struct.
    Twice,
    /// `mmu_notifier_register()` or `mmu_interval_notifier_insert()` with an mm that has no users
    /// any more.
    AfterExit,
    /// The same with a child of the process that shares its memory and has executed nothing.
    Child,
}

impl Way {
    /// The word that the module's `attach` takes behind `how=`.
    pub const fn word(self) -> &'static str {
        match self {
            Way::Locked => "locked",
            Way::Unlocked => "unlocked",
            Way::Recursive => "recursive",
            Way::Atomic => "atomic",
            Way::Twice => "twice",
            Way::AfterExit | Way::Child => "register",
        }
    }
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Seen {
    /// The call returned this: 0 or a negative errno.
    Returned(i32),
    /// The call did not return within its time limit.
    StillWaits,
    /// The kernel killed the caller.
    CallerKilled,
    /// The call returned this sequence number.
    Number(u64),
    /// Two calls returned these sequence numbers, in this order.
    Numbers(u64, u64),
    /// The call was begun while a callback slept. Both times are nanoseconds of `CLOCK_MONOTONIC`.
    ReturnedAt {
        /// The time at which the call returned.
        time_ns: u64,
        /// The time until which the callback slept at least.
        asleep_until_ns: u64,
    },
    /// So many of the process's pages had been zapped.
    Zapped(u64),
    /// So many of the process's pages were left.
    Left(u64),
    /// The notifier had these callbacks, in this order.
    Callbacks(Vec<ExitCallback>),
    /// `release` was called so many times.
    Releases(u64),
    /// So many starts had no end, or so many ends no start.
    Unpaired(u64),
    /// So many calls asked the notifier whether a page was used.
    Asked(u64),
    /// So many of these calls were for addresses that are not whole pages.
    AskedOfParts(u64),
    /// So many pages are write-protected.
    Protected(u64),
}

/// A callback that a notifier has when its process exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExitCallback {
    /// The start of an invalidation of all addresses.
    Start {
        /// Its event.
        event: NotifierEvent,
        /// Its context.
        context: Context,
    },
    /// A callback that is no start.
    FollowUp(FollowUp),
}

impl fmt::Display for ExitCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitCallback::Start { event, context } => write!(f, "start ({event}, {context})"),
            ExitCallback::FollowUp(later) => f.write_str(later.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(kind: StepKind, seen: Seen) -> String {
        let step = Step { kind, seen };
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
        text
    }

    #[test]
    fn a_step_has_the_same_json_in_both_directions() {
        assert_eq!(
            json(StepKind::ReadBegin, Seen::Number(5)),
            r#"{"kind":"read_begin","seen":{"number":5}}"#
        );
        let after = Between::InvalidationElsewhere;
        assert_eq!(
            json(StepKind::ReadRetry { after }, Seen::StillWaits),
            r#"{"kind":{"read_retry":{"after":"invalidation_elsewhere"}},"seen":"still_waits"}"#
        );
        let registration = Registration {
            kind: NotifierKind::IntervalTwoPass,
            way: Way::AfterExit,
        };
        assert_eq!(
            json(StepKind::Register(registration), Seen::Returned(-22)),
            r#"{"kind":{"register":{"kind":"interval-two-pass","way":"after_exit"}},"seen":{"returned":-22}}"#
        );
        let start = ExitCallback::Start {
            event: NotifierEvent::Release,
            context: Context::Blockable,
        };
        let callbacks = vec![start, ExitCallback::FollowUp(FollowUp::Finish)];
        assert_eq!(
            json(StepKind::Exit { notifier: 1 }, Seen::Callbacks(callbacks)),
            r#"{"kind":{"exit":{"notifier":1}},"seen":{"callbacks":[{"start":{"event":"RELEASE","context":"blockable"}},{"follow_up":"finish"}]}}"#
        );
        let times = Seen::ReturnedAt {
            time_ns: 7,
            asleep_until_ns: 6,
        };
        assert_eq!(
            json(StepKind::ReturnOfRemoval, times),
            r#"{"kind":"return_of_removal","seen":{"returned_at":{"time_ns":7,"asleep_until_ns":6}}}"#
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        for text in [
            r#"{"kind":"remove","seen":{"returned":0},"due":"done"}"#,
            r#"{"kind":{"exit":{"notifier":1,"x":0}},"seen":{"returned":0}}"#,
            r#"{"kind":{"register":{"kind":"plain","way":"locked","x":0}},"seen":{"returned":0}}"#,
            r#"{"kind":"remove","seen":{"returned_at":{"time_ns":7,"asleep_until_ns":6,"x":0}}}"#,
        ] {
            assert!(serde_json::from_str::<Step>(text).is_err(), "{text}");
        }
    }
}
