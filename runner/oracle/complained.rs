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

/// The observation in whose window the kernel complained of its notifier code, if there is no other
/// one and the module kept the contract there. On a machine that others use, their notifiers may have
/// been called meanwhile.
pub(super) fn blamed<'a>(complaint: &Complaint, boot: &'a Boot) -> Option<&'a Observation> {
    let seq = complaint
        .kmsg_seq
        .filter(|_| boot.machine == Ownership::Ours)?;
    let has = |window: &&Window| window.records.iter().any(|record| record.seq == seq);
    let [observation] = &boot.windows.iter().find(has)?.observations[..] else {
        return None;
    };
    let is_the_kernels = keeps_contract(observation) && is_in_notifier_code(&complaint.lines);
    is_the_kernels.then_some(observation)
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
    let is_legal = |arming: Arming, has_end: bool| match arming {
        Arming::Unarmed | Arming::Filtered(_) => true,
        Arming::Fail(errno) => {
            want.context == Context::NonBlockable && errno == -EAGAIN && !has_end
        }
        Arming::AtStart(injection) | Arming::AtEnd(injection) => match injection {
            Injection::Sleep => want.context == Context::Blockable,
            Injection::Delay => true,
            Injection::Allocate | Injection::Lock | Injection::Remove => false,
        },
    };
    want.end != End::Left
        && want.said.is_empty()
        && !want.is_atomic
        && !want.judges_symptoms
        && o.notifiers.iter().all(|attached| {
            let notifier = attached.notifier;
            is_legal(notifier.arming, notifier.kind.has_ends())
        })
}

/// Whether the thread that complains was in the notifier code, and not in the module, which that
/// code may have called.
fn is_in_notifier_code(lines: &[String]) -> bool {
    let is_header = |line: &String| STACKS.iter().any(|header| line.trim().ends_with(header));
    let Some(header) = lines.iter().rposition(is_header) else {
        return false;
    };
    for line in &lines[header + 1..] {
        // A frame behind "? " may be one of an earlier call (show_trace_log_lvl()).
        let frame = line.trim();
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
