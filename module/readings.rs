// SPDX-License-Identifier: GPL-2.0

//! Texts that are made anew for each reader, and read in parts.

use crate::{
    abstractions::{
        errno,
        Output, //
    },
    text::{
        self,
        Text, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// How many texts are kept for their readers to go on with.
const KEPT: usize = 32;

/// Where a reader is: in which text, and how many bytes of it are left.
///
/// All of it stands in the file's position, since our files have no `open` and no `release` that
/// could keep it for a reader. The byte stands lowest and counts to the end of the text, which is
/// the same position in every text: so a reader that is done is at the end also where its text is
/// gone, and one that goes back by some bytes, as shells do to read line by line, is where it wants
/// to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At that byte of a text that is to be made.
    New(u64),
    /// In the text of that number, which is not 0.
    In { id: u64, left: u64 },
}

impl Place {
    const BITS: u32 = 24;
    /// The longest text of which a part can be read.
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// Numbers of texts: so many that none comes twice. What is left for them of a position, which
    /// must not be negative.
    const IDS: u64 = (1 << (63 - Self::BITS)) - 1;

    const fn from_position(position: u64) -> Self {
        let low = position & Self::MASK;
        match position >> Self::BITS & Self::IDS {
            0 => Place::New(low),
            id => Place::In {
                id,
                left: Self::MASK - low,
            },
        }
    }

    const fn to_position(self) -> u64 {
        match self {
            Place::New(next) => next & Self::MASK,
            Place::In { id, left } => id << Self::BITS | (Self::MASK - left),
        }
    }
}

/// A text that somebody has begun to read.
struct Begun {
    id: u64,
    text: Arc<Text>,
    /// Whether its reader has got all of it, and is not likely to come back.
    is_done: bool,
}

/// The last texts that somebody has begun to read, from the oldest.
struct Kept {
    begun: KVec<Begun>,
    last_id: u64,
}

impl Kept {
    fn find(&self, id: u64) -> Option<Arc<Text>> {
        let begun = self.begun.iter().find(|begun| begun.id == id);
        begun.map(|begun| begun.text.clone())
    }

    /// Keeps `text`, and returns its number. In the place of one that is done, if there is one.
    fn add(&mut self, text: Arc<Text>) -> Result<u64> {
        if self.begun.len() >= KEPT {
            let done = self.begun.iter().position(|begun| begun.is_done);
            let oldest = self.begun.remove(done.unwrap_or(0));
            oldest.map_err(|_| EINVAL)?;
        }
        // Never 0, and it still fits a position when it begins again.
        self.last_id = self.last_id % Place::IDS + 1;
        let begun = Begun {
            id: self.last_id,
            text,
            is_done: false,
        };
        self.begun.push(begun, GFP_KERNEL)?;
        Ok(self.last_id)
    }

    fn set_done(&mut self, id: u64) {
        if let Some(begun) = self.begun.iter_mut().find(|begun| begun.id == id) {
            begun.is_done = true;
        }
    }
}

/// Texts that are made anew for each reader.
///
/// A reader that comes with a small buffer, or that asks once more to find the end, gets all of one
/// text and not the beginning of one and the end of another.
#[pin_data]
pub(crate) struct Readings {
    /// A leaf. There is room for all texts that are kept, so nothing is allocated under it, and
    /// nobody who reads waits for reclaim, which may call a notifier that sleeps.
    #[pin]
    kept: Mutex<Kept>,
}

impl Readings {
    /// Nobody reads.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let begun = KVec::with_capacity(KEPT, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Readings {
                kept <- new_mutex!(Kept { begun, last_id: 0 }),
            }),
            GFP_KERNEL,
        )
    }

    /// Copies out what stands at `position` of the text that its reader has begun, or for a reader
    /// that begins, of one that is made now.
    ///
    /// Fails with `ESTALE` where so many others have begun since, and not finished, that the text
    /// is gone, with `EINVAL` for a position before its beginning, and with `EFBIG` for a text of
    /// 16 MiB and more.
    pub(crate) fn read(
        &self,
        position: &mut u64,
        out: &mut dyn Output,
        make: impl FnOnce(&mut Text) -> Result,
    ) -> Result<usize> {
        let (id, text, left) = match Place::from_position(*position) {
            Place::In { left: 0, .. } => return Ok(0),
            Place::In { id, left } => {
                let text = self.kept.lock().find(id).ok_or_else(errno::stale)?;
                (id, text, left)
            }
            Place::New(next) => {
                let mut text = Text::with_capacity(0)?;
                make(&mut text)?;
                let len = text.as_bytes().len() as u64;
                if len > Place::MASK {
                    return Err(EFBIG);
                }
                (0, Arc::new(text, GFP_KERNEL)?, len.saturating_sub(next))
            }
        };
        let len = text.as_bytes().len() as u64;
        let mut next = len.checked_sub(left).ok_or(EINVAL)?;
        let copied = text::copy_out(text.as_bytes(), &mut next, out)?;
        if copied == 0 {
            return Ok(0);
        }
        let mut kept = self.kept.lock();
        let id = match id {
            0 => kept.add(text)?,
            id => id,
        };
        let left = len.saturating_sub(next);
        if left == 0 {
            kept.set_done(id);
        }
        *position = Place::In { id, left }.to_position();
        Ok(copied)
    }
}

