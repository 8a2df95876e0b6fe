// SPDX-License-Identifier: GPL-2.0

//! The bounded log of a target's calls.

use crate::{
    abstractions::{
        mmu_notifier::{
            Event,
            Range, //
        },
        stacktrace::Trace,
        task,
        time::monotonic_ns,
        Output, //
    },
    text::{
        Text,
        Word, //
    },
};
use kernel::{
    current,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    }, //
};

/// Longest line that an entry can make, in bytes; a power of two.
const LINE: usize = 512;

/// How many callers an entry names, and how many bytes they may take: what is before them in a
/// line takes up to 317.
const CALLERS: usize = 4;
const CALLERS_LEN: usize = 192;

/// Log entries of all targets since the module was loaded; numbers the entries.
pub(crate) static TOTAL_ENTRIES: Atomic<u64> = Atomic::new(0);

/// Which callback was called.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    /// `invalidate_range_start`, `invalidate` or `invalidate_start`.
    Start,
    /// `invalidate_range_end`.
    End,
    /// `invalidate_finish`.
    #[cfg(mmu_interval_two_pass)]
    Finish,
    /// `release`.
    Release,
}

impl Operation {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Operation::Start => "start",
            Operation::End => "end",
            #[cfg(mmu_interval_two_pass)]
            Operation::Finish => "finish",
            Operation::Release => "release",
        }
    }
}

/// What a callback was called with.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    pub(crate) event: Option<Event>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) blockable: bool,
    /// 0 for a callback that is called without.
    cur_seq: u64,
}

impl Arguments {
    /// Those of `release`, which has none.
    pub(crate) const RELEASE: Arguments = Arguments {
        event: Some(Event::Release),
        start: 0,
        end: 0,
        blockable: true,
        cur_seq: 0,
    };

    /// Those of a callback for `range`, with the number that an interval notifier is called with,
    /// or 0.
    pub(crate) fn new(range: &Range, cur_seq: u64) -> Self {
        Arguments {
            event: range.event(),
            start: range.start() as u64,
            end: range.end() as u64,
            blockable: range.is_blockable(),
            cur_seq,
        }
    }
}

/// One call of a callback.
#[derive(Clone, Copy)]
struct Entry {
    seq: u64,
    time_ns: u64,
    arguments: Arguments,
    trace: Trace,
    tid: i32,
    comm: [u8; task::COMM_LEN],
    returned: i32,
    operation: Operation,
    injected: bool,
}

impl Entry {
    const EMPTY: Entry = Entry {
        seq: 0,
        time_ns: 0,
        arguments: Arguments::RELEASE,
        trace: Trace::EMPTY,
        tid: 0,
        comm: [0; task::COMM_LEN],
        returned: 0,
        operation: Operation::Release,
        injected: false,
    };

    fn format(&self) -> Result<Text> {
        let arguments = &self.arguments;
        let event = arguments.event.map_or("UNKNOWN", Event::name_str);
        let context = if arguments.blockable {
            "blockable"
        } else {
            "non-blockable"
        };
        let mut text = Text::with_capacity(LINE)?;
        text.add(fmt!(
            "seq={} time_ns={} op={} event={event} start={:#x} end={:#x} context={context} \
             tid={} comm={} injected={} returned={} cur_seq={} callers=",
            self.seq,
            self.time_ns,
            self.operation.name(),
            arguments.start,
            arguments.end,
            self.tid,
            Word(&self.comm),
            u8::from(self.injected),
            self.returned,
            arguments.cur_seq
        ))?;
        self.format_callers(&mut text)?;
        text.add(fmt!("\n"))?;
        Ok(text)
    }

    /// The first functions outside of this module, with a comma between them.
    #[cfg(all(CONFIG_STACKTRACE, CONFIG_KALLSYMS))]
    fn format_callers(&self, text: &mut Text) -> Result {
        let mut room = CALLERS_LEN;
        let mut comma = "";
        let symbols = self.trace.frames().map(|address| address.symbol());
        for symbol in symbols
            .filter(|symbol| !symbol.is_in("mmu_notifier_inject"))
            .take(CALLERS)
        {
            let function = symbol.function();
            let Some(left) = room.checked_sub(function.len().saturating_add(1)) else {
                break;
            };
            room = left;
            text.add(fmt!("{comma}{function}"))?;
            comma = ",";
        }
        Ok(())
    }

    /// A kernel without stack traces or names has none.
    #[cfg(not(all(CONFIG_STACKTRACE, CONFIG_KALLSYMS)))]
    fn format_callers(&self, _text: &mut Text) -> Result {
        Ok(())
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

    fn push(&mut self, entry: Entry) {
        let index = self.written;
        if let Some(slot) = self.slot(index) {
            *slot = entry;
        }
        self.written = index.wrapping_add(1);
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
    /// A log of as many entries as fit into `bytes`, and one at least.
    pub(crate) fn new(bytes: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ring <- {
                let capacity = bytes.checked_div(size_of::<Entry>()).unwrap_or(0).max(1);
                let entries = KVVec::from_elem(Entry::EMPTY, capacity, GFP_KERNEL_ACCOUNT)?;
                new_spinlock!(Ring { entries, written: 0 })
            },
        }? Error)
    }

