// SPDX-License-Identifier: GPL-2.0

//! Complaints of the kernel about its own notifier code, which are a fault of the kernel if the
//! module has kept the contract meanwhile. All others are trouble of the run.

use nix::libc::EAGAIN;

use crate::kmsg::Complaint;
use crate::model::{
    Arming, Boot, Context, End, Finding, FindingKind, Injection, Observation, Ownership,
    ScenarioResult, Verdict, Window,
};

/// Beginnings of the names of the functions of mm/mmu_notifier.c, and of those in mm/vma.c that take
/// all locks for a registration.
const NOTIFIER_CODE: &[&str] = &[
    "mmu_notifier_",
    "__mmu_notifier_",
    "mmu_interval_",
    "__mmu_interval_",
    "mn_hlist_",
    "mn_itree_",
    "mm_take_all_locks",
    "mm_drop_all_locks",
    "vm_lock_",
    "vm_unlock_",
];

/// Lines behind which the stack of the thread that complains stands.
const STACKS: [&str; 2] = ["Call Trace:", "stack backtrace:"];

/// Beginning of the line with the function in which an oops was, of the kernel's code segment
/// (`__show_regs()` in arch/x86).
const RIP: &str = "RIP: 0010:";

/// The observation in whose window the kernel complained of its notifier code, if there is no other
/// one and the module kept the contract there. On a machine that others use, their notifiers may have
/// been called meanwhile.
///
/// Before a window the notifiers of its scenarios are attached, and those of the last one removed,
/// both as the contract has it. A complaint there is a fault of the kernel if since the boot the module
/// has done nothing worse than to fail: lockdep's may have a cause in an earlier window.
///
/// `complaints` are those of the boot, from the one in question.
pub(super) fn blamed<'a>(complaints: &[Complaint], boot: &'a Boot) -> Option<&'a Observation> {
    let seq = complaints
        .first()?
        .kmsg_seq
        .filter(|_| boot.machine == Ownership::Ours)?;
    if !is_in_notifier_code(stack(complaints)) {
        return None;
    }
    let has = |window: &&Window| window.records.iter().any(|record| record.seq == seq);
    if let Some(window) = boot.windows.iter().find(has) {
        return match &window.observations[..] {
            [observation] if keeps_contract(observation) => Some(observation),
            _ => None,
        };
    }
    let begins_later = |window: &&Window| {
        let first = window.records.first();
        first.is_some_and(|first| first.seq > seq)
    };
    let windows = &boot.windows;
    let next = windows.iter().position(|window| begins_later(&window));
    let (earlier, later) = windows.split_at(next.unwrap_or(windows.len()));
    let mut observations = earlier.iter().flat_map(|window| &window.observations);
    // After the last window nothing but its notifiers is removed.
    let nearest = later.first().or(earlier.last())?.observations.first()?;
    observations.all(at_most_fails).then_some(nearest)
}

/// Makes the complaint a finding of a result. Returns whether it is one: a result that is in doubt
/// stays so.
pub(super) fn add(complaint: &Complaint, result: &mut ScenarioResult) -> bool {
    let finding = Finding {
        kmsg_seq: complaint.kmsg_seq,
        seen: complaint.lines.first().cloned(),
        ..Finding::new(
            FindingKind::Complained,
            format!("{} in the notifier code", complaint.what),
        )
    };
    match &mut result.verdict {
        Verdict::Pass => {
            result.verdict = Verdict::Fail {
                findings: vec![finding],
            };
            true
        }
        Verdict::Fail { findings } => {
            findings.push(finding);
            true
        }
        _ => false,
    }
}

/// Whether nothing that the module or its caller did there is forbidden.
fn keeps_contract(o: &Observation) -> bool {
    let want = &o.expectation;
    at_most_fails(o)
        && o.notifiers.iter().all(|attached| {
            let notifier = attached.notifier;
            match notifier.arming {
                Arming::Fail(errno) => {
                    want.context == Context::NonBlockable
                        && errno == -EAGAIN
                        && !notifier.kind.has_ends()
                }
                _ => true,
            }
        })
}

/// Whether nothing is forbidden but that a callback fails, which leaves no trace in the kernel.
fn at_most_fails(o: &Observation) -> bool {
    let want = &o.expectation;
    let is_legal = |arming: Arming| match arming.injection() {
        None | Some(Injection::Delay) => true,
        Some(Injection::Sleep) => want.context == Context::Blockable,
        Some(Injection::Allocate | Injection::Lock | Injection::Remove) => false,
    };
    want.end != End::Left
        && want.said.is_empty()
        && !want.is_atomic
        && !want.judges_symptoms
        && o.notifiers
            .iter()
            .all(|attached| is_legal(attached.notifier.arming))
}

/// The lines with the stack of the first of these complaints. That of a bad access is printed with
/// the oops that follows (`show_fault_oops()`, `__die()` in arch/x86).
fn stack(complaints: &[Complaint]) -> &[String] {
    match complaints {
        [access, oops, ..] if oops.what == "oops" && header(&access.lines).is_none() => &oops.lines,
        [complaint, ..] => &complaint.lines,
        [] => &[],
    }
}

/// Index of the line behind which the last stack stands.
fn header(lines: &[String]) -> Option<usize> {
    let is_header = |line: &String| STACKS.iter().any(|header| line.trim().ends_with(header));
    lines.iter().rposition(is_header)
}

