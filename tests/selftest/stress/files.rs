// SPDX-License-Identifier: GPL-2.0

//! One system call to read from a file or to write to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;

use mn_inject::injector::line;
use mn_inject::injector::line::errno_of;

/// No more of a log than that is read at once; everything else is shorter.
const BYTES: usize = 64 << 10;

/// Writes `text` as one write(2). The module takes all or nothing.
pub fn write_once(file: &File, text: impl AsRef<[u8]>) -> Result<(), Errno> {
    errno(line::write_once(file, text))
}

/// Reads from the beginning of a file with one read(2): what changes meanwhile makes two of them
/// not fit together.
pub fn read_once(file: &File) -> Result<String, Errno> {
    let mut bytes = vec![0; BYTES];
    let length = errno(file.read_at(&mut bytes, 0))?;
    bytes.truncate(length);
    // The module escapes what is not ASCII.
    String::from_utf8(bytes).map_err(|_| Errno::EILSEQ)
}

/// The result with its errno.
pub fn errno<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| errno_of(&error))
}
