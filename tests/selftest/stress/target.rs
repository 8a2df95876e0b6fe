// SPDX-License-Identifier: GPL-2.0

//! A notifier of ours on some address space.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mn_inject::injector::formats::Counters;
use mn_inject::model::NotifierKind;

use crate::stress::class::MayReturn;
use crate::stress::victims::Victim;

/// A target of the module.
#[derive(Debug)]
pub struct Target {
    /// Its folder. No two targets ever have the same.
    pub name: String,
    /// How it was attached.
    pub kind: NotifierKind,
    /// To whom. As long as this exists its process id is not used again. `None`: to a process that
    /// is not ours to end.
    pub victim: Option<Arc<Victim>>,
    /// What it may be told.
    pub may_return: MayReturn,
    /// Whether it may sleep: then it is only meant for blockable context, where that is no bug.
    pub sleeps: bool,
    /// How often the module had been unloaded when it was attached.
    pub unloads: u64,
    /// How many have begun to detach it.
    pub detachers: AtomicU32,
    /// Its counters as they were last read. Locked while they are read, so that they cannot seem to
    /// go back.
    pub seen: Mutex<Counters>,
}

impl Target {
    /// Somebody begins to detach it. False where he is not the first.
    pub fn begin_detach(&self) -> bool {
        self.detachers.fetch_add(1, SeqCst) == 0
    }

    /// Whether somebody detaches it.
    pub fn is_detaching(&self) -> bool {
        self.detachers.load(SeqCst) > 0
    }

    /// Whether, to one who detaches it, somebody else does so, too.
    pub fn is_contested(&self) -> bool {
        self.detachers.load(SeqCst) > 1
    }
}

/// The counter that has gone back since `earlier`, where one has.
pub fn gone_back(now: &Counters, earlier: &Counters) -> Option<&'static str> {
    [
        ("calls", now.calls, earlier.calls),
        ("injected", now.injected, earlier.injected),
        ("overwritten", now.overwritten, earlier.overwritten),
        ("starts", now.starts, earlier.starts),
        ("refused", now.refused, earlier.refused),
        ("ends", now.ends, earlier.ends),
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
