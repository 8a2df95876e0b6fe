// SPDX-License-Identifier: GPL-2.0

//! The steps of scripted scenarios: the outcome that is due of each, and the outcome that a
//! recorded result is.

use nix::libc::EAGAIN;

use crate::contract::outcome::StepOutcome;
use crate::contract::registration;
use crate::model::{
    Between, Context, End, ExitCallback, FollowUp, NotifierEvent, NotifierKind, Observation, Seen,
    Step, StepKind,
};

/// Size of a page in bytes.
pub(crate) const PAGE: u64 = 4096;

/// The outcome that is due of a step. [`None`] if it is about a notifier that the observation does
/// not have.
pub fn due(kind: StepKind, o: &Observation) -> Option<StepOutcome> {
    Some(match kind {
        StepKind::ReadBegin => StepOutcome::Odd,
        StepKind::NextReadBegin => StepOutcome::AnotherNumber,
        StepKind::ReadRetry { after } if is_collision(after) => StepOutcome::Retry,
        StepKind::ReadRetry { .. } => StepOutcome::Undisturbed,
        StepKind::ReadBeginInInvalidation
        | StepKind::ReturnOfRemoval
        | StepKind::ReturnOfRegistration => StepOutcome::WaitsForEnd,
        StepKind::CallsOfRegistered => StepOutcome::Count(0),
        StepKind::Register(registration) => registration::outcome(registration),
        StepKind::InvalidateBeside
        | StepKind::RegisterBefore
        | StepKind::RegisterInInvalidation
        | StepKind::Remove
        | StepKind::RemoveInInvalidation
        | StepKind::RemoveAfter
        | StepKind::RemoveAtExit => StepOutcome::Done(0),
        StepKind::PagesInStart => StepOutcome::There,
        StepKind::PagesInEnd => StepOutcome::Gone,
        StepKind::Mrelease => StepOutcome::Mreleased(-EAGAIN),
        // The notifier refuses for all of its pages, and for no others.
        StepKind::PagesLeft => StepOutcome::Count(watched_pages(o)),
        // The callback waits for itself, and the process for the callback.
        StepKind::MunmapWithRemoval => StepOutcome::WaitsForever,
        StepKind::Exit { notifier } => {
            let notifier = o.notifiers.get(notifier)?.notifier;
            StepOutcome::Callbacks(callbacks_at_exit(notifier.kind))
        }
        StepKind::Aging => StepOutcome::Asked,
        // All but the one that the process has used itself.
        StepKind::AskedBeforeStart => StepOutcome::Count(watched_pages(o).saturating_sub(1)),
        // A device has nothing mapped there any more.
        StepKind::AskedAfterStart => StepOutcome::Count(0),
        StepKind::ProtectedBeside => StepOutcome::Count(0),
        StepKind::Removals => StepOutcome::Count(releases_at_removal(o.expectation.end)),
    })
}

