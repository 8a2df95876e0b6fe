// SPDX-License-Identifier: GPL-2.0

//! What this machine lets us do. The reasons are constant texts, since some readers of KTAP make
//! them part of a test's name.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use crate::contract::Needs;
use crate::injector;
use crate::model::{Arming, Injection, Notifier, Part, RunOptions};
use crate::os::cgroup;
use crate::os::kernel;
use crate::os::kernel::number;
use crate::scenario::cases::Boot;
use crate::scenario::procedure::Procedure;
use crate::scenario::{Scenario, TriggerKind};

/// Why no scenario can run on this machine; [`None`] where some can.
pub fn why_not() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("not root");
    }
    if !injector::is_there() {
        return Some("module mmu_notifier_inject not loaded, or debugfs not mounted");
    }
    if !Path::new(injector::DEVICE).exists() {
        return Some("no /dev/mmu_notifier_inject");
    }
    if fs::File::open("/dev/kmsg").is_err() {
        return Some("no /dev/kmsg");
    }
    None
}

/// Why this scenario cannot run on this machine; [`None`] where it can. `may_break_rules` is whether
/// the module was loaded with `breach=1`.
pub fn why_skip(
    scenario: &Scenario,
    options: &RunOptions,
    may_break_rules: bool,
) -> Option<&'static str> {
    if let Some(needs) = scenario.needs()
        && lacks(scenario)
    {
        return Some(needs.reason());
    }
    if scenario.boot() != Boot::Shared && options.part == Part::Together {
        return Some("spoils the boot it runs on: --alone");
    }
    if !may_break_rules && takes_breach(scenario) {
        return Some("needs the module loaded by --module, with breach=1");
    }
    // Whatever its form, a check may WARN, and a kernel that is wrong may do so anywhere.
    let fails =
        |notifier: &Notifier| !matches!(notifier.arming, Arming::Filtered(_) | Arming::Unarmed);
    if !options.allow_panic_on_warn
        && (scenario.breaks() || scenario.notifiers().iter().any(fails))
        && let Some(reason) = kernel::warn_brings_down()
    {
        return Some(reason);
    }
    match scenario.trigger.kind {
        TriggerKind::Own(_)
        | TriggerKind::Mrelease
        | TriggerKind::Zap { .. }
        | TriggerKind::Procedure(_) => None,
        TriggerKind::MemcgOom | TriggerKind::GlobalOom
            if number("/proc/sys/vm/panic_on_oom").is_some_and(|on| on != 0) =>
        {
            Some("panic_on_oom is set")
        }
        TriggerKind::MemcgOom => cgroup::missing(),
        TriggerKind::GlobalOom if !options.disposable => Some("needs a disposable machine"),
        TriggerKind::GlobalOom if !Path::new("/proc/sysrq-trigger").exists() => Some("no sysrq"),
        TriggerKind::GlobalOom => None,
    }
}

/// Whether this kernel cannot check what the scenario is about.
pub fn lacks(scenario: &Scenario) -> bool {
    scenario.needs().is_some_and(|needs| !can_check(needs))
}

/// Whether the module has to break rules that it only breaks where it was loaded for that.
fn takes_breach(scenario: &Scenario) -> bool {
    let removes = |notifier: &Notifier| notifier.arming == Arming::AtStart(Injection::Remove);
    let by_kind = match scenario.trigger.kind {
        TriggerKind::Zap { is_atomic } => is_atomic,
        TriggerKind::Procedure(Procedure::Register(registration)) => {
            registration.behaviour.is_some()
        }
        _ => false,
    };
    by_kind || scenario.notifiers().iter().any(removes)
}

/// Whether this kernel checks itself in that way.
fn can_check(needs: Needs) -> bool {
    match needs {
        // It is there where the option is on, and nowhere else (kernel/sched/core.c).
        Needs::AtomicSleep => kernel::has_symbol("__might_sleep"),
        // The same in kernel/locking/lockdep_proc.c.
        Needs::Lockdep => {
            Path::new("/proc/lockdep_chains").exists() && kernel::lockdep() == Some(true)
        }
    }
}
