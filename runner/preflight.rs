// SPDX-License-Identifier: GPL-2.0

//! What this machine lets us do. The reasons are constant texts, since some readers of KTAP make
//! them part of a test's name.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use crate::inject;
use crate::kernel::number;
use crate::model::{Arming, RunOptions};
use crate::scenario::{Kind, Scenario};
use crate::trigger::cgroup;

/// Why no scenario can run on this machine; [`None`] where some can.
pub fn why_not() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("not root");
    }
    if !inject::is_there() {
        return Some("module mmu_notifier_inject not loaded, or debugfs not mounted");
    }
    if !Path::new(inject::DEVICE).exists() {
        return Some("no /dev/mmu_notifier_inject");
    }
    if fs::File::open("/dev/kmsg").is_err() {
        return Some("no /dev/kmsg");
    }
    None
}

/// Why this scenario cannot run on this machine; [`None`] where it can.
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
