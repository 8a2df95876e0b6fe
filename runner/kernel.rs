// SPDX-License-Identifier: GPL-2.0

//! What the running kernel is, and what it lets us do.

use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::inject;
use crate::model::{Arming, KernelInfo};
use crate::run::RunOptions;
use crate::scenario::{Kind, Scenario};
use crate::trigger::cgroup;

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

/// Why no scenario can run on this machine; [`None`] where some can.
pub fn why_not() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("not root");
    }
    if !inject::is_there() {
        return Some("module mmu_notifier_inject not loaded, or debugfs not mounted");
    }
    if fs::File::open("/dev/kmsg").is_err() {
        return Some("no /dev/kmsg");
    }
    None
}

/// The number in a file of the kernel's; [`None`] where there is no such file.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How many WARNs there have been since boot (kernel/panic.c); [`None`] where the kernel does
/// not count them.
pub fn warn_count() -> Option<u64> {
    number("/sys/kernel/warn_count")
}

/// Why this scenario cannot run on this machine; [`None`] where it can. The texts are constant,
/// since some readers of KTAP make them part of the test's name.
pub fn why_skip(scenario: &Scenario, options: &RunOptions) -> Option<&'static str> {
    // Whatever its form, a check may WARN, and a kernel that is wrong may do so anywhere.
    if !options.allow_panic_on_warn && matches!(scenario.arming, Arming::Inject(_)) {
        if number("/proc/sys/kernel/panic_on_warn").is_some_and(|on| on != 0) {
            return Some("panic_on_warn is set");
        }
        if number("/proc/sys/kernel/warn_limit").is_some_and(|limit| limit != 0) {
            return Some("warn_limit is set");
        }
    }
    match scenario.trigger.kind {
        Kind::Own(_) | Kind::Mrelease => None,
        Kind::MemcgOom | Kind::GlobalOom
            if number("/proc/sys/vm/panic_on_oom").is_some_and(|on| on != 0) =>
        {
            Some("panic_on_oom is set")
        }
        Kind::MemcgOom => cgroup::missing(),
        Kind::GlobalOom if !options.disposable => Some("needs a disposable machine"),
        Kind::GlobalOom if !Path::new("/proc/sysrq-trigger").exists() => Some("no sysrq"),
        Kind::GlobalOom => None,
    }
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
