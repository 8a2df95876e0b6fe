// SPDX-License-Identifier: GPL-2.0

//! Reads the kernel's log between markers, and reports lost records.

use std::io::{self, ErrorKind};

use nix::libc;

use crate::kmsg::device::{DevKmsg, Source};
use crate::kmsg::marker::Marker;
use crate::kmsg::record::Record;
use crate::os::limit::Limit;

/// Size of the buffer in bytes. The longest record has 8 KiB, with all escapes.
const BUFFER: usize = 16 * 1024;

/// The most records that one read without a last record returns.
const AT_ONCE: usize = 100_000;

/// Reads the kernel's log record by record.
///
/// ```no_run
/// # use std::time::Duration;
/// # use mn_inject::kmsg::KmsgReader;
/// # use mn_inject::os::limit::Limit;
/// let mut kmsg = KmsgReader::open_at_end()?;
/// let begin = kmsg.mark("begin")?;
/// kmsg.read_until(&begin, &mut Limit::new(Duration::from_secs(1)));
/// // ... what is to be observed ...
/// let end = kmsg.mark("end")?;
/// let (records, lost) = kmsg.read_until(&end, &mut Limit::new(Duration::from_secs(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct KmsgReader<S = DevKmsg> {
    source: S,
    buffer: Vec<u8>,
    next_seq: Option<u64>,
}

impl KmsgReader<DevKmsg> {
    /// Opens `/dev/kmsg` behind its last record.
    pub fn open_at_end() -> io::Result<Self> {
        let mut reader = Self::new(DevKmsg::open()?);
        reader.skip_to_end()?;
        Ok(reader)
    }
}

impl<S: Source> KmsgReader<S> {
    /// Creates a reader that starts at the source's position.
    pub fn new(source: S) -> Self {
        KmsgReader {
            source,
            buffer: vec![0; BUFFER],
            next_seq: None,
        }
    }

    /// Skips the records that are in the log already. They do not count as lost.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        self.next_seq = None;
        self.source.skip_to_end()
    }

    /// Writes a marker with a token that never comes twice to the log. The label is for people.
    pub fn mark(&mut self, label: &str) -> io::Result<Marker> {
        let marker = Marker::new(label);
        self.source.write(&marker.line())?;
        Ok(marker)
    }

    /// Returns the records up to the marker, without the marker, and the reason why some may be
    /// missing.
    pub fn read_until(
        &mut self,
        marker: &Marker,
        limit: &mut Limit,
    ) -> (Vec<Record>, Option<String>) {
        let (mut records, lost) = self.read_to(|record| marker.is(record), limit);
        records.pop_if(|record| marker.is(record));
        (records, lost)
    }

    /// Returns the records up to the first for which `is_last` holds, with that one, and the reason
    /// why some may be missing.
    pub fn read_to(
        &mut self,
        is_last: impl FnMut(&Record) -> bool,
        limit: &mut Limit,
    ) -> (Vec<Record>, Option<String>) {
        self.read(is_last, Some(limit))
    }

    /// Returns the records that are in the log now, 100,000 at most, and the reason why some may be
    /// missing. It does not wait.
    pub fn read_available(&mut self) -> (Vec<Record>, Option<String>) {
        self.read(|_| false, None)
    }

    /// Reads to the last record, which must come within the limit; without a limit, to the end of
    /// the log.
    fn read(
        &mut self,
        mut is_last: impl FnMut(&Record) -> bool,
        mut limit: Option<&mut Limit>,
    ) -> (Vec<Record>, Option<String>) {
        let mut records = Vec::new();
        let mut lost = Lost::default();
        // In a flood of records, the end of the log may never be reached. The rest is read next
        // time.
        while limit.is_some() || records.len() < AT_ONCE {
            match self.source.read(&mut self.buffer) {
                Ok(0) => {
                    lost.note("the log ended before the last record that was due");
                    break;
                }
                Ok(len) => {
                    if let Some(record) = self.parse(len, &mut lost) {
                        let last = is_last(&record);
                        records.push(record);
                        if last {
                            break;
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let Some(limit) = limit.as_deref_mut() else {
                        break;
                    };
                    if limit.is_over() {
                        lost.note("the last record that was due did not come in time");
                        break;
                    }
                    if let Err(error) = self.source.wait(limit.slice()) {
                        lost.note(&format!("cannot wait for the log: {error}"));
                        break;
                    }
                    continue;
                }
                // The kernel has moved the position to the oldest record that is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    lost.note("records were overwritten before they could be read");
                }
                // The kernel has moved the position behind the record.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    lost.note("a record was too long to be read");
                }
                Err(error) => {
                    lost.note(&format!("cannot read the log: {error}"));
                    break;
                }
            }
            // In a flood of records, EAGAIN may never come.
            if limit.as_deref_mut().is_some_and(Limit::is_over) {
                lost.note("the last record that was due did not come in time");
                break;
            }
        }
        (records, lost.0)
    }

    /// Parses the record in the first `len` bytes of the buffer, and checks its number.
    fn parse(&mut self, len: usize, lost: &mut Lost) -> Option<Record> {
        let raw = String::from_utf8_lossy(&self.buffer[..len]);
        let record: Record = match raw.parse() {
            Ok(record) => record,
            Err(error) => {
                lost.note(&format!("a record is unreadable ({error}): {raw:?}"));
                // Its number is unknown, so the next one cannot be checked.
                self.next_seq = None;
                return None;
            }
        };
        if let Some(next) = self.next_seq
            && record.seq != next
        {
            lost.note(&format!("record {} came where {next} was due", record.seq));
        }
        self.next_seq = record.seq.checked_add(1);
        Some(record)
    }
}

