// SPDX-License-Identifier: GPL-2.0

//! Settings of the kernel that are changed for a while.

use std::fs;

use anyhow::{Context as _, Result};

/// A file with a value until this is dropped, when it gets back the one that it had.
#[derive(Debug)]
pub struct Kept {
    path: &'static str,
    before: String,
}

impl Kept {
    /// Writes the value.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn write(path: &'static str, value: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        // Of several words the one in brackets is the value.
        let chosen = text.split(['[', ']']).nth(1).unwrap_or(text.trim());
        let before = chosen.to_owned();
        fs::write(path, value).with_context(|| format!("{value} > {path} failed"))?;
        Ok(Kept { path, before })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Kept { path, before } = self;
        if let Err(error) = fs::write(*path, &*before) {
            eprintln!("mn-inject: {path} is not {before} again: {error}");
        }
    }
}
