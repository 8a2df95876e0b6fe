// SPDX-License-Identifier: GPL-2.0

//! The bounded log of a target's calls.

use crate::{
    abstractions::{
        mmu_notifier::{
            Event,
            Range, //
        },
        task, //
    },
    text::Text, //
};
use kernel::{
    current,
    fmt,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
    uaccess::UserSliceWriter, //
};

/// Longest line that an entry can make, in bytes; a power of two.
const LINE: usize = 256;

/// Calls of all targets since the module was loaded; numbers the entries.
pub(crate) static TOTAL_CALLS: Atomic<u64> = Atomic::new(0);

/// One call of `invalidate_range_start`.
#[derive(Clone, Copy)]
struct Entry {
    seq: u64,
    time_ns: u64,
    event: Option<Event>,
    start: u64,
    end: u64,
    blockable: bool,
    tid: i32,
    comm: [u8; task::COMM_LEN],
    returned: i32,
}

/// A name that takes one word whatever is in it: what is not printable, blanks and the backslash
/// stand as `\xNN`.
struct Word<'a>(&'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take_while(|&&byte| byte != 0) {
            if byte.is_ascii_graphic() && byte != b'\\' {
                write!(f, "{}", byte as char)?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn format(&self) -> Result<Text<LINE>> {
        let event = self
            .event
            .and_then(|event| event.name().to_str().ok())
            .unwrap_or("UNKNOWN");
        let context = if self.blockable {
            "blockable"
        } else {
            "nonblockable"
        };
        Text::new(fmt!(
            "seq={} time_ns={} event={} start={:#x} end={:#x} context={} tid={} comm={} returned={}\n",
            self.seq,
            self.time_ns,
            event,
            self.start,
            self.end,
            context,
            self.tid,
            Word(&self.comm),
            self.returned,
        ))
    }
}

/// The last entries, and how many there have been.
struct Ring {
    entries: KVVec<Entry>,
    written: u64,
}

impl Ring {
    /// Where the entry of that index is or was. [`None`] only for a ring without room.
    fn slot(&mut self, index: u64) -> Option<&mut Entry> {
        let slot = index.checked_rem(self.entries.len() as u64)?;
        self.entries.get_mut(usize::try_from(slot).ok()?)
    }

    fn oldest(&self) -> u64 {
        self.written.saturating_sub(self.entries.len() as u64)
    }

    /// The entry of that index, or the oldest that is left if it was overwritten, with its index.
    /// [`None`] where there is none yet.
    fn entry_from(&mut self, index: u64) -> Option<(u64, Entry)> {
        let index = index.max(self.oldest());
        if index >= self.written {
            return None;
        }
        Some((index, *self.slot(index)?))
    }
}

/// The log. Its memory is taken when it is made; writing to it neither sleeps nor allocates.
///
/// The lock is a leaf: nothing else is taken under it, and it is only held to copy one entry.
#[pin_data]
pub(crate) struct Log {
    #[pin]
    ring: SpinLock<Ring>,
}

impl Log {
    /// A log of the last `capacity` entries.
    pub(crate) fn new(capacity: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ring <- {
                let empty = Entry {
                    seq: 0,
                    time_ns: 0,
                    event: None,
                    start: 0,
                    end: 0,
                    blockable: false,
                    tid: 0,
                    comm: [0; task::COMM_LEN],
                    returned: 0,
                };
                let entries = KVVec::from_elem(empty, capacity.max(1), GFP_KERNEL)?;
                new_spinlock!(Ring { entries, written: 0 })
            },
        }? Error)
    }

    /// Adds a call to which the callback is about to return `returned`.
    pub(crate) fn add(&self, range: &Range, returned: i32) {
        let mut entry = Entry {
            seq: 0,
            time_ns: task::monotonic_ns(),
            event: range.event(),
            start: range.start(),
            end: range.end(),
            blockable: range.is_blockable(),
            tid: current!().pid(),
            comm: task::current_comm(),
            returned,
        };
        let mut ring = self.ring.lock();
        // Under the lock, so that one target's entries are in the order of their numbers.
        entry.seq = TOTAL_CALLS.fetch_add(1, Relaxed);
        let index = ring.written;
        if let Some(slot) = ring.slot(index) {
            *slot = entry;
        }
        ring.written = index.wrapping_add(1);
    }

    /// How many entries were overwritten.
    pub(crate) fn overwritten(&self) -> u64 {
        self.ring.lock().oldest()
    }

    /// Copies out what stands at `position`, as [`FileOperations::read`] has it.
    ///
    /// A position is the index of an entry times [`LINE`], plus a byte in its line: so a reader
    /// may take as few bytes at a time as it likes, and goes on where it was while entries are
    /// added. A position whose entry was overwritten moves to the oldest that is left.
    ///
    /// [`FileOperations::read`]: crate::abstractions::debugfs::FileOperations::read
    pub(crate) fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        const LINE_BYTES: u64 = LINE as u64;
        let mut copied: usize = 0;
        while !out.is_empty() {
            let wanted = *position / LINE_BYTES;
            let Some((index, entry)) = self.ring.lock().entry_from(wanted) else {
                break;
            };
            let done = if index == wanted {
                *position % LINE_BYTES
            } else {
                0
            };

            let line = entry.format()?;
            let rest = line.as_bytes().get(done as usize..).unwrap_or(&[]);
            let part = rest.get(..out.len()).unwrap_or(rest);
            out.write_slice(part)?;
            copied = copied.saturating_add(part.len());
            *position = index
                .wrapping_mul(LINE_BYTES)
                .wrapping_add(if part.len() == rest.len() {
                    LINE_BYTES
                } else {
                    done.wrapping_add(part.len() as u64)
                });
        }
        Ok(copied)
    }
}
