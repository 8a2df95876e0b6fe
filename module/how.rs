// SPDX-License-Identifier: GPL-2.0

//! The ways in which a notifier is registered, of which two are legal.

use crate::{
    abstractions::{
        breach,
        faulty::Mmap,
        mm, //
    },
    injector::Injector, //
};
use kernel::{
    mm::MmWithUser,
    prelude::*, //
};

/// How a notifier is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// By the function that takes `mmap_lock`.
    Register,
    /// By the one for who holds `mmap_lock` for writing, and with that held.
    Locked,
    /// By the one for who holds it, although it is not held.
    Unlocked,
    /// By the one that takes it, although it is held: it waits for itself.
    Recursive,
    /// By the one that takes it, with a spinlock held, although it may sleep.
    Atomic,
    /// By the one that takes it, and then once more. The list of notifiers is a circle after that.
    Twice,
}

impl How {
    const ALL: [How; 6] = [
        How::Register,
        How::Locked,
        How::Unlocked,
        How::Recursive,
        How::Atomic,
        How::Twice,
    ];

    const fn name(self) -> &'static str {
        match self {
            How::Register => "register",
            How::Locked => "locked",
            How::Unlocked => "unlocked",
            How::Recursive => "recursive",
            How::Atomic => "atomic",
            How::Twice => "twice",
        }
    }

    /// Takes one of the names. Fails with `EINVAL`.
    pub(crate) fn parse(word: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|how| how.name() == word)
            .ok_or(EINVAL)
    }

    /// Fails with `EPERM` where it is against the rules, and that is not allowed.
    pub(crate) fn check(self) -> Result {
        match self {
            How::Register | How::Locked => Ok(()),
            How::Unlocked | How::Recursive | How::Atomic | How::Twice => breach::permit().map(drop),
        }
    }

    /// Calls `register` with the locks held that this way has, and those only.
    pub(crate) fn with_locks<T>(
        self,
        mm: &MmWithUser,
        injector: &Injector,
        register: impl FnOnce(Mmap<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            How::Register | How::Twice => register(Mmap::Unlocked(mm)),
            How::Locked => register(Mmap::Locked(&mm::mmap_write_lock(mm))),
            How::Unlocked => register(Mmap::Locked(&breach::permit()?.pretend_locked(mm))),
            How::Recursive => {
                let guard = mm::mmap_write_lock(mm);
                let result = register(Mmap::Unlocked(mm));
                drop(guard);
                result
            }
            How::Atomic => {
                injector.in_atomic_context(breach::permit()?, || register(Mmap::Unlocked(mm)))
            }
        }
    }
}

#[kunit_tests(mmu_notifier_inject_how)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_a_name_of_its_own() -> Result {
        for how in How::ALL {
            assert!(How::parse(how.name())? == how);
        }
        for bad in ["", "Locked", "lock", "registered"] {
            assert_eq!(How::parse(bad).err(), Some(EINVAL));
        }
        Ok(())
    }
}