/// The reasons why records may be missing, each once: an overrun repeats itself.
#[derive(Default)]
struct Lost(Option<String>);

impl Lost {
    fn note(&mut self, reason: &str) {
        match &mut self.0 {
            None => self.0 = Some(reason.to_owned()),
            Some(all) if all.contains(reason) || all.len() > 1000 => {}
            Some(all) => {
                all.push_str("; ");
                all.push_str(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;
    use crate::os::limit::fake_clock;

    /// A limit by the clock that the fake sources move.
    fn soon() -> Limit {
        Limit::with_clock(Duration::from_millis(500), fake_clock::now)
    }

    /// The result of a read.
    #[derive(Debug)]
    enum Step {
        Raw(String),
        Errno(i32),
        /// The last marker that was written, as a record with this priority.
        Marker(u32, u64),
        /// `EAGAIN`, after a time in which this process did not run, as in a paused guest.
        Pause(Duration),
    }

    #[derive(Debug, Default)]
    struct Fake {
        steps: VecDeque<Step>,
        written: Vec<String>,
        waits: usize,
    }

    impl Source for Fake {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let raw = match self.steps.pop_front() {
                None => return Err(io::Error::from_raw_os_error(libc::EAGAIN)),
                Some(Step::Errno(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                Some(Step::Pause(time)) => {
                    fake_clock::advance(time);
                    return Err(io::Error::from_raw_os_error(libc::EAGAIN));
                }
                Some(Step::Raw(raw)) => raw,
                Some(Step::Marker(prio, seq)) => {
                    let line = self.written.last().expect("a marker was written");
                    let text = line.strip_prefix("<14>").expect("user facility");
                    format!("{prio},{seq},1,-;{text}")
                }
            };
            buffer[..raw.len()].copy_from_slice(raw.as_bytes());
            Ok(raw.len())
        }

        fn wait(&mut self, timeout: Duration) -> io::Result<()> {
            self.waits += 1;
            fake_clock::advance(timeout);
            Ok(())
        }

        fn write(&mut self, line: &str) -> io::Result<()> {
            self.written.push(line.to_owned());
            Ok(())
        }

        fn skip_to_end(&mut self) -> io::Result<()> {
            self.steps.retain(|step| matches!(step, Step::Marker(..)));
            Ok(())
        }
    }

    fn raw(seq: u64) -> Step {
        Step::Raw(format!("6,{seq},1,-;text {seq}\n"))
    }

    fn read(steps: impl IntoIterator<Item = Step>) -> (Vec<u64>, Option<String>) {
        let mut reader = KmsgReader::new(Fake {
            steps: steps.into_iter().collect(),
            ..Fake::default()
        });
        let marker = reader.mark("end").unwrap();
        let (records, lost) = reader.read_until(&marker, &mut soon());
        (records.into_iter().map(|record| record.seq).collect(), lost)
    }

    #[test]
    fn records_up_to_the_marker_are_read() {
        assert_eq!(
            read([raw(7), raw(8), Step::Marker(14, 9), raw(10)]),
            (vec![7, 8], None)
        );
    }

    #[test]
    fn waits_and_interruptions_lose_nothing() {
        assert_eq!(
            read([
                raw(1),
                Step::Errno(libc::EAGAIN),
                Step::Errno(libc::EINTR),
                raw(2),
                Step::Marker(14, 3)
            ]),
            (vec![1, 2], None)
        );
    }

    #[test]
    fn overwritten_records_are_noted_and_reading_goes_on() {
        let (seqs, lost) = read([
            raw(1),
            Step::Errno(libc::EPIPE),
            raw(9),
            Step::Marker(14, 10),
        ]);
        assert_eq!(seqs, [1, 9]);
        let lost = lost.unwrap();
        assert!(lost.contains("overwritten"), "{lost}");
        assert!(lost.contains("record 9 came where 2 was due"), "{lost}");
    }

    #[test]
    fn a_gap_before_a_record_or_before_the_marker_is_a_loss() {
        assert!(read([raw(1), raw(3), Step::Marker(14, 4)]).1.is_some());
        assert!(read([raw(1), Step::Marker(14, 3)]).1.is_some());
        assert!(read([raw(2), raw(1), Step::Marker(14, 2)]).1.is_some());
    }

    #[test]
    fn a_record_that_is_too_long_or_unreadable_is_a_loss() {
        let (seqs, lost) = read([
            raw(1),
            Step::Errno(libc::EINVAL),
            raw(3),
            Step::Marker(14, 4),
        ]);
        assert_eq!(seqs, [1, 3]);
        assert!(lost.unwrap().contains("too long"));

        let (seqs, lost) = read([raw(1), Step::Raw("6,2".into()), raw(3), Step::Marker(14, 4)]);
        assert_eq!(seqs, [1, 3]);
        assert!(lost.unwrap().contains("unreadable"));
    }

    #[test]
    fn a_marker_that_never_comes_is_a_loss() {
        let (seqs, lost) = read([raw(1)]);
        assert_eq!(seqs, [1]);
        assert!(lost.unwrap().contains("did not come in time"));

        let (_, lost) = read([Step::Raw(String::new())]);
        assert!(lost.unwrap().contains("the log ended before"));

        let (_, lost) = read([Step::Errno(libc::EIO)]);
        assert!(lost.unwrap().contains("cannot read"));
    }

    #[test]
    fn the_kernel_cannot_write_a_marker() {
        let (seqs, lost) = read([Step::Marker(6, 1)]);
        assert_eq!(seqs, [1]);
        assert!(lost.is_some());
    }

    #[test]
    fn available_records_are_read_without_a_wait() {
        let mut reader = KmsgReader::new(Fake {
            steps: [raw(1), raw(2), Step::Errno(libc::EAGAIN), raw(3)].into(),
            ..Fake::default()
        });
        let (records, lost) = reader.read_available();
        assert_eq!((records.len(), lost), (2, None));
        let (records, lost) = reader.read_available();
        assert_eq!((records.len(), lost), (1, None));
        reader.source.steps.push_back(raw(5));
        let (records, lost) = reader.read_available();
        assert_eq!((records.len(), lost.is_some()), (1, true));
        assert_eq!(reader.source.waits, 0);
    }

    /// 8 KiB, with all escapes.
    #[test]
    fn the_longest_record_of_a_kernel_fits() {
        let text = r"\x0a".repeat(2000);
        let (seqs, lost) = read([Step::Raw(format!("6,1,1,-;{text}")), Step::Marker(14, 2)]);
        assert_eq!((seqs, lost), (vec![1], None));
    }

    /// A source that always has a record, one each millisecond.
    struct Flood(u64);

    impl Source for Flood {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            fake_clock::advance(Duration::from_millis(1));
            let raw = format!("6,{},1,-;x", self.0);
            buffer[..raw.len()].copy_from_slice(raw.as_bytes());
            Ok(raw.len())
        }
        fn wait(&mut self, _: Duration) -> io::Result<()> {
            Ok(())
        }
        fn write(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn skip_to_end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_without_the_marker_ends_at_the_limit() {
        let mut reader = KmsgReader::new(Flood(0));
        let marker = reader.mark("end").unwrap();
        let (records, lost) = reader.read_until(&marker, &mut soon());
        assert_eq!(records.len(), 500);
        assert!(lost.unwrap().contains("did not come in time"));
    }

    #[test]
    fn time_in_which_the_reader_does_not_run_does_not_count() {
        let pause = || Step::Pause(Duration::from_secs(5));
        assert_eq!(
            read([raw(1), pause(), raw(2), Step::Marker(14, 3)]),
            (vec![1, 2], None)
        );
        // A small part of each pause counts, as if it were a delay on a busy machine.
        let (seqs, lost) = read([pause(), pause(), pause(), raw(1), Step::Marker(14, 2)]);
        assert_eq!(seqs, [1; 0]);
        assert!(lost.unwrap().contains("did not come in time"));
    }

    #[test]
    fn a_flood_without_a_last_record_is_read_in_portions_without_loss() {
        let mut reader = KmsgReader::new(Flood(0));
        for _ in 0..2 {
            let (records, lost) = reader.read_available();
            assert_eq!((records.len(), lost), (AT_ONCE, None));
        }
    }

    #[test]
    fn skipped_records_are_not_lost() {
        let mut reader = KmsgReader::new(Fake {
            steps: [raw(1), raw(2), Step::Marker(14, 7)].into(),
            ..Fake::default()
        });
        reader.mark("begin").unwrap();
        reader.next_seq = Some(1);
        reader.skip_to_end().unwrap();
        let marker = reader.mark("end").unwrap();
        let (records, lost) = reader.read_until(&marker, &mut soon());
        assert_eq!((records, lost), (vec![], None));
    }

    #[test]
    fn the_loss_of_one_window_is_not_reported_in_the_next() {
        let mut reader = KmsgReader::new(Fake::default());
        let first = reader.mark("a\nb").unwrap();
        assert_eq!(reader.source.written.len(), 1);
        assert_eq!(reader.source.written[0].matches('\n').count(), 1);
        reader
            .source
            .steps
            .extend([raw(1), raw(5), Step::Marker(14, 6)]);
        assert!(reader.read_until(&first, &mut soon()).1.is_some());

        let second = reader.mark("a\nb").unwrap();
        assert_ne!(first, second);
        reader.source.steps.extend([raw(7), Step::Marker(14, 8)]);
        let (records, lost) = reader.read_until(&second, &mut soon());
        assert_eq!((records.len(), lost), (1, None));
    }

    #[test]
    fn a_loss_is_reported_once_and_many_losses_are_cut_short() {
        let overrun = || Step::Errno(libc::EPIPE);
        let (_, lost) = read([overrun(), raw(1), overrun(), raw(2), Step::Marker(14, 3)]);
        let lost = lost.unwrap();
        assert_eq!(lost.matches("overwritten").count(), 1, "{lost}");

        let broken = |number| Step::Raw(format!("broken {number}"));
        let (_, lost) = read((0..1000).map(broken).chain([Step::Marker(14, 3)]));
        let lost = lost.unwrap();
        assert!(lost.contains("broken 1"), "{lost}");
        assert!(lost.len() < 2000, "{lost}");
    }
}