#[kunit_tests(mmu_notifier_inject_readings)]
mod tests {
    use super::*;

    /// A buffer of so many bytes.
    struct Buffer(KVec<u8>, usize);

    impl Output for Buffer {
        fn room(&self) -> usize {
            self.1.saturating_sub(self.0.len())
        }

        fn put(&mut self, bytes: &[u8]) -> Result {
            Ok(self.0.extend_from_slice(bytes, GFP_KERNEL)?)
        }
    }

    /// What a read into that many bytes gets, while the file says `now`.
    fn read(readings: &Readings, position: &mut u64, room: usize, now: &str) -> Result<KVec<u8>> {
        let mut buffer = Buffer(KVec::new(), room);
        let copied = readings.read(position, &mut buffer, |text| text.add(fmt!("{now}")))?;
        if copied != buffer.0.len() {
            return Err(EIO);
        }
        Ok(buffer.0)
    }

    #[test]
    fn who_has_read_all_is_at_the_end_whatever_comes() -> Result {
        let readings = Readings::new()?;
        let mut position = 0;
        assert_eq!(
            read(&readings, &mut position, 64, "any\n")?.as_slice(),
            b"any\n"
        );
        assert_eq!(
            read(&readings, &mut position, 64, "nonblockable\n")?.as_slice(),
            b""
        );
        assert_eq!(read(&readings, &mut position, 64, "any\n")?.as_slice(), b"");
        Ok(())
    }

    #[test]
    fn who_reads_in_parts_gets_one_text() -> Result {
        let readings = Readings::new()?;
        let mut position = 0;
        assert_eq!(
            read(&readings, &mut position, 3, "one\ntwo\n")?.as_slice(),
            b"one"
        );
        assert_eq!(
            read(&readings, &mut position, 3, "three\n")?.as_slice(),
            b"\ntw"
        );
        assert_eq!(
            read(&readings, &mut position, 3, "three\n")?.as_slice(),
            b"o\n"
        );
        assert_eq!(
            read(&readings, &mut position, 3, "three\n")?.as_slice(),
            b""
        );
        position = 0;
        assert_eq!(
            read(&readings, &mut position, 9, "three\n")?.as_slice(),
            b"three\n"
        );
        Ok(())
    }

    #[test]
    fn who_goes_back_reads_the_same_again() -> Result {
        let readings = Readings::new()?;
        let mut position = 0;
        read(&readings, &mut position, 64, "one\ntwo\n")?;
        position -= 4;
        assert_eq!(
            read(&readings, &mut position, 64, "three\n")?.as_slice(),
            b"two\n"
        );
        Ok(())
    }

    #[test]
    fn who_is_in_the_middle_is_kept_and_who_comes_too_late_is_told() -> Result {
        let readings = Readings::new()?;
        let mut slow = 0;
        read(&readings, &mut slow, 1, "one\n")?;
        let mut done = 0;
        read(&readings, &mut done, 64, "one\n")?;
        for _ in 0..KEPT * 3 {
            read(&readings, &mut 0, 64, "two\n")?;
        }
        assert_eq!(
            read(&readings, &mut slow, 1, "two\n")?.as_slice(),
            b"n".as_slice()
        );
        for _ in 0..KEPT {
            read(&readings, &mut 0, 1, "two\n")?;
        }
        assert_eq!(
            read(&readings, &mut slow, 3, "two\n").err(),
            Some(errno::stale())
        );
        assert_eq!(read(&readings, &mut done, 3, "two\n")?.as_slice(), b"");
        Ok(())
    }

    #[test]
    fn who_goes_back_too_far_is_told() -> Result {
        let readings = Readings::new()?;
        let mut position = 0;
        read(&readings, &mut position, 64, "one\n")?;
        position -= 5;
        assert_eq!(
            read(&readings, &mut position, 64, "two\n").err(),
            Some(EINVAL)
        );
        Ok(())
    }

    #[test]
    fn numbers_are_no_other_readers_after_very_many() -> Result {
        let readings = Readings::new()?;
        let mut paused = 0;
        read(&readings, &mut paused, 1, "one\n")?;
        // Once, as many as this brought back the first number.
        readings.kept.lock().last_id += (1 << 20) - 1;
        for _ in 0..KEPT {
            read(&readings, &mut 0, 1, "two\n")?;
        }
        assert_eq!(
            read(&readings, &mut paused, 9, "two\n").err(),
            Some(errno::stale())
        );
        readings.kept.lock().last_id = Place::IDS - 1;
        for _ in 0..3 {
            let mut position = 0;
            read(&readings, &mut position, 1, "one\n")?;
            assert!(position as i64 > 0);
            assert_eq!(
                read(&readings, &mut position, 9, "two\n")?.as_slice(),
                b"ne\n"
            );
        }
        Ok(())
    }
}
