// SPDX-License-Identifier: GPL-2.0

//! What a worker is doing, for whoever looks whether it goes on.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The steps of a worker.
#[derive(Debug)]
pub struct Heartbeat {
    /// The worker.
    pub name: String,
    /// Steps so far.
    pub steps: AtomicU64,
    /// Its thread id; 0 before it runs.
    pub tid: AtomicU64,
    doing: Mutex<&'static str>,
}

impl Heartbeat {
    /// That of a worker that does not run yet.
    pub fn new(name: String) -> Self {
        Heartbeat {
            name,
            steps: AtomicU64::new(0),
            tid: AtomicU64::new(0),
            doing: Mutex::new("starting"),
        }
    }

    /// What it is doing.
    pub fn doing(&self) -> &'static str {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, &'static str> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step begins.
    pub fn step(&self, doing: &'static str) {
        *self.lock() = doing;
        self.still();
    }

    /// The present step goes on.
    pub fn still(&self) {
        self.steps.fetch_add(1, SeqCst);
    }
}
