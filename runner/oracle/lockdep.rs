// SPDX-License-Identifier: GPL-2.0

//! lockdep's report on lock order.

use crate::model::KernelMessage;

/// The lock that a report is about, by the report's lines: the one that the task holds while it
/// takes another. The name of a lock stands in parentheses behind its address, as `print_lock()` of
/// kernel/locking/lockdep.c prints it.
pub(super) fn report<'a>(mut lines: impl Iterator<Item = &'a str>) -> KernelMessage {
    const HELD: &str = "but task is already holding lock:";
    // The line is among the first ten of the report; the same record has an empty line before it.
    let held = lines
        .by_ref()
        .take(20)
        .any(|line| line.trim_start() == HELD);
    let name = lines.next().filter(|_| held).and_then(|line| {
        let (_, name) = line.split_once(" (")?;
        // "#2" and "/1" behind the name tell apart locks of the same name.
        name.split_once("){")?.0.split(['#', '/']).next()
    });
    match name {
        Some("mmu_notifier_invalidate_range_start") => KernelMessage::LockdepInvalidation,
        Some("srcu") => KernelMessage::LockdepSrcu,
        Some("&mm->mmap_lock") => KernelMessage::LockdepMmapLock,
        _ => KernelMessage::LockdepOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_about_the_lock_that_is_held() {
        let of = |held: &str| {
            let lines = [
                "7.3.4 #32 Tainted: G           O     N ",
                "mn-target/103 is trying to acquire lock:",
                "ffffffff822bd260 (srcu){+.+.}-{0:0}, at: f+0x1/0x2",
                "",
                "\nbut task is already holding lock:",
                held,
            ];
            report(lines.into_iter())
        };
        for (held, due) in [
            (
                "ffffffff822c1c00 (mmu_notifier_invalidate_range_start){+.+.}-{0:0}, at: f+0x1/0x2",
                KernelMessage::LockdepInvalidation,
            ),
            (
                "ffffffff822c1c58 (srcu){.+.+}-{0:0}, at: f+0x1/0x2",
                KernelMessage::LockdepSrcu,
            ),
            (
                "ffff888000169c78 (&mm->mmap_lock){++++}-{4:4}, at: f+0x1/0x2 [m]",
                KernelMessage::LockdepMmapLock,
            ),
            (
                "ffff888000169c78 (&mm->mmap_lock#2/1){++++}-{4:4}, at: f+0x1/0x2",
                KernelMessage::LockdepMmapLock,
            ),
            (
                "ffff888000169c78 (fs_reclaim){+.+.}-{0:0}, at: f (srcu){",
                KernelMessage::LockdepOther,
            ),
            ("srcu", KernelMessage::LockdepOther),
        ] {
            assert_eq!(of(held), due, "{held}");
        }
        // A lock that is named further down is not the one that is held.
        let other = ["x"; 20].into_iter();
        let late = other.chain(["but task is already holding lock:", "0 (srcu){"]);
        assert_eq!(report(late), KernelMessage::LockdepOther);
        assert_eq!(
            report(["0 (srcu){"].into_iter()),
            KernelMessage::LockdepOther
        );
    }
}
