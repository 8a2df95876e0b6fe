// SPDX-License-Identifier: GPL-2.0

//! Threads that work until their owner is gone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

/// Ended and waited for when dropped.
#[derive(Default)]
pub(crate) struct Threads {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts one, which is told when it is over.
    pub(crate) fn start(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let is_over = self.is_over.clone();
        self.threads
            .push(std::thread::spawn(move || work(&is_over)));
    }

    /// Whether one has ended by itself.
    pub(crate) fn has_one_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// How many processors there are.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
