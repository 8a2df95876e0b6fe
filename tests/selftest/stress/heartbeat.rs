// SPDX-License-Identifier: GPL-2.0

//! Progress of a worker, from which a stuck one is recognised.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Progress of a worker.
#[derive(Debug)]
pub struct Heartbeat {
    /// Name of the worker.
    pub name: String,
    /// Number of steps so far.
    pub steps: AtomicU64,
    /// Thread id of the worker; 0 before it runs.
    pub tid: AtomicU64,
    doing: Mutex<&'static str>,
}

impl Heartbeat {
    /// Progress of a worker that does not run yet.
    pub fn new(name: String) -> Self {
        Heartbeat {
            name,
            steps: AtomicU64::new(0),
            tid: AtomicU64::new(0),
            doing: Mutex::new("starting"),
        }
    }

    /// Name of the present operation.
    pub fn doing(&self) -> &'static str {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, &'static str> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the next step.
    pub fn step(&self, doing: &'static str) {
        *self.lock() = doing;
        self.still();
    }

    /// Reports progress within the present step.
    pub fn still(&self) {
        self.steps.fetch_add(1, SeqCst);
    }
}
