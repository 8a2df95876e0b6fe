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
    operation::Operation,
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

/// Number of frames of which an entry names the callers. The module's own come first, and are not
/// named.
const FRAMES: usize = 12;

/// How many callers an entry names, and how many bytes they may take: what is before them in a
/// line takes up to 325.
const CALLERS: usize = 4;
const CALLERS_LEN: usize = 184;

/// Log entries of all targets since the module was loaded; numbers the entries.
pub(crate) static TOTAL_ENTRIES: Atomic<u64> = Atomic::new(0);

/// Arguments of a callback.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    pub(crate) event: Option<Event>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) blockable: bool,
    /// 0 for a callback that is called without.
    cur_seq: u64,
    /// Whether the range has an owner. Which one is an address of the kernel's, and is not shown.
    owner: bool,
}

impl Arguments {
    /// Those of `release`, which has none.
    pub(crate) const RELEASE: Arguments = Arguments {
        event: Some(Event::Release),
        start: 0,
        end: 0,
        blockable: true,
        cur_seq: 0,
        owner: false,
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
            owner: range.owner().is_some_and(|owner| !owner.is_null()),
        }
    }

    /// Those of a callback that is called with addresses only, and that must not sleep.
    pub(crate) fn of_addresses(range: core::ops::Range<usize>) -> Self {
        Arguments {
            event: None,
            start: range.start as u64,
            end: range.end as u64,
            blockable: false,
            cur_seq: 0,
            owner: false,
        }
    }
}

/// One call of a callback.
#[derive(Clone, Copy)]
struct Entry {
    seq: u64,
    time_ns: u64,
    arguments: Arguments,
    trace: Trace<FRAMES>,
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
        let event = match arguments.event {
            Some(event) => event.name_str(),
            None if self.operation.has_no_event() => "NONE",
            None => "UNKNOWN",
        };
        let context = if arguments.blockable {
            "blockable"
        } else {
            "non-blockable"
        };
        let mut text = Text::with_capacity(LINE)?;
        text.add(fmt!(
            "seq={} time_ns={} op={} event={event} start={:#x} end={:#x} context={context} \
             tid={} comm={} injected={} returned={} cur_seq={} owner={} callers=",
            self.seq,
            self.time_ns,
            self.operation.name(),
            arguments.start,
            arguments.end,
            self.tid,
            Word(&self.comm),
            u8::from(self.injected),
            self.returned,
            arguments.cur_seq,
            u8::from(arguments.owner)
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
    /// A reader may take as few bytes at a time as it likes. It gets the entries up to the one that
    /// was the newest when it began, and then the end of the file, however fast entries are added;
    /// if it reads on after that, it gets those that were added since. A position whose entry was
    /// overwritten moves to the oldest that is left.
    ///
    /// Returns the bytes copied so far if an error or a kill of the reader ends it early.
    ///
    /// [`FileOperations::read`]: crate::abstractions::debugfs::FileOperations::read
    pub(crate) fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        let mut place = Place::from_position(*position, self.ring.lock().written);
        let end = match place.end {
            Some(end) => end,
            None => self.ring.lock().written,
        };
        let mut copied: usize = 0;
        while out.room() > 0 && !task::fatal_signal_pending() {
            let found = self.ring.lock().entry_from(place.index);
            let Some((index, entry)) = found.filter(|(index, _)| *index < end) else {
                if copied == 0 {
                    place.end = None;
                }
                break;
            };
            if index != place.index {
                place.left = 0;
            }

            let line = match entry.format() {
                Err(_) if copied > 0 => break,
                line => line?,
            };
            let bytes = line.as_bytes();
            let rest = match place.left {
                0 => bytes,
                left => bytes
                    .get(bytes.len().saturating_sub(left)..)
                    .unwrap_or(bytes),
            };
            let part = rest.get(..out.room()).unwrap_or(rest);
            match out.put(part) {
                Err(_) if copied > 0 => break,
                result => result?,
            }
            copied = copied.saturating_add(part.len());
            place = match rest.len().saturating_sub(part.len()) {
                0 => Place {
                    index: index.wrapping_add(1),
                    left: 0,
                    end: Some(end),
                },
                left => Place {
                    index,
                    left,
                    end: Some(end),
                },
            };
        }
        *position = place.to_position();
        Ok(copied)
    }
}

/// Where a reader is.
///
/// All of it stands in the file's position, since our files have no `open` and no `release` that
/// could keep it for a reader: from the lowest bits a byte, an index, and an end. The byte counts
/// to the end of [`LINE`], so one that goes back by some bytes, as shells do to read line by line,
/// is where it wants to be.
#[derive(Clone, Copy)]
struct Place {
    /// Index of an entry.
    index: u64,
    /// Number of bytes of its line that are left to be read; 0: all.
    left: usize,
    /// Index of the first entry that is not read. [`None`] before the first read, and after the end
    /// of the file.
    end: Option<u64>,
}

impl Place {
    const BYTE_BITS: u32 = LINE.trailing_zeros();
    const BYTES: u64 = LINE as u64;
    const INDEX_BITS: u32 = 33;
    const INDEX: u64 = (1 << Self::INDEX_BITS) - 1;
    /// More entries than a log has: 64 MiB of them.
    const END_BITS: u32 = 20;
    const END: u64 = (1 << Self::END_BITS) - 1;
    const HAS_END: u64 = 1 << (Self::BYTE_BITS + Self::INDEX_BITS + Self::END_BITS);