/// Whether the thread that complains was in the notifier code, and not in the module, which that
/// code may have called.
fn is_in_notifier_code(lines: &[String]) -> bool {
    let Some(header) = header(lines) else {
        return false;
    };
    let (before, frames) = lines.split_at(header);
    // The innermost frame of an oops is in no stack.
    let innermost = before.iter().rev().find_map(|line| line.strip_prefix(RIP));
    for frame in innermost
        .into_iter()
        .chain(frames.iter().map(|line| line.trim()))
    {
        // User Mode Linux prints the address first.
        let frame = match frame.split_once(">] ") {
            Some((address, rest)) if address.starts_with("[<") => rest,
            _ => frame,
        };
        // A frame behind "? " may be one of an earlier call (show_trace_log_lvl()).
        let Some((name, _)) = frame.split_once("+0x").filter(|_| !frame.starts_with('?')) else {
            continue;
        };
        // Of a module: this one, or another whose callback was called.
        if frame.contains(" [") {
            return false;
        }
        if NOTIFIER_CODE.iter().any(|start| name.starts_with(start)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_the_kernels(text: &str) -> bool {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        is_in_notifier_code(&lines)
    }

    #[test]
    fn the_innermost_frame_of_either_decides() {
        let kernel = "BUG: KASAN: slab-use-after-free in x+0x1/0x2\nCall Trace:\n <TASK>\n \
                      dump_stack_lvl+0x1/0x2\n ? kasan_report+0x1/0x2\n \
                      mn_itree_invalidate+0x1/0x2\n unmap_vmas+0x1/0x2\n";
        assert!(is_the_kernels(kernel));
        // The notifier code has called the module, which is at fault.
        let module = "BUG: sleeping function\nCall Trace:\n __might_resched+0x1/0x2\n \
                      start+0x1/0x2 [mmu_notifier_inject]\n mn_hlist_invalidate+0x1/0x2\n";
        assert!(!is_the_kernels(module));
        let registration = "WARNING: possible circular locking\n-> #1 (a){+.+.}-{0:0}:\n \
                            start+0x1/0x2 [mmu_notifier_inject]\nstack backtrace:\n \
                            __lock_acquire+0x1/0x2\n mm_take_all_locks+0x1/0x2\n \
                            attach+0x1/0x2 [mmu_notifier_inject]\n";
        assert!(is_the_kernels(registration));
    }

    #[test]
    fn a_frame_may_begin_with_its_address() {
        let text = |first: &str| {
            format!(
                "WARNING: x\nstack backtrace:\nCall Trace:\n [<60079e>] ? mn_x+0x1/0x2\n \
                 [<6007b8>] {first}\n [<6007c0>] attach+0x1/0x2 [mmu_notifier_inject]\n"
            )
        };
        assert!(is_the_kernels(&text("mm_drop_all_locks+0x190/0x380")));
        assert!(!is_the_kernels(&text("lock_release+0x190/0x380")));
    }

    #[test]
    fn the_function_of_an_oops_is_the_innermost_frame() {
        let text = |function: &str| {
            format!(
                "Oops: 0002 [#1] SMP\nRIP: 0010:{function}\nCode: ff\nCall Trace:\n <TASK>\n \
                 detach+0x1/0x2 [mmu_notifier_inject]\n entry+0x1/0x2\nRIP: 0033:0x409d2e\n"
            )
        };
        assert!(is_the_kernels(&text("mmu_notifier_unregister+0x6e/0xd0")));
        assert!(!is_the_kernels(&text("kfree+0x6e/0xd0")));
        assert!(!is_the_kernels(&text(
            "mmu_notifier_x+0x1/0x2 [mmu_notifier_inject]"
        )));
    }

    #[test]
    fn a_bad_access_has_the_stack_of_its_oops() {
        let complaint = |what: &str, text: &str| Complaint {
            what: what.to_owned(),
            kmsg_seq: Some(1),
            lines: text.lines().map(str::to_owned).collect(),
        };
        let access = complaint("BUG", "BUG: kernel NULL pointer dereference\n#PF: write\n");
        let oops = complaint("oops", "Oops: 0002\nCall Trace:\n f+0x1/0x2\n");
        let other = complaint("KASAN", "BUG: KASAN: x\nCall Trace:\n g+0x1/0x2\n");
        let of = |complaints: &[&Complaint]| {
            let complaints: Vec<_> = complaints.iter().map(|&one| one.clone()).collect();
            stack(&complaints).to_vec()
        };
        assert_eq!(of(&[&access, &oops]), oops.lines);
        assert_eq!(of(&[&oops, &other]), oops.lines);
        assert_eq!(of(&[&other, &oops]), other.lines);
        assert_eq!(of(&[&access, &other]), access.lines);
        assert_eq!(of(&[&access]), access.lines);
    }

    #[test]
    fn a_stack_without_either_or_none_at_all_blames_nobody() {
        assert!(!is_the_kernels(
            "BUG: x\nCall Trace:\n unmap_vmas+0x1/0x2\n"
        ));
        assert!(!is_the_kernels("BUG: mn_itree_invalidate+0x1/0x2\n"));
        assert!(!is_the_kernels(
            "BUG: x\nCall Trace:\n ? mn_itree_invalidate+0x1/0x2\n other+0x1/0x2\n"
        ));
        // Of an earlier stack only the header is left.
        assert!(!is_the_kernels(
            "BUG: x\nCall Trace:\n mn_itree_invalidate+0x1/0x2\nCall Trace:\n other+0x1/0x2\n"
        ));
    }
}