    /// Adds a call to which the callback is about to return `returned`.
    pub(crate) fn add(
        &self,
        operation: Operation,
        arguments: Arguments,
        injected: bool,
        returned: i32,
    ) {
        let mut entry = Entry {
            seq: 0,
            time_ns: monotonic_ns(),
            arguments,
            trace: Trace::save(),
            tid: current!().pid(),
            comm: task::current_comm(),
            returned,
            operation,
            injected,
        };
        let mut ring = self.ring.lock();
        // Under the lock, so that one target's entries are in the order of their numbers.
        entry.seq = TOTAL_ENTRIES.fetch_add(1, Relaxed);
        ring.push(entry);
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
    /// Returns the bytes copied so far if an error or a kill of the reader ends it early.
    ///
    /// [`FileOperations::read`]: crate::abstractions::debugfs::FileOperations::read
    pub(crate) fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        const LINE_BYTES: u64 = LINE as u64;
        let mut copied: usize = 0;
        while out.room() > 0 && !task::fatal_signal_pending() {
            let wanted = *position / LINE_BYTES;
            let Some((index, entry)) = self.ring.lock().entry_from(wanted) else {
                break;
            };
            let done = if index == wanted {
                *position % LINE_BYTES
            } else {
                0
            };

            let line = match entry.format() {
                Err(_) if copied > 0 => break,
                line => line?,
            };
            let rest = line.as_bytes().get(done as usize..).unwrap_or(&[]);
            let part = rest.get(..out.room()).unwrap_or(rest);
            match out.put(part) {
                Err(_) if copied > 0 => break,
                result => result?,
            }
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

#[kunit_tests(mmu_notifier_inject_log)]
mod tests {
    use super::*;

    fn ring(capacity: usize, written: u64) -> Result<Ring> {
        let mut ring = Ring {
            entries: KVVec::from_elem(Entry::EMPTY, capacity, GFP_KERNEL)?,
            written: 0,
        };
        for seq in 0..written {
            ring.push(Entry {
                seq,
                ..Entry::EMPTY
            });
        }
        Ok(ring)
    }

    #[test]
    fn a_reader_gets_each_entry_once() -> Result {
        let mut ring = ring(4, 3)?;
        for index in 0..3 {
            let (at, entry) = ring.entry_from(index).ok_or(EINVAL)?;
            assert_eq!((at, entry.seq), (index, index));
        }
        assert!(ring.entry_from(3).is_none());
        assert_eq!(ring.oldest(), 0);
        Ok(())
    }

    #[test]
    fn a_late_reader_goes_on_with_the_oldest() -> Result {
        let mut ring = ring(4, 11)?;
        assert_eq!(ring.oldest(), 7);
        let (at, entry) = ring.entry_from(2).ok_or(EINVAL)?;
        assert_eq!((at, entry.seq), (7, 7));
        let (at, entry) = ring.entry_from(10).ok_or(EINVAL)?;
        assert_eq!((at, entry.seq), (10, 10));
        Ok(())
    }

    #[test]
    fn the_longest_line_fits() -> Result {
        let entry = Entry {
            seq: u64::MAX,
            time_ns: u64::MAX,
            arguments: Arguments {
                event: Some(Event::ProtectionPage),
                start: u64::MAX,
                end: u64::MAX,
                blockable: false,
                cur_seq: u64::MAX,
            },
            trace: Trace::save(),
            tid: i32::MIN,
            comm: [1; task::COMM_LEN],
            returned: -4095,
            operation: Operation::Release,
            injected: true,
        };
        let text = entry.format()?;
        let callers = text
            .as_bytes()
            .windows(9)
            .position(|bytes| bytes == b" callers=")
            .ok_or(EINVAL)?;
        // KUnit's macro has a `LINE` of its own.
        let room = LINE;
        assert!(callers + 9 + CALLERS_LEN + 1 <= room);
        assert!(text.as_bytes().len() <= room);
        assert_eq!(text.as_bytes().last(), Some(&b'\n'));
        Ok(())
    }

    #[test]
    fn callers_are_the_kernels() -> Result {
        let entry = Entry {
            trace: Trace::save(),
            ..Entry::EMPTY
        };
        let text = entry.format()?;
        let line = core::str::from_utf8(text.as_bytes()).map_err(|_| EINVAL)?;
        // A test is called by KUnit; frames of this module come before that, and are left out.
        let (_, callers) = line.split_once(" callers=").ok_or(EINVAL)?;
        assert!(callers.starts_with("kunit_"));
        Ok(())
    }
}
