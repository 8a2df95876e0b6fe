// SPDX-License-Identifier: GPL-2.0

//! State of the module, as the reloader reports it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Counts of unloads, from which a call is recognised that raced with one.
#[derive(Debug, Default)]
pub struct ModuleState {
    begun: AtomicU64,
    ended: AtomicU64,
    unloads: AtomicU64,
}

/// State of the counts at a point in time, to be compared with a later one.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    begun: u64,
    quiet: bool,
    /// Number of unloads until then.
    pub unloads: u64,
}

impl ModuleState {
    /// Returns the present moment.
    pub fn moment(&self) -> Moment {
        // Load `unloads` first: if an unload comes in between, `begun` shows it.
        let unloads = self.unloads.load(SeqCst);
        let begun = self.begun.load(SeqCst);
        Moment {
            begun,
            quiet: self.ended.load(SeqCst) == begun,
            unloads,
        }
    }

    /// Whether the module was unloaded at some time since, or may have been.
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

    /// Counts an unload, in the middle of a change: targets that are attached from now on belong to
    /// the next load of the module.
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
            // A call that begins in the middle of it.
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
