// SPDX-License-Identifier: GPL-2.0

//! The ways to register a notifier: the rule that each breaks, and its result.

use nix::libc::EINVAL;

use crate::contract::Behaviour;
use crate::contract::outcome::StepOutcome;
use crate::model::{Registration, Way};

/// The behaviour that breaks a rule; [`None`] where the registration is legal.
pub const fn behaviour(registration: Registration) -> Option<Behaviour> {
    match registration.way {
        Way::Locked | Way::Child => None,
        Way::Unlocked => Some(Behaviour::RegistersWithoutLock),
        Way::Recursive => Some(Behaviour::RegistersUnderLock),
        Way::Atomic => Some(Behaviour::RegistersInAtomic),
        Way::Twice => Some(Behaviour::RegistersTwice),
        Way::AfterExit => Some(Behaviour::RegistersAfterExit),
    }
}

/// The result of the registration.
///
/// An interval notifier must not be the first one of its mm: only for the first one does
/// `mmu_interval_notifier_insert()` call `mmu_notifier_register()`, which takes `mmap_lock` and has
/// a `BUG_ON(mm_users <= 0)`.
pub const fn outcome(registration: Registration) -> StepOutcome {
    match (registration.way, registration.kind.is_interval()) {
        (Way::Recursive, false) => StepOutcome::WaitsForever,
        (Way::AfterExit, false) => StepOutcome::CallerKilled,
        (Way::AfterExit, true) => StepOutcome::Done(-EINVAL),
        (Way::Recursive, true) => StepOutcome::Done(0),
        (Way::Locked | Way::Unlocked | Way::Atomic | Way::Twice | Way::Child, _) => {
            StepOutcome::Done(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NotifierKind;

    #[test]
    fn each_registration_has_its_behaviour_and_its_outcome() {
        use NotifierKind::{Interval, IntervalTwoPass, Plain, PlainEnd};
        use StepOutcome::{CallerKilled, Done, WaitsForever};
        for (way, broken, of_plain, of_interval) in [
            (Way::Locked, None, Done(0), Done(0)),
            (Way::Child, None, Done(0), Done(0)),
            (
                Way::Unlocked,
                Some(Behaviour::RegistersWithoutLock),
                Done(0),
                Done(0),
            ),
            (
                Way::Recursive,
                Some(Behaviour::RegistersUnderLock),
                WaitsForever,
                Done(0),
            ),
            (
                Way::Atomic,
                Some(Behaviour::RegistersInAtomic),
                Done(0),
                Done(0),
            ),
            (
                Way::Twice,
                Some(Behaviour::RegistersTwice),
                Done(0),
                Done(0),
            ),
            (
                Way::AfterExit,
                Some(Behaviour::RegistersAfterExit),
                CallerKilled,
                Done(-EINVAL),
            ),
        ] {
            for (kinds, due) in [
                ([Plain, PlainEnd], of_plain),
                ([Interval, IntervalTwoPass], of_interval),
            ] {
                for kind in kinds {
                    let registration = Registration { kind, way };
                    assert_eq!(behaviour(registration), broken, "{registration:?}");
                    assert_eq!(outcome(registration), due, "{registration:?}");
                }
            }
        }
    }
}
