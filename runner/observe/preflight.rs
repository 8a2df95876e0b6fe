// SPDX-License-Identifier: GPL-2.0

//! The reasons why a scenario cannot run on this machine. They are constant texts, since some
//! readers of KTAP make them part of a test's name.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{FsType, statfs};
use nix::unistd::geteuid;

use crate::contract::Needs;
use crate::injector;
use crate::model::{Arming, Notifier, RunOptions};
use crate::os::kept::Setting;
use crate::os::kernel;
use crate::os::kernel::number;
use crate::os::khugepaged::SmallFolios;
use crate::os::sys::{DMIRROR, Feature, GIGABYTE, PROBES, UserFault};
use crate::os::{cgroup, damon, lru_gen};
use crate::scenario::cases::Boot;
use crate::scenario::script::Steps;
use crate::scenario::{Scenario, TriggerKind};
use crate::trigger::operation::Operation;
use crate::trigger::place::WRITTEN_BACK;
use crate::trigger::remote::DIRTY;

/// The number of huge pages of hugetlbfs that are free, of the size that the scenarios use.
const FREE_HUGETLB: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

/// `MINIX2_SUPER_MAGIC` of include/uapi/linux/magic.h.
const MINIX: FsType = FsType(0x2468);

/// The reason why no scenario can run on this machine, if there is one.
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

/// The reason why this scenario cannot run on this machine, if there is one. `may_break_rules` is
/// whether the module was loaded with `breach=1`.
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
    if scenario.boot() != Boot::Shared && options.part.leaves_nothing() {
        return Some("spoils the boot it runs on: --alone");
    }
    if let Some(reason) = scenario.why_not_user_mode()
        && kernel::is_user_mode()
    {
        return Some(reason);
    }
    if !may_break_rules && scenario.needs_breach() {
        return Some("needs the module loaded with breach=1");
    }
    // A check may WARN in either form, and a wrong kernel may do so for any failure.
    let fails =
        |notifier: &Notifier| !matches!(notifier.arming, Arming::Filtered(_) | Arming::Unarmed);
    if !options.allow_panic_on_warn
        && (scenario.breaks() || scenario.notifiers().iter().any(fails))
        && let Some(reason) = kernel::warn_brings_down()
    {
        return Some(reason);
    }
    why_not_trigger(scenario.trigger.kind, options)
}

/// The reason why the kernel cannot be made to call notifiers in that way on this machine.
fn why_not_trigger(kind: TriggerKind, options: &RunOptions) -> Option<&'static str> {
    let is_oom = kind.is_oom() || kind.operation() == Operation::Hog;
    if is_oom && number("/proc/sys/vm/panic_on_oom").is_some_and(|on| on != 0) {
        return Some("panic_on_oom is set");
    }
    if kind.is_for_disposable() && !options.disposable {
        return Some("needs a disposable machine");
    }
    match kind {
        TriggerKind::Script(script) if script.steps == Steps::LetGo && has_lockdep() => Some(
            "needs a kernel without lockdep, in which a process is gone in a tenth of a second",
        ),
        _ if kind.operation() == Operation::Hog || kind.is_reclaimed() => cgroup::missing(),
        TriggerKind::GlobalOom if !Path::new("/proc/sysrq-trigger").exists() => Some("no sysrq"),
        TriggerKind::Script(script) if script.steps == Steps::Age => lru_gen::missing(),
        TriggerKind::Script(script) if script.steps == Steps::ScanCollapsed => {
            SmallFolios::missing()
        }
        TriggerKind::Script(script) if script.steps == Steps::Sample => damon::missing(),
        _ => None,
    }
}

/// Whether this kernel does not have what the scenario needs.
pub fn lacks(scenario: &Scenario) -> bool {
    scenario.needs().is_some_and(|needs| !has(needs))
}

/// Whether this kernel has that.
fn has(needs: Needs) -> bool {
    match needs {
        // The symbol exists only with CONFIG_DEBUG_ATOMIC_SLEEP (kernel/sched/core.c).
        Needs::AtomicSleep => kernel::has_symbol("__might_sleep"),
        Needs::Lockdep => has_lockdep() && kernel::lockdep() == Some(true),
        Needs::Userfaultfd => UserFault::new(Feature::Move).is_ok(),
        Needs::UserfaultfdWp => UserFault::new(Feature::WriteProtectAsync).is_ok(),
        Needs::HugePages => has_huge_pages("enabled"),
        Needs::HugetlbUserfaultfd => {
            has(Needs::Hugetlb) && UserFault::new(Feature::WriteProtectHugetlb).is_ok()
        }
        Needs::Ksm => Setting::KsmRun.value().is_ok_and(|value| value == "0"),
        Needs::ShmemHugePages => has_huge_pages("enabled") && has_huge_pages("shmem_enabled"),
        Needs::Hugetlb => number(FREE_HUGETLB).is_some_and(|free| free >= 2),
        // The first line is a head.
        Needs::Swap => fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1),
        Needs::WriteBack => statfs(WRITTEN_BACK).is_ok_and(|seen| seen.filesystem_type() == MINIX),
        Needs::Uprobes => Path::new(PROBES).exists(),
        Needs::MemoryFailure => Path::new("/proc/sys/vm/memory_failure_recovery").exists(),
        Needs::HugetlbMemoryFailure => has(Needs::MemoryFailure) && has(Needs::Hugetlb),
        Needs::Nodes => fs::read_to_string("/sys/devices/system/node/has_memory")
            .is_ok_and(|list| list.starts_with("0-") || list.starts_with("0,1")),
        Needs::TestHmm => Path::new(DMIRROR).exists(),
        Needs::DirtyHelpers => Path::new(DIRTY).exists(),
        Needs::Dax => number("/sys/bus/dax/devices/dax0.0/align") == Some(GIGABYTE as u64),
    }
}

/// Whether the kernel has lockdep, on or off: the file exists only with CONFIG_PROVE_LOCKING
/// (kernel/locking/lockdep_proc.c).
fn has_lockdep() -> bool {
    Path::new("/proc/lockdep_chains").exists()
}

/// Whether there are transparent huge pages of that sort. The value that is set stands in brackets
/// (Documentation/admin-guide/mm/transhuge.rst).
fn has_huge_pages(file: &str) -> bool {
    let path = Path::new("/sys/kernel/mm/transparent_hugepage").join(file);
    let is_off = |set: String| set.contains("[never]") || set.contains("[deny]");
    fs::read_to_string(path).is_ok_and(|set| !is_off(set))
}
