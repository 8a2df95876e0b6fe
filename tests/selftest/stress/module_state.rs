// SPDX-License-Identifier: GPL-2.0

//! Whether the module is loaded, as far as the one who unloads it tells.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Counts of unloads, so that a call can tell whether it raced with one.
#[derive(Debug, Default)]
pub struct ModuleState {
    begun: AtomicU64,
    ended: AtomicU64,
    unloads: AtomicU64,
}

/// A point in time, to ask later what has happened since.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    begun: u64,
    quiet: bool,
    /// How often the module had been unloaded.
    pub unloads: u64,
}

impl ModuleState {
    /// Now.
    pub fn moment(&self) -> Moment {
        // The unloads first: where one ends in between, `begun` tells.
        let unloads = self.unloads.load(SeqCst);
        let begun = self.begun.load(SeqCst);
        Moment {
            begun,
            quiet: self.ended.load(SeqCst) == begun,
            unloads,
        }
    }

    /// Whether the module was, or may have been, gone at some time since.
    pub fn has_raced_since(&self, moment: Moment) -> bool {
        !moment.quiet
            || self.begun.load(SeqCst) != moment.begun
            || self.unloads.load(SeqCst) != moment.unloads
    }

    /// Runs `change`, which may unload and load the module.
    pub fn change<T>(&self, change: impl FnOnce(&Self) -> T) -> T {
        self.begun.fetch_add(1, SeqCst);
        let result = change(self);
        self.ended.fetch_add(1, SeqCst);
        result
    }

    /// The module has been unloaded, in the middle of a change: what is attached from now on is
    /// attached to the next one.
    pub fn unloaded(&self) {
        self.unloads.fetch_add(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unload_is_seen_while_it_runs_and_afterwards() {
        let state = ModuleState::default();
        let before = state.moment();
        assert!(!state.has_raced_since(before));
        state.change(|state| {
            assert!(state.has_raced_since(before));
            // Whoever begins in the middle of it.
            assert!(state.has_raced_since(state.moment()));
            state.unloaded();
        });
        assert!(state.has_raced_since(before));
        let after = state.moment();
        assert!(!state.has_raced_since(after));
        assert_eq!(after.unloads, before.unloads + 1);
        state.change(|_| ());
        assert_eq!(state.moment().unloads, after.unloads);
    }
}
