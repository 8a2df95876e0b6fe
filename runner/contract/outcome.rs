// SPDX-License-Identifier: GPL-2.0

//! The outcomes of the steps of scripts, with their words.

use std::fmt;

use nix::errno::Errno;

use crate::model::ExitCallback;

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// A write to one of the module's files returned: 0 or a negative errno.
    Done(i32),
    /// `munmap(2)` returned: 0 or a negative errno.
    Returned(i32),
    /// `process_mrelease(2)` returned: 0 or a negative errno.
    Mreleased(i32),
    /// The call does not return.
    WaitsForever,
    /// The kernel killed the caller.
    CallerKilled,
    /// `mmu_interval_read_begin()` returned an odd number.
    Odd,
    /// `mmu_interval_read_begin()` returned this number, which is even.
    Even(u64),
    /// `mmu_interval_read_begin()` does not return.
    NoNumber,
    /// Two calls of `mmu_interval_read_begin()` returned different numbers.
    AnotherNumber,
    /// They returned the same number.
    SameNumber,
    /// `mmu_interval_read_retry()` returned false.
    Undisturbed,
    /// `mmu_interval_read_retry()` returned true.
    Retry,
    /// The call returned after the invalidation had ended.
    WaitsForEnd,
    /// The call returned earlier.
    DoesNotWait,
    /// The pages are mapped.
    There,
    /// The pages are not mapped.
    Gone,
    /// A number of pages, or of calls.
    Count(u64),
    /// The notifier is asked whether a page was used.
    Asked,
    /// It is not.
    NotAsked,
    /// It is asked of a part of that page and of another one.
    AskedOfParts,
    /// These callbacks ran, in this order.
    Callbacks(Vec<ExitCallback>),
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StepOutcome::Done(0) => "done",
            StepOutcome::Done(errno) => {
                return write!(f, "{:?}", Errno::from_raw(errno.saturating_neg()));
            }
            StepOutcome::Returned(errno) => return write!(f, "returns {errno}"),
            StepOutcome::Mreleased(errno) => return errno.fmt(f),
            StepOutcome::WaitsForever => "waits forever",
            StepOutcome::CallerKilled => "the caller is killed",
            StepOutcome::Odd => "odd",
            StepOutcome::Even(number) | StepOutcome::Count(number) => return number.fmt(f),
            StepOutcome::NoNumber => "not there: it waits forever",
            StepOutcome::AnotherNumber => "another number",
            StepOutcome::SameNumber => "the same number",
            StepOutcome::Undisturbed => "undisturbed",
            StepOutcome::Retry => "retry",
            StepOutcome::WaitsForEnd => "waits for its end",
            StepOutcome::DoesNotWait => "does not wait",
            StepOutcome::There => "there",
            StepOutcome::Gone => "gone",
            StepOutcome::Asked => "asked",
            StepOutcome::NotAsked => "not asked",
            StepOutcome::AskedOfParts => "asked of a part of it, and of a part of the next one",
            StepOutcome::Callbacks(callbacks) if callbacks.is_empty() => "nothing",
            StepOutcome::Callbacks(callbacks) => {
                let words: Vec<_> = callbacks.iter().map(ExitCallback::to_string).collect();
                return f.write_str(&words.join(", "));
            }
        })
    }
}
