// SPDX-License-Identifier: GPL-2.0

//! Destinations of reads.

use kernel::{
    iov::IovIterDest,
    prelude::*,
    uaccess::UserSliceWriter, //
};

/// Destination of a read: abstracts over `UserSliceWriter` and `IovIterDest`.
pub(crate) trait Output {
    /// Returns the number of bytes for which there is room.
    fn room(&self) -> usize;

    /// Writes all of `bytes`, or returns `Err(EFAULT)`.
    fn put(&mut self, bytes: &[u8]) -> Result;
}

impl Output for UserSliceWriter {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        self.write_slice(bytes)
    }
}

impl Output for IovIterDest<'_> {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, bytes: &[u8]) -> Result {
        if self.copy_to_iter(bytes) == bytes.len() {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }
}
