// SPDX-License-Identifier: GPL-2.0

//! Targets of the module that the stress has attached.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mn_inject::injector::formats::Counters;
use mn_inject::model::NotifierKind;

use crate::stress::class::MayReturn;
use crate::stress::victims::Victim;

/// A target of the module.
#[derive(Debug)]
pub struct Target {
    /// Name of its folder, which no other target ever has.
    pub name: String,
    /// Kind of the notifier.
    pub kind: NotifierKind,
    /// The process. Its id is not used again as long as this exists. `None` if the process is not
    /// a victim in the world.
    pub victim: Option<Arc<Victim>>,
    /// Values that it may be set to return.
    pub may_return: MayReturn,
    /// Whether it may sleep. If so, its callbacks act in blockable context only.
    pub sleeps: bool,
    /// Number of unloads of the module before it was attached.
    pub unloads: u64,
    /// Number of workers that have begun to detach it.
    pub detachers: AtomicU32,
    /// Its counters as they were last read. Locked during a read, so that the counters cannot seem
    /// to go back.
    pub seen: Mutex<Counters>,
}

impl Target {
    /// Counts a worker that begins to detach it. Returns true for the first one.
    pub fn begin_detach(&self) -> bool {
        self.detachers.fetch_add(1, SeqCst) == 0
    }

    /// Whether a worker detaches it, or has done so.
    pub fn is_detaching(&self) -> bool {
        self.detachers.load(SeqCst) > 0
    }

    /// Whether more than one worker detaches it.
    pub fn is_contested(&self) -> bool {
        self.detachers.load(SeqCst) > 1
    }
}

/// Returns the name of a counter that has gone back since `earlier`, if there is one.
pub fn gone_back(now: &Counters, earlier: &Counters) -> Option<&'static str> {
    [
        ("calls", now.calls, earlier.calls),
        ("injected", now.injected, earlier.injected),
        ("overwritten", now.overwritten, earlier.overwritten),
        ("starts", now.starts, earlier.starts),
        ("refused", now.refused, earlier.refused),
        ("ends", now.ends, earlier.ends),
        (
            "clear_flush_young",
            now.clear_flush_young,
            earlier.clear_flush_young,
        ),
        ("clear_young", now.clear_young, earlier.clear_young),
        ("test_young", now.test_young, earlier.test_young),
        ("secondary_tlbs", now.secondary_tlbs, earlier.secondary_tlbs),
    ]
    .into_iter()
    .find(|(_, now, before)| now < before)
    .map(|(name, ..)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_goes_back_is_named() {
        let before = Counters {
            starts: 5,
            refused: 1,
            ends: 4,
            ..Counters::default()
        };
        assert_eq!(gone_back(&before, &before), None);
        let mut after = before.clone();
        after.refused -= 1;
        assert_eq!(gone_back(&after, &before), Some("refused"));
    }
}
