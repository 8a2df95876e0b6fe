// SPDX-License-Identifier: GPL-2.0

//! A few words that change together, and cost a reader no more than loads.

use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        SpinLock, //
    },
};

/// `N` words that change together.
///
/// A sequence lock as in include/linux/seqlock.h, for which Rust has no abstraction: a writer makes
/// `version` odd while it writes, and a reader that has seen an odd one, or another one after than
/// before, reads again. The writer holds a spinlock, so it is not preempted in between and a reader
/// is never kept for longer than a few stores take.
#[pin_data]
pub(crate) struct Snapshot<const N: usize> {
    #[pin]
    writer: SpinLock<()>,
    version: Atomic<u64>,
    words: [Atomic<u64>; N],
}

impl<const N: usize> Snapshot<N> {
    /// These words.
    pub(crate) fn new(words: [u64; N]) -> impl PinInit<Self> {
        pin_init!(Self {
            writer <- new_spinlock!(()),
            version: Atomic::new(0),
            words: words.map(Atomic::new),
        })
    }

    /// The words as some writer has left them. Never sleeps.
    pub(crate) fn read(&self) -> [u64; N] {
        loop {
            // ORDERING: Pairs with the second store to `version`: with an even version come the
            // words that were stored before it.
            let before = self.version.load(Acquire);
            // ORDERING: Each pairs with the store of a word: with a new word comes the odd version
            // that was stored before it. None of them is done after the load below.
            let words = core::array::from_fn(|index| {
                self.words.get(index).map_or(0, |word| word.load(Acquire))
            });
            let after = self.version.load(Relaxed);
            if before == after && before & 1 == 0 {
                return words;
            }
            core::hint::spin_loop();
        }
    }

    /// Lets `change` make new words of the old ones. It must not sleep.
    pub(crate) fn update(&self, change: impl FnOnce([u64; N]) -> [u64; N]) {
        let guard = self.writer.lock();
        let old = core::array::from_fn(|index| {
            self.words.get(index).map_or(0, |word| word.load(Relaxed))
        });
        let new = change(old);
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        for (word, new) in self.words.iter().zip(new) {
            // ORDERING: After the odd version; see `read()`.
            word.store(new, Release);
        }
        // ORDERING: After the words; see `read()`.
        self.version.store(version.wrapping_add(2), Release);
        drop(guard);
    }
}
