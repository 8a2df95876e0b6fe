// SPDX-License-Identifier: GPL-2.0

//! A memory cgroup (Documentation/admin-guide/cgroup-v2.rst) in which a process runs out of memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::libc;
use nix::unistd::Pid;

use crate::os::kernel;

/// Mount point of cgroup v2.
const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup of this run. Removed when dropped; its processes must have ended by then.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("{value:?} > {} failed", path.display()))
}

/// Reason why no memory cgroup can be made on this machine; [`None`] where one can.
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
    /// Makes the cgroup `name`, whose processes may use `limit` bytes and no swap.
    ///
    /// # Errors
    ///
    /// A file or folder of the cgroup cannot be made or written.
    pub fn new(name: &str, limit: u64) -> Result<Self> {
        let cgroup = Self::with_swap(name)?;
        write(&cgroup.path.join("memory.max"), &limit.to_string())?;
        let swap = cgroup.path.join("memory.swap.max");
        if swap.exists() {
            write(&swap, "0")?;
        }
        Ok(cgroup)
    }

    /// Makes the cgroup `name`, without a limit.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_swap(name: &str) -> Result<Self> {
        let root = Path::new(ROOT);
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        let path = root.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Cgroup { path })
    }

    /// Makes the OOM killer kill all of its processes at once (`memory.oom.group`).
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn kill_as_a_group(&self) -> Result<()> {
        write(&self.path.join("memory.oom.group"), "1")
    }

    /// Number of its processes that the OOM killer has killed (`oom_kill` of `memory.events`).
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn oom_kills(&self) -> Result<u64> {
        let path = self.path.join("memory.events");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
            .with_context(|| format!("no oom_kill in {}", path.display()))
    }

    /// Bytes that are charged to it (`memory.current`). The kernel charges in advance, up to 64 pages
    /// for each processor.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn charged(&self) -> Result<u64> {
        let path = self.path.join("memory.current");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = text.trim_end().parse();
        bytes.with_context(|| format!("{} holds {text:?}", path.display()))
    }

    /// Moves a process into it.
    ///
    /// # Errors
    ///
    /// The file `cgroup.procs` cannot be written.
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

/// Takes so many bytes from the memory cgroup of a process (`memory.reclaim`). Fails with `EAGAIN` if
/// there are fewer to take.
pub fn reclaim(pid: Pid, bytes: u64) -> io::Result<()> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    fs::write(
        Path::new(ROOT).join(own).join("memory.reclaim"),
        bytes.to_string(),
    )
}

/// Names of all cgroups that begin with `prefix`, of this run and of others; none where there is no
/// cgroup v2.
///
/// # Errors
///
/// The mount point cannot be read.
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

/// Removes the cgroups of runs that were killed: the pid of the run follows `prefix`.
///
/// # Errors
///
/// One cannot be removed.
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
