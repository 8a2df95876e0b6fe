// SPDX-License-Identifier: GPL-2.0

//! What those cases do that take several steps; [`crate::observe`] carries them out.

use nix::libc;

use crate::contract::Behaviour;
use crate::model::{End, NotifierKind};
use crate::trigger::operation::Operation;

/// A sequence of steps, each with what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// Begins a read side and ends it.
    Read,
    /// The same, with an invalidation in between; then once more without.
    ReadDisturbed,
    /// The same, with an invalidation of other addresses.
    ReadElsewhere,
    /// Begins a read side while a callback of the same invalidation sleeps, and another
    /// invalidation has come and gone.
    ReadWaits,
    /// Registers a notifier while a callback sleeps, and removes another one.
    ChangeInInvalidation,
    /// A read side with a `process_mrelease` in between that the same notifier refuses.
    ReadRefused,
    /// A read side with an invalidation in between in which the notifier fails where it must not.
    ReadFailed,
    /// The process does something to its memory, and the callback sleeps: until then the pages are
    /// there.
    ToldBefore(Operation),
    /// The process does something to its memory, and the end sleeps: by then the pages are gone.
    ZappedBeforeEnd(Operation),
    /// The same in `process_mrelease`, where the end waits without sleeping.
    ReapedBeforeEnd,
    /// A `process_mrelease` that is refused for some pages, after which all others are gone.
    ReapsOthers,
    /// Registers a notifier in some way, and removes it.
    Register(Registration),
    /// Lets a callback remove its own notifier.
    RemoveInCallback,
    /// Looks what the notifiers are told when a process exits, and counts the releases when they are
    /// removed after that.
    ReleaseAtExit,
    /// Counts the releases when a notifier of a live process is removed.
    ReleaseAtRemoval,
}

impl Procedure {
    /// How the process is at the end.
    pub const fn end(self) -> End {
        match self {
            Procedure::RemoveInCallback => End::Left,
            Procedure::ReleaseAtExit => End::Gone,
            Procedure::Register(registration) => match registration.fate {
                RegistrationOutcome::Returns(_) if registration.is_after_exit => End::Gone,
                RegistrationOutcome::Returns(_) => End::There,
                RegistrationOutcome::IsLeft
                | RegistrationOutcome::Waits
                | RegistrationOutcome::KillsCaller => End::Left,
            },
            _ => End::There,
        }
    }
}

/// What comes of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// It returns that: 0, or a negative errno. After 0 the notifier can be removed at once.
    Returns(i32),
    /// It returns 0, and the notifier must never be looked at again.
    IsLeft,
    /// It waits for ever.
    Waits,
    /// The kernel kills the caller.
    KillsCaller,
}

/// A way to register a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What sort of notifier.
    pub kind: NotifierKind,
    /// How: a word that the module's `attach` takes behind `how=`.
    pub how: &'static str,
    /// Whether the process is gone by then.
    pub is_after_exit: bool,
    /// What comes of it.
    pub fate: RegistrationOutcome,
    /// What it is in the contract; nothing where it is as it should be.
    pub behaviour: Option<Behaviour>,
}

impl Registration {
    /// By `__mmu_notifier_register()`, with `mmap_lock` held for writing.
    pub const LOCKED: Registration = Registration {
        kind: NotifierKind::Plain,
        how: "locked",
        is_after_exit: false,
        fate: RegistrationOutcome::Returns(0),
        behaviour: None,
    };

    /// By `mmu_interval_notifier_insert_locked()`, with `mmap_lock` held for writing.
    pub const INTERVAL_LOCKED: Registration = Registration {
        kind: NotifierKind::Interval,
        ..Self::LOCKED
    };

    /// By `__mmu_notifier_register()`, without `mmap_lock`.
    pub const UNLOCKED: Registration = Registration {
        how: "unlocked",
        behaviour: Some(Behaviour::RegistersWithoutLock),
        ..Self::LOCKED
    };

    /// By `mmu_notifier_register()`, which takes `mmap_lock`, with it held.
    pub const RECURSIVE: Registration = Registration {
        how: "recursive",
        fate: RegistrationOutcome::Waits,
        behaviour: Some(Behaviour::RegistersUnderLock),
        ..Self::LOCKED
    };

    /// By `mmu_interval_notifier_insert()`, which takes `mmap_lock` for the first interval notifier
    /// only, with it held.
    pub const INTERVAL_RECURSIVE: Registration = Registration {
        kind: NotifierKind::Interval,
        fate: RegistrationOutcome::Returns(0),
        ..Self::RECURSIVE
    };

    /// In an atomic section.
    pub const IN_ATOMIC: Registration = Registration {
        how: "atomic",
        behaviour: Some(Behaviour::RegistersInAtomic),
        ..Self::LOCKED
    };

    /// The same struct once more.
    pub const TWICE: Registration = Registration {
        how: "twice",
        fate: RegistrationOutcome::IsLeft,
        behaviour: Some(Behaviour::RegistersTwice),
        ..Self::LOCKED
    };

    /// With an mm that nobody uses any more.
    pub const AFTER_EXIT: Registration = Registration {
        how: "register",
        is_after_exit: true,
        fate: RegistrationOutcome::KillsCaller,
        behaviour: Some(Behaviour::RegistersAfterExit),
        ..Self::LOCKED
    };

    /// The same by `mmu_interval_notifier_insert()`.
    pub const INTERVAL_AFTER_EXIT: Registration = Registration {
        kind: NotifierKind::Interval,
        fate: RegistrationOutcome::Returns(-libc::EINVAL),
        ..Self::AFTER_EXIT
    };
}
