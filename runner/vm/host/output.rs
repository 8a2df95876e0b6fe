// SPDX-License-Identifier: GPL-2.0

//! The output directory of a command, for its logs and its report.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::vm::host::cache::{self, Cache};

/// Maximum number of output directories in the cache.
const RUNS_KEPT: usize = 20;

/// An output directory that exists.
pub struct Output {
    path: PathBuf,
    /// Keeps the directory in the cache until the command ends; `None` outside the cache.
    _hold: Option<cache::Hold>,
}

impl std::ops::Deref for Output {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Creates the directory that the user asked for, or else a new one in the cache.
pub fn output(output: Option<&Path>, cache: &Cache) -> Result<Output> {
    if let Some(output) = output {
        cache::make_dir(output)?;
        let path = std::path::absolute(output)
            .with_context(|| format!("{} is not a usable path", output.display()))?;
        return Ok(Output { path, _hold: None });
    }
    let runs = cache.dir("runs")?;
    cache::keep_newest(&runs, RUNS_KEPT - 1);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let path = runs.join(format!("{now:013}-{}", std::process::id()));
    cache::make_dir(&path)?;
    let _hold = cache::hold(&path)?;
    Ok(Output { path, _hold })
}
