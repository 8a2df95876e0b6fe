// SPDX-License-Identifier: GPL-2.0

//! Facts about the running kernel, from `/proc`, `/sys` and `uname(2)`.

use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// Facts about the kernel under test and the machine it ran on.
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

/// Facts about the running kernel. A fact that cannot be read stays empty.
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

/// The number in a file of procfs or sysfs; [`None`] where the file does not exist or does not
/// hold a number.
pub fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Number of WARNs since boot (`/sys/kernel/warn_count`, kernel/panic.c); [`None`] where the
/// kernel does not count them.
pub fn warn_count() -> Option<u64> {
    number("/sys/kernel/warn_count")
}

/// Reason why a WARN would make this kernel panic (`check_panic_on_warn()` of kernel/panic.c);
/// [`None`] where the kernel goes on after a WARN. The texts are constant, because they become
/// part of test names.
pub fn warn_brings_down() -> Option<&'static str> {
    reason_to_panic(number)
}

fn reason_to_panic(number: impl Fn(&str) -> Option<u64>) -> Option<&'static str> {
    let is_set = |path| number(path).is_some_and(|value| value != 0);
    if is_set("/proc/sys/kernel/panic_on_warn") {
        Some("panic_on_warn is set")
    } else if is_set("/proc/sys/kernel/warn_limit") {
        Some("warn_limit is set")
    } else {
        None
    }
}

/// Whether the kernel is User Mode Linux (arch/um/kernel/um_arch.c).
pub fn is_user_mode() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

/// Whether no process has that id, or only a zombie has it.
pub fn is_dead(pid: &str) -> bool {
    match fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Err(_) => true,
        // The state follows the name, which ends with the last parenthesis.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
    }
}

/// Whether lockdep still checks (`debug_locks` in `/proc/lockdep_stats`); [`None`] where the
/// kernel has no lockdep.
pub fn lockdep() -> Option<bool> {
    let stats = fs::read_to_string("/proc/lockdep_stats").ok()?;
    let (_, rest) = stats.split_once("debug_locks:")?;
    Some(rest.split_whitespace().next()? == "1")
}

/// Whether the kernel has a function of that name. A kernel without `/proc/kallsyms` has none.
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
    fn a_running_process_is_not_dead() {
        assert!(!is_dead(&std::process::id().to_string()));
        assert!(!is_dead("1"));
    }

    #[test]
    fn an_unused_pid_and_a_zombie_are_dead() {
        assert!(is_dead("4194305"));
        assert!(is_dead("no-pid"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().to_string();
        // Returns when the child has exited, and leaves it a zombie.
        nix::sys::wait::waitid(
            nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(child.id() as i32)),
            nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
        )
        .unwrap();
        assert!(is_dead(&pid));
        child.wait().unwrap();
    }

    #[test]
    fn each_setting_that_panics_on_a_warn_is_named() {
        let reason = |panic_on_warn, warn_limit| {
            reason_to_panic(|path| match path {
                "/proc/sys/kernel/panic_on_warn" => panic_on_warn,
                "/proc/sys/kernel/warn_limit" => warn_limit,
                _ => panic!("{path}"),
            })
        };
        assert_eq!(reason(Some(0), Some(0)), None);
        assert_eq!(reason(None, None), None);
        assert_eq!(reason(Some(1), Some(0)), Some("panic_on_warn is set"));
        assert_eq!(reason(Some(1), Some(5)), Some("panic_on_warn is set"));
        assert_eq!(reason(Some(0), Some(5)), Some("warn_limit is set"));
        assert_eq!(reason(None, Some(1)), Some("warn_limit is set"));
    }
}
