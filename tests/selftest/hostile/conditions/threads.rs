// SPDX-License-Identifier: GPL-2.0

//! Threads that work until their owner is dropped.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

/// A group of threads. Dropping it ends them and waits for them.
#[derive(Default)]
pub(crate) struct Threads {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread, which must end when the flag is set.
    pub(crate) fn start(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let is_over = self.is_over.clone();
        self.threads
            .push(std::thread::spawn(move || work(&is_over)));
    }

    /// Whether a thread has ended by itself.
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

/// The number of processors.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
