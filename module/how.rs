// SPDX-License-Identifier: GPL-2.0

//! Ways to register a notifier. Three of them are legal.

use crate::{
    abstractions::{
        breach,
        faulty::Mmap,
        mm, //
    },
    injector::Injector,
    text::Text, //
};
use kernel::{
    mm::MmWithUser,
    prelude::*, //
};

/// How a notifier is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Calls the function that takes `mmap_lock`.
    Register,
    /// Calls the variant for callers that hold `mmap_lock` for writing, and holds it.
    Locked,
    /// Gets the notifier that all targets share which ask for the same kind on the same address
    /// space: `mmu_notifier_get()`.
    Get,
    /// Calls the variant for callers that hold `mmap_lock` for writing, without holding it.
    Unlocked,
    /// Calls the function that takes `mmap_lock`, while holding it: it waits for itself.
    Recursive,
    /// Calls the function that takes `mmap_lock`, and may sleep, while holding a spinlock.
    Atomic,
    /// Calls the function that takes `mmap_lock`, and then again with the same notifier. The list
    /// of notifiers is a circle after that.
    Twice,
}

impl How {
    const ALL: [How; 7] = [
        How::Register,
        How::Locked,
        How::Get,
        How::Unlocked,
        How::Recursive,
        How::Atomic,
        How::Twice,
    ];

    const fn name(self) -> &'static str {
        match self {
            How::Register => "register",
            How::Locked => "locked",
            How::Get => "get",
            How::Unlocked => "unlocked",
            How::Recursive => "recursive",
            How::Atomic => "atomic",
            How::Twice => "twice",
        }
    }

    /// Parses a name. Returns `Err(EINVAL)` if there is no such way.
    pub(crate) fn parse(word: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|how| how.name() == word)
            .ok_or(EINVAL)
    }

    /// Writes its name, and the number of targets that share the notifier.
    pub(crate) fn show(self, users: Option<u32>, text: &mut Text) -> Result {
        text.add(fmt!("{}", self.name()))?;
        match users {
            Some(users) => text.add(fmt!(" users={users}")),
            None => Ok(()),
        }
    }

    /// Returns `Err(EPERM)` if it violates the contract and the module was loaded without
    /// `breach=1`.
    pub(crate) fn check(self) -> Result {
        match self {
            How::Register | How::Locked | How::Get => Ok(()),
            How::Unlocked | How::Recursive | How::Atomic | How::Twice => breach::permit().map(drop),
        }
    }

    /// Calls `register` with the locks held that belong to this way. [`How::Get`] takes its own.
    pub(crate) fn with_locks<T>(
        self,
        mm: &MmWithUser,
        injector: &Injector,
        register: impl FnOnce(Mmap<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            How::Register | How::Get | How::Twice => register(Mmap::Unlocked(mm)),
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
