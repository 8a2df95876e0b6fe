// SPDX-License-Identifier: GPL-2.0

//! Open files of the module. They are kept open because opening one takes longer than the reads and
//! writes that follow.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use mn_inject::injector::{DEVICE, FOLDER};

use crate::random::Rng;

/// Size of the buffer for one line, which is longer than each: `settings` with the longest name in
/// `caller` has about 1200 bytes.
const LINE: usize = 4096;

/// An open file, with the name that findings give it.
#[derive(Debug)]
pub struct Open {
    /// Path below the module's directory; for a session, the device's path.
    pub name: String,
    file: File,
}

/// Returns the path of a target's directory.
pub fn folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join("targets").join(name)
}

impl Open {
    /// Opens the file `name` below the module's directory for reading and writing.
    pub fn new(name: &str) -> Result<Self> {
        let path = Path::new(FOLDER).join(name);
        Self::at(&path, name)
    }

    /// Opens a new session.
    pub fn session() -> Result<Self> {
        Self::at(Path::new(DEVICE), DEVICE)
    }

    fn at(path: &Path, name: &str) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Open {
            name: name.into(),
            file,
        })
    }

    /// Writes `bytes` with one pwrite(2).
    pub fn write(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    /// Reads the whole list of a session with one pread(2), because a session cannot seek.
    pub fn read_session(&self) -> Result<String> {
        let mut content = vec![0; 64 << 10];
        let count = self
            .file
            .read_at(&mut content, 0)
            .with_context(|| format!("cannot read {}", self.name))?;
        content.truncate(count);
        String::from_utf8(content).with_context(|| format!("{} is not UTF-8", self.name))
    }

    /// Reads the whole file up to end of file, as `cat` does.
    pub fn read(&self) -> Result<String> {
        let mut content = String::new();
        let mut file = &self.file;
        file.rewind()
            .and_then(|()| file.read_to_string(&mut content))
            .with_context(|| format!("cannot read {}", self.name))?;
        Ok(content)
    }

    /// Reads a file of one short line with a single pread(2).
    ///
    /// # Errors
    ///
    /// The read failed, or the file does not fit into the buffer or is not UTF-8.
    pub fn line(&self) -> Result<String> {
        let mut buffer = [0; LINE];
        let count = self
            .file
            .read_at(&mut buffer, 0)
            .with_context(|| format!("cannot read {}", self.name))?;
        match buffer.get(..count) {
            Some(text) if count < buffer.len() => String::from_utf8(text.to_vec())
                .with_context(|| format!("{} is not UTF-8", self.name)),
            _ => bail!("{} is longer than expected", self.name),
        }
    }

    /// Reads like [`Self::line`], for files of which read(2) may return an error.
    pub fn try_line(&self) -> io::Result<String> {
        let mut buffer = [0; LINE];
        let count = self.file.read_at(&mut buffer, 0)?;
        Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }

    /// Reads at a random offset. Returns a finding if the result is not the same part of `whole`.
    pub fn check_piece(&self, rng: &mut Rng, whole: &str) -> Result<Option<String>> {
        let offset = rng.below(whole.len() + 3);
        let mut buffer = vec![0; rng.below(whole.len() + 8)];
        let count = self
            .file
            .read_at(&mut buffer, offset as u64)
            .with_context(|| format!("cannot read {} from {offset}", self.name))?;
        let rest = whole.as_bytes().get(offset..).unwrap_or_default();
        let due = &rest[..rest.len().min(buffer.len())];
        let seen = &buffer[..count];
        // A short read is allowed, but not end of file before the end.
        if due.starts_with(seen) && (count > 0 || due.is_empty()) {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} bytes from {offset} of {:?}: expected {:?}, got \"{}\"",
            buffer.len(),
            self.name,
            String::from_utf8_lossy(due),
            seen.escape_ascii()
        )))
    }
}
