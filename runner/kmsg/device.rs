// SPDX-License-Identifier: GPL-2.0

//! `/dev/kmsg` as a source of records.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const PATH: &str = "/dev/kmsg";

/// A source of records: `/dev/kmsg`, or a fake of it in a test.
pub trait Source {
    /// Reads one record. The errors are those of a `/dev/kmsg` that is opened with `O_NONBLOCK`:
    /// `EAGAIN` at the end of the log, `EPIPE` if records were overwritten, and `EINVAL` if the
    /// buffer is too small for the record.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Waits until a record can be read, and no longer than `timeout`. It may return earlier.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Writes one record of user space to the log.
    fn write(&mut self, line: &str) -> io::Result<()>;

    /// Moves the position behind the last record.
    fn skip_to_end(&mut self) -> io::Result<()>;
}

/// `/dev/kmsg` of this machine.
#[derive(Debug)]
pub struct DevKmsg {
    file: File,
}

impl DevKmsg {
    pub(super) fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(PATH)?;
        Ok(DevKmsg { file })
    }
}

impl Source for DevKmsg {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        // Writes are rate-limited for each descriptor, and a write that is dropped succeeds: hence
        // a new descriptor. A record is one write(), so no formatting macro and no buffer here.
        let written = OpenOptions::new()
            .write(true)
            .open(PATH)?
            .write(line.as_bytes())?;
        if written == line.len() {
            Ok(())
        } else {
            Err(ErrorKind::WriteZero.into())
        }
    }

    fn skip_to_end(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    /// The device is the read end of a pipe.
    #[test]
    fn the_device_is_waited_for_and_read() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut device = DevKmsg {
            file: File::from(OwnedFd::from(reader)),
        };
        let started = Instant::now();
        device.wait(Duration::from_millis(20)).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(20));

        writer.write_all(b"6,1,1,-;text").unwrap();
        device.wait(Duration::from_secs(600)).unwrap();
        let mut buffer = [0; 64];
        let len = device.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"6,1,1,-;text");
    }

    #[test]
    fn earlier_records_of_the_device_are_skipped() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"6,1,1,-;text").unwrap();
        file.rewind().unwrap();
        let mut device = DevKmsg { file };
        device.skip_to_end().unwrap();
        assert_eq!(device.read(&mut [0; 64]).unwrap(), 0);
    }
}
