// SPDX-License-Identifier: GPL-2.0

//! The record of a mirror: the state of each file in the tree and in the mirror when it was copied.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::vm::host::cache;

/// State of a file: size, mode, inode, and the times of the last change of its content and of its
/// inode in seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat(u64, u32, u64, i64, i64, i64, i64);

impl Stat {
    /// State of a file.
    pub fn of(meta: &Metadata) -> Self {
        Stat(
            meta.size(),
            meta.mode(),
            meta.ino(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        )
    }
}

/// A file of the mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// State of the file in the tree. Absent where a later change might leave it as it is; then the
    /// contents are compared.
    pub source: Option<Stat>,
    /// State of the file in the mirror.
    pub mirror: Stat,
    /// Kind and SHA-256 of the content.
    pub content: String,
}

/// Kinds of files, as [`Entry::content`] begins.
pub mod kind {
    /// A file.
    pub const FILE: &str = "file ";
    /// A file that can be executed.
    pub const PROGRAM: &str = "program ";
    /// A symbolic link.
    pub const LINK: &str = "link ";
}

impl Entry {
    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.content.starts_with(kind::LINK)
    }
}

/// The files of a mirror by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    version: u32,
    /// The files.
    pub files: BTreeMap<String, Entry>,
}

/// Version of the format of a record.
const VERSION: u32 = 1;

impl Record {
    /// A record of those files.
    pub fn new(files: BTreeMap<String, Entry>) -> Self {
        let version = VERSION;
        Record { version, files }
    }

    /// Reads the record of a mirror. There is none before it is complete for the first time, or if
    /// another version of this program has written it.
    pub fn read(path: &Path) -> Option<Self> {
        let record: Record = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (record.version == VERSION).then_some(record)
    }

    /// Writes the record. It is not synced to the disk: if it is lost, the contents are compared.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).context("cannot write the record of a mirror")?;
        cache::write_unsynced(path, &text)
    }
}