    /// The place at a position, of a log in which so many entries were written.
    fn from_position(position: u64, written: u64) -> Self {
        let low = position >> Self::BYTE_BITS & Self::INDEX;
        // The newest entry with these bits.
        let age = written.wrapping_sub(low) & Self::INDEX;
        let index = written.checked_sub(age).unwrap_or(low);
        let left = match position % Self::BYTES {
            0 => 0,
            byte => Self::BYTES.saturating_sub(byte),
        };
        let end = position >> (Self::BYTE_BITS + Self::INDEX_BITS);
        let entries = end.wrapping_sub(index) & Self::END;
        Place {
            index,
            left: left as usize,
            end: (position & Self::HAS_END != 0).then_some(index.wrapping_add(entries)),
        }
    }

    fn to_position(self) -> u64 {
        let byte = match self.left {
            0 => 0,
            left => Self::BYTES.saturating_sub(left as u64),
        };
        let end = match self.end {
            None => 0,
            Some(end) => (end & Self::END) << (Self::BYTE_BITS + Self::INDEX_BITS) | Self::HAS_END,
        };
        end | (self.index & Self::INDEX) << Self::BYTE_BITS | byte
    }
}

// A position must not be negative.
static_assert!(Place::HAS_END <= i64::MAX as u64);

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

