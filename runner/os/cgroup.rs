// SPDX-License-Identifier: GPL-2.0

//! A memory cgroup (Documentation/admin-guide/cgroup-v2.rst) in which a process runs out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::os::kernel;

/// Where cgroup v2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup of ours. Removed when dropped; its processes must be gone by then.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("{value:?} > {} failed", path.display()))
}

/// Why no memory cgroup can be made here; [`None`] where one can.
pub fn missing() -> Option<&'static str> {
    let controllers = Path::new(ROOT).join("cgroup.controllers");
    match fs::read_to_string(controllers) {
        Err(_) => Some("cgroup v2 is not mounted on /sys/fs/cgroup"),
        Ok(list) if !list.split_whitespace().any(|name| name == "memory") => {
            Some("cgroup v2 has no memory controller")
        }
        Ok(_) => None,
    }
}

impl Cgroup {
    /// Makes the cgroup `name`, whose processes may have `limit` bytes and no swap.
    pub fn new(name: &str, limit: u64) -> Result<Self> {
        let root = Path::new(ROOT);
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        let path = root.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let cgroup = Cgroup { path };
        write(&cgroup.path.join("memory.max"), &limit.to_string())?;
        let swap = cgroup.path.join("memory.swap.max");
        if swap.exists() {
            write(&swap, "0")?;
        }
        Ok(cgroup)
    }

    /// From now on the OOM killer takes all of its processes at once.
    pub fn kill_as_a_group(&self) -> Result<()> {
        write(&self.path.join("memory.oom.group"), "1")
    }

    /// How many of its processes the OOM killer has taken.
    pub fn oom_kills(&self) -> Result<u64> {
        let path = self.path.join("memory.events");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
            .with_context(|| format!("no oom_kill in {}", path.display()))
    }

    /// Puts a process into it.
    pub fn add(&self, pid: Pid) -> Result<()> {
        write(&self.path.join("cgroup.procs"), &pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("mn-inject: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The names of all cgroups of this program, whoever's; none where there is no cgroup v2.
pub fn all(prefix: &str) -> Result<Vec<String>> {
    if missing().is_some() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(ROOT).with_context(|| format!("cannot read {ROOT}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {ROOT}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes the cgroups that an earlier run of this program left because it was killed.
pub fn remove_stale(prefix: &str) -> Result<()> {
    for name in all(prefix)? {
        let owner = name[prefix.len()..].split('-').next().unwrap_or_default();
        if kernel::is_dead(owner) {
            let path = Path::new(ROOT).join(&name);
            fs::remove_dir(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