/// The outcome that a recorded result is. [`None`] if such a step cannot have it.
pub fn outcome(step: &Step, o: &Observation) -> Option<StepOutcome> {
    Some(match (step.kind, &step.seen) {
        (StepKind::ReadBegin, Seen::Number(number)) if number % 2 == 1 => StepOutcome::Odd,
        (StepKind::ReadBegin, Seen::Number(number)) => StepOutcome::Even(*number),
        (StepKind::ReadBegin, Seen::StillWaits) => StepOutcome::NoNumber,
        (StepKind::NextReadBegin, Seen::Numbers(first, second)) if first == second => {
            StepOutcome::SameNumber
        }
        (StepKind::NextReadBegin, Seen::Numbers(..)) => StepOutcome::AnotherNumber,
        (StepKind::ReadRetry { .. }, Seen::Returned(0)) => StepOutcome::Undisturbed,
        (StepKind::ReadRetry { .. }, Seen::Returned(errno)) if *errno == -EAGAIN => {
            StepOutcome::Retry
        }
        (
            StepKind::ReadBeginInInvalidation
            | StepKind::ReturnOfRemoval
            | StepKind::ReturnOfRegistration,
            Seen::ReturnedAt {
                time_ns,
                asleep_until_ns,
            },
        ) if time_ns >= asleep_until_ns => StepOutcome::WaitsForEnd,
        (
            StepKind::ReadBeginInInvalidation
            | StepKind::ReturnOfRemoval
            | StepKind::ReturnOfRegistration,
            Seen::ReturnedAt { .. },
        ) => StepOutcome::DoesNotWait,
        // The process may have touched others meanwhile.
        (StepKind::PagesInStart | StepKind::PagesInEnd, Seen::Zapped(pages))
            if *pages >= watched_pages(o) / 2 =>
        {
            StepOutcome::Gone
        }
        (StepKind::PagesInStart | StepKind::PagesInEnd, Seen::Zapped(_)) => StepOutcome::There,
        (StepKind::Mrelease, Seen::Returned(errno)) => StepOutcome::Mreleased(*errno),
        (StepKind::PagesLeft, Seen::Left(count))
        | (StepKind::Removals, Seen::Releases(count))
        | (StepKind::CallsOfRegistered, Seen::Unpaired(count))
        | (StepKind::ProtectedBeside, Seen::Protected(count))
        | (StepKind::AskedBeforeStart | StepKind::AskedAfterStart, Seen::Asked(count)) => {
            StepOutcome::Count(*count)
        }
        (StepKind::Aging, Seen::Asked(0)) => StepOutcome::NotAsked,
        (StepKind::Aging, Seen::Asked(_)) => StepOutcome::Asked,
        (StepKind::Aging, Seen::AskedOfParts(_)) => StepOutcome::AskedOfParts,
        (StepKind::MunmapWithRemoval, Seen::Returned(errno)) => StepOutcome::Returned(*errno),
        (StepKind::MunmapWithRemoval, Seen::StillWaits) => StepOutcome::WaitsForever,
        (StepKind::Exit { .. }, Seen::Callbacks(callbacks)) => {
            StepOutcome::Callbacks(callbacks.clone())
        }
        (kind, seen) if is_write(kind) => return outcome_of_write(seen),
        _ => return None,
    })
}

/// Whether the read side has to be tried again. Only a callback that succeeds calls
/// `mmu_interval_set_seq()`, by which `mmu_interval_read_retry()` notices an invalidation.
const fn is_collision(between: Between) -> bool {
    matches!(between, Between::Invalidation)
}

/// Whether the step is a line that is written to one of the module's files.
const fn is_write(kind: StepKind) -> bool {
    matches!(
        kind,
        StepKind::ReadRetry { .. }
            | StepKind::InvalidateBeside
            | StepKind::Register(_)
            | StepKind::RegisterBefore
            | StepKind::RegisterInInvalidation
            | StepKind::Remove
            | StepKind::RemoveInInvalidation
            | StepKind::RemoveAfter
            | StepKind::RemoveAtExit
    )
}

fn outcome_of_write(seen: &Seen) -> Option<StepOutcome> {
    match seen {
        Seen::Returned(errno) => Some(StepOutcome::Done(*errno)),
        Seen::StillWaits => Some(StepOutcome::WaitsForever),
        Seen::CallerKilled => Some(StepOutcome::CallerKilled),
        _ => None,
    }
}

fn watched_pages(o: &Observation) -> u64 {
    o.watched.1.saturating_sub(o.watched.0) / PAGE
}

/// The callbacks of a notifier when its process exits.
///
/// `__mmu_notifier_release()` empties the list of plain notifiers before the pages are unmapped.
/// Interval notifiers stay in the tree until they are removed, so `unmap_vmas()` calls them too.
fn callbacks_at_exit(kind: NotifierKind) -> Vec<ExitCallback> {
    let start = |event| ExitCallback::Start {
        event,
        context: Context::Blockable,
    };
    let follow_up = ExitCallback::FollowUp;
    match kind {
        NotifierKind::Plain
        | NotifierKind::PlainEnd
        | NotifierKind::PlainYoung
        | NotifierKind::Mirror
        | NotifierKind::SecondaryTlbs => vec![follow_up(FollowUp::Release)],
        NotifierKind::Interval => vec![start(NotifierEvent::Release), start(NotifierEvent::Unmap)],
        NotifierKind::IntervalTwoPass => vec![
            start(NotifierEvent::Release),
            follow_up(FollowUp::Finish),
            start(NotifierEvent::Unmap),
            follow_up(FollowUp::Finish),
        ],
    }
}

/// Calls of `->release()` when a plain notifier is removed: there was one already if its process
/// has exited.
const fn releases_at_removal(end: End) -> u64 {
    match end {
        End::Gone => 0,
        End::There | End::Left => 1,
    }
}