    /// A buffer for so many bytes. Each time that something is put into it, an entry is added to
    /// the log.
    struct Busy<'a> {
        log: &'a Log,
        bytes: KVec<u8>,
        room: usize,
    }

    impl Output for Busy<'_> {
        fn room(&self) -> usize {
            self.room.saturating_sub(self.bytes.len())
        }

        fn put(&mut self, bytes: &[u8]) -> Result {
            add(self.log);
            Ok(self.bytes.extend_from_slice(bytes, GFP_KERNEL)?)
        }
    }

    /// Adds an entry with its index for a number.
    fn add(log: &Log) {
        let mut ring = log.ring.lock();
        let seq = ring.written;
        ring.push(Entry {
            seq,
            ..Entry::EMPTY
        });
    }

    /// A log for so many entries, with one.
    fn log(entries: usize) -> Result<Pin<KBox<Log>>> {
        let log = KBox::pin_init(Log::new(entries * size_of::<Entry>()), GFP_KERNEL)?;
        add(&log);
        Ok(log)
    }

    fn read(log: &Log, position: &mut u64, room: usize) -> Result<KVec<u8>> {
        let bytes = KVec::new();
        let mut out = Busy { log, bytes, room };
        let copied = log.read(position, &mut out)?;
        assert_eq!(copied, out.bytes.len());
        Ok(out.bytes)
    }

    /// Whether this is one line, of the entry of that index.
    fn is_line(bytes: &[u8], index: u64) -> Result<bool> {
        let mut start = Text::with_capacity(0)?;
        start.add(fmt!("seq={index} "))?;
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        Ok(lines == 1 && bytes.starts_with(start.as_bytes()) && bytes.ends_with(b"\n"))
    }

    #[test]
    fn a_reader_meets_the_end_although_entries_are_added() -> Result {
        let log = log(4)?;
        let mut position = 0;
        assert!(is_line(&read(&log, &mut position, 4096)?, 0)?);
        // The end, once: then what was added before it reads on.
        assert_eq!(read(&log, &mut position, 4096)?.len(), 0);
        assert!(is_line(&read(&log, &mut position, 4096)?, 1)?);
        assert_eq!(read(&log, &mut position, 4096)?.len(), 0);
        Ok(())
    }

    #[test]
    fn a_reader_in_parts_meets_the_end_too() -> Result {
        let log = log(256)?;
        let mut position = 0;
        let mut line = KVec::new();
        loop {
            let part = read(&log, &mut position, 7)?;
            if part.len() == 0 {
                break;
            }
            line.extend_from_slice(&part, GFP_KERNEL)?;
        }
        assert!(is_line(&line, 0)?);
        Ok(())
    }

    #[test]
    fn a_reader_that_is_overtaken_meets_the_end() -> Result {
        let log = log(4)?;
        let mut position = 0;
        assert_eq!(read(&log, &mut position, 7)?.len(), 7);
        for _ in 0..8 {
            add(&log);
        }
        assert_eq!(read(&log, &mut position, 4096)?.len(), 0);
        assert!(read(&log, &mut position, 4096)?.starts_with(b"seq=6 "));
        Ok(())
    }

    #[test]
    fn a_reader_that_goes_back_reads_the_same_again() -> Result {
        let log = log(8)?;
        add(&log);
        let mut position = 0;
        let both = read(&log, &mut position, 4096)?;
        position -= 5;
        let again = read(&log, &mut position, 4096)?;
        assert_eq!(
            Some(again.as_slice()),
            both.last_chunk::<5>().map(|last| last.as_slice())
        );
        assert!(again.len() == 5);
        Ok(())
    }

    #[test]
    fn a_position_is_never_negative_and_never_of_another_entry() {
        for written in [0, 5, Place::INDEX, Place::INDEX + 1, u64::MAX / 2] {
            for left in [0, 1, LEFT_MOST] {
                let index = written.saturating_sub(3);
                let end = Some(index + 3);
                let place = Place { index, left, end };
                let position = place.to_position();
                assert!(position as i64 >= 0);
                let same = Place::from_position(position, written + 100);
                assert_eq!((same.index, same.left, same.end), (index, left, end));
            }
        }
    }

    /// Bytes of the longest line but one. KUnit's macro has a `LINE` of its own.
    const LEFT_MOST: usize = Place::BYTES as usize - 1;

    /// A call with the longest words.
    fn longest() -> Entry {
        Entry {
            seq: u64::MAX,
            time_ns: u64::MAX,
            arguments: Arguments {
                event: Some(Event::ProtectionPage),
                start: u64::MAX,
                end: u64::MAX,
                blockable: false,
                cur_seq: u64::MAX,
                owner: true,
            },
            trace: Trace::save(),
            tid: i32::MIN,
            comm: [1; task::COMM_LEN],
            returned: -4095,
            operation: Operation::Release,
            injected: true,
        }
    }

    #[test]
    fn the_longest_line_fits() -> Result {
        demand_fit(&longest())?;
        demand_fit(&Entry {
            arguments: Arguments::of_addresses(usize::MAX..usize::MAX),
            operation: Operation::SecondaryTlbs,
            ..longest()
        })
    }

    fn demand_fit(entry: &Entry) -> Result {
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

    /// Whether a line has that word.
    fn has(entry: &Entry, word: &[u8]) -> Result<bool> {
        let text = entry.format()?;
        Ok(text
            .as_bytes()
            .split(|byte| *byte == b' ')
            .any(|found| found == word))
    }

    #[test]
    fn a_line_says_whether_the_range_has_an_owner() -> Result {
        assert!(has(&longest(), b"owner=1")?);
        assert!(has(&Entry::EMPTY, b"owner=0")?);
        Ok(())
    }

    #[test]
    fn a_callback_without_an_event_says_so() -> Result {
        for operation in [
            Operation::ClearFlushYoung,
            Operation::ClearYoung,
            Operation::TestYoung,
            Operation::SecondaryTlbs,
        ] {
            let entry = Entry {
                arguments: Arguments::of_addresses(0x1000..0x2000),
                operation,
                ..Entry::EMPTY
            };
            for word in [
                b"event=NONE".as_slice(),
                b"start=0x1000",
                b"end=0x2000",
                b"context=non-blockable",
                b"owner=0",
            ] {
                assert!(has(&entry, word)?);
            }
        }
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
