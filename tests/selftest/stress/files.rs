// SPDX-License-Identifier: GPL-2.0

//! Reads and writes of a file with one system call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;

use mn_inject::injector::line;
use mn_inject::injector::line::errno_of;

/// Size of the buffer for a read. A log may be longer; everything else is shorter.
const BYTES: usize = 64 << 10;

/// Writes `text` with one write(2). The module accepts all of it or nothing.
pub fn write_once(file: &File, text: impl AsRef<[u8]>) -> Result<(), Errno> {
    errno(line::write_once(file, text))
}

/// Reads from the beginning of a file with one read(2): after two of them the parts may not fit
/// together, because the file may have changed in between.
pub fn read_once(file: &File) -> Result<String, Errno> {
    let mut bytes = vec![0; BYTES];
    let length = errno(file.read_at(&mut bytes, 0))?;
    bytes.truncate(length);
    // The module escapes everything but ASCII.
    String::from_utf8(bytes).map_err(|_| Errno::EILSEQ)
}

/// Converts the error of a result to its errno.
pub fn errno<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| errno_of(&error))
}
