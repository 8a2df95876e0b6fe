// SPDX-License-Identifier: GPL-2.0

//! The behaviours that the contract allows or forbids.

use nix::libc::EAGAIN;
use serde::Serialize;

use crate::model::Injection;

/// A behaviour of a notifier, of its driver or of the code that invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// A start returns 0, and neither sleeps nor allocates.
    Agrees,
    /// A start returns `-EAGAIN`.
    Refuses,
    /// A start returns another error.
    FailsOtherwise,
    /// A callback sleeps.
    Sleeps,
    /// A callback allocates with `GFP_KERNEL`.
    Allocates,
    /// A callback takes a lock that was held during such an allocation.
    TakesLock,
    /// A blockable invalidation comes from an atomic section.
    CallsInAtomic,
    /// A driver holds `mmap_lock` and registers with a function that takes it.
    RegistersUnderLock,
    /// A driver does not hold `mmap_lock` and registers with a function that requires it.
    RegistersWithoutLock,
    /// A driver registers with an address space whose `mm_users` is 0.
    RegistersAfterExit,
    /// A driver registers in an atomic section.
    RegistersInAtomic,
    /// A driver registers a notifier that is registered already.
    RegistersTwice,
    /// A callback removes its own notifier.
    RemovesItself,
}

impl Behaviour {
    /// The behaviour of a start that returned `returned`: 0 or a negative errno.
    pub const fn of_return(returned: i32) -> Behaviour {
        match returned {
            0 => Behaviour::Agrees,
            errno if errno == -EAGAIN => Behaviour::Refuses,
            _ => Behaviour::FailsOtherwise,
        }
    }

    /// The behaviour of a callback with that injection.
    pub const fn of_injection(injection: Injection) -> Behaviour {
        match injection {
            Injection::Sleep => Behaviour::Sleeps,
            Injection::Delay => Behaviour::Agrees,
            Injection::Allocate => Behaviour::Allocates,
            Injection::Lock => Behaviour::TakesLock,
            Injection::Remove => Behaviour::RemovesItself,
        }
    }

    /// Predicate of a sentence whose subject is "a notifier".
    pub const fn words(self) -> &'static str {
        match self {
            Behaviour::Agrees => "agrees",
            Behaviour::Refuses => "fails with -EAGAIN",
            Behaviour::FailsOtherwise => "fails with another error",
            Behaviour::Sleeps => "sleeps",
            Behaviour::Allocates => "allocates with GFP_KERNEL",
            Behaviour::TakesLock => "takes a lock that was held during such an allocation",
            Behaviour::CallsInAtomic => "is called from an atomic section",
            Behaviour::RegistersUnderLock => "is registered under mmap_lock",
            Behaviour::RegistersWithoutLock => {
                "is registered without the lock that the caller must hold"
            }
            Behaviour::RegistersAfterExit => "is registered with an mm without users",
            Behaviour::RegistersInAtomic => "is registered in an atomic section",
            Behaviour::RegistersTwice => "is registered a second time",
            Behaviour::RemovesItself => "removes itself from its callback",
        }
    }
}
