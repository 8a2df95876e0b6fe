// SPDX-License-Identifier: GPL-2.0

//! What the running kernel says of itself.

use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// Facts about a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelInfo {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// `/proc/cmdline`.
    pub cmdline: String,
}

/// Facts about the running kernel. What cannot be read stays empty.
pub fn info() -> KernelInfo {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let mut info = KernelInfo {
        cmdline: cmdline.trim_end().into(),
        ..KernelInfo::default()
    };
    if let Ok(names) = uname() {
        info.release = names.release().to_string_lossy().into_owned();
        info.version = names.version().to_string_lossy().into_owned();
        info.machine = names.machine().to_string_lossy().into_owned();
    }
    info
}

/// The number in a file of the kernel's; [`None`] where there is no such file.
pub fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How many WARNs there have been since boot (kernel/panic.c); [`None`] where the kernel does
/// not count them.
pub fn warn_count() -> Option<u64> {
    number("/sys/kernel/warn_count")
}

/// Whether no process of that id is left, or only its exit status is (a zombie).
pub fn is_dead(pid: &str) -> bool {
    match fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Err(_) => true,
        // The state follows the name, which ends with the last parenthesis.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
    }
}

/// Whether lockdep still checks; [`None`] where the kernel has none.
pub fn lockdep() -> Option<bool> {
    let stats = fs::read_to_string("/proc/lockdep_stats").ok()?;
    let (_, rest) = stats.split_once("debug_locks:")?;
    Some(rest.split_whitespace().next()? == "1")
}

/// Whether the kernel has a function of that name. A kernel without names has none.
pub fn has_symbol(name: &str) -> bool {
    let Ok(symbols) = fs::read_to_string("/proc/kallsyms") else {
        return false;
    };
    let mut names = symbols.lines().map(|line| line.split_whitespace().nth(2));
    names.any(|symbol| symbol == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_not_dead() {
        assert!(!is_dead(&std::process::id().to_string()));
        assert!(!is_dead("1"));
    }

    #[test]
    fn nobody_and_zombies_are_dead() {
        assert!(is_dead("4194305"));
        assert!(is_dead("no-pid"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().to_string();
        // It becomes a zombie, since nobody waits for it; this tells when, and leaves it so.
        nix::sys::wait::waitid(
            nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(child.id() as i32)),
            nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
        )
        .unwrap();
        assert!(is_dead(&pid));
        child.wait().unwrap();
    }
}
