// SPDX-License-Identifier: GPL-2.0

//! One `write(2)` for one line: the module takes each write as a whole line.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{ErrorKind, Write};
use std::path::Path;

use nix::errno::Errno;

/// Writes a line to an open file with one `write(2)`.
///
/// # Errors
///
/// Those of `write(2)`, and [`ErrorKind::WriteZero`] where only a part of the line was taken.
pub fn write_once(mut file: impl Write, line: impl AsRef<[u8]>) -> io::Result<()> {
    let line = line.as_ref();
    let written = file.write(line)?;
    if written != line.len() {
        return Err(io::Error::new(
            ErrorKind::WriteZero,
            format!("only {written} of {} bytes were taken", line.len()),
        ));
    }
    Ok(())
}

/// Opens a file for writing and writes a line to it with one `write(2)`. Returns the open file,
/// since a target that is attached through the device is detached when that is closed.
///
/// # Errors
///
/// Those of `open(2)`, and those of [`write_once`].
pub fn write_to(path: &Path, line: impl AsRef<[u8]>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    write_once(&file, line)?;
    Ok(file)
}

/// The errno of an error: `EOVERFLOW` for a line of which only a part was taken, which the module
/// never returns, and `EIO` for an error that comes from no system call.
pub fn errno_of(error: &io::Error) -> Errno {
    match error.raw_os_error() {
        Some(errno) => Errno::from_raw(errno),
        None if error.kind() == ErrorKind::WriteZero => Errno::EOVERFLOW,
        None => Errno::EIO,
    }
}

/// A result as system calls return it: 0 or a negative errno.
pub fn code<T>(result: &io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => -(errno_of(error) as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most so many bytes at a time, and counts the writes.
    struct Narrow(usize, usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            Ok(bytes.len().min(self.0))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_write() {
        let mut file = Narrow(5, 0);
        write_once(&mut file, "12345").unwrap();
        assert_eq!(file.1, 1);
    }

    #[test]
    fn a_part_of_a_line_is_an_error() {
        let mut file = Narrow(4, 0);
        let result = write_once(&mut file, b"12345");
        assert_eq!(file.1, 1);
        assert_eq!(code(&result), -(Errno::EOVERFLOW as i32));
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "only 4 of 5 bytes were taken");
    }

    #[test]
    fn errors_have_their_errno() {
        let missing = write_to(Path::new("/proc/no-such-file"), "x");
        assert_eq!(code(&missing), -(Errno::ENOENT as i32));
        assert_eq!(code(&Ok(())), 0);
        assert_eq!(errno_of(&io::Error::other("x")), Errno::EIO);
    }

    #[test]
    fn the_written_file_stays_open() {
        use std::io::{Read, Seek};
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut open = write_to(file.path(), "a\n").unwrap();
        open.write_all(b"b\n").unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    }
}
