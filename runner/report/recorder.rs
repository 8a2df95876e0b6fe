// SPDX-License-Identifier: GPL-2.0

//! Writer of `results.jsonl`, the recording of a run with all of its boots.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::model::Event;

/// The open file. The threads of guests that run side by side share it; each adds whole lines.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

impl Recorder {
    /// Creates the file, or truncates an older one.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Recorder {
            path: path.to_owned(),
            file: Mutex::new(BufWriter::new(file)),
        })
    }

    /// Appends a line. It is passed to the kernel before this returns, so it survives a crash of
    /// this program.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn add(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event).context("cannot write an event as JSON")?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)
            .and_then(|()| file.flush())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
