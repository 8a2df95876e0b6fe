// SPDX-License-Identifier: GPL-2.0

//! First lines of the kernel's complaints about itself or a module.

use crate::kmsg::record::Record;

/// One kind of complaint.
#[derive(Debug, PartialEq, Eq)]
pub struct ComplaintKind {
    /// Beginning of its first line.
    start: &'static str,
    /// Name for a person.
    pub what: &'static str,
    /// Whether no later behaviour of the kernel can be relied on, whichever code it is about:
    /// memory is damaged, a thread was killed, or a processor stood still.
    pub disturbs: bool,
}

const fn harmless(start: &'static str, what: &'static str) -> ComplaintKind {
    ComplaintKind {
        start,
        what,
        disturbs: false,
    }
}

const fn disturbing(start: &'static str, what: &'static str) -> ComplaintKind {
    ComplaintKind {
        start,
        what,
        disturbs: true,
    }
}

/// All kinds; the first that matches a line counts.
const KINDS: &[ComplaintKind] = &[
    disturbing("BUG: KASAN: ", "KASAN"),
    disturbing("BUG: KFENCE: ", "KFENCE"),
    harmless("BUG: KCSAN: ", "KCSAN"),
    harmless("BUG: KMSAN: ", "KMSAN"),
    harmless("BUG: sleeping function called ", "sleep in atomic context"),
    disturbing("BUG: scheduling while atomic", "sleep in atomic context"),
    harmless("BUG: using ", "per-CPU data while preemptible"),
    disturbing("BUG: workqueue lockup", "lockup"),
    disturbing("watchdog: BUG: soft lockup", "lockup"),
    disturbing("watchdog: CPU", "lockup"),
    // Bad pages, page faults in the kernel, and much else.
    disturbing("BUG: ", "BUG"),
    disturbing("kernel BUG at ", "BUG"),
    // SLUB: "BUG " and the name of a cache.
    disturbing("BUG ", "slab corruption"),
    disturbing("list_add corruption", "list corruption"),
    disturbing("list_add double add", "list corruption"),
    disturbing("list_del corruption", "list corruption"),
    disturbing("refcount_t: ", "reference count"),
    disturbing("ODEBUG: ", "ODEBUG"),
    harmless("UBSAN: ", "UBSAN"),
    disturbing("rust_kernel: panicked at ", "Rust panic"),
    disturbing("Oops: ", "oops"),
    disturbing("Oops - ", "oops"),
    disturbing("Internal error: ", "oops"),
    disturbing("Unable to handle kernel ", "oops"),
    disturbing("general protection fault", "general protection fault"),
    disturbing("traps: PANIC: ", "double fault"),
    disturbing("Kernel panic - not syncing", "panic"),
    harmless("INFO: task ", "hung task"),
    disturbing("rcu: INFO: ", "RCU stall"),
    // lockdep is off afterwards, which is checked at the end of a run.
    harmless("[ BUG: ", "lockdep"),
    harmless("INFO: trying to register non-static key", "lockdep"),
    harmless("Disabling lock debugging due to kernel taint", "lockdep"),
    harmless("WARNING: possible ", "lockdep"),
    harmless("WARNING: inconsistent lock state", "lockdep"),
    harmless("WARNING: suspicious RCU usage", "lockdep"),
    harmless("WARNING: bad unlock balance", "lockdep"),
    harmless("WARNING: held lock freed", "lockdep"),
    // WARN(), WARN_ON() and similar macros, and the rest of lockdep.
    harmless("WARNING: ", "WARNING"),
    harmless("kmemleak: Kernel memory leak detector disabled", "kmemleak"),
    harmless("kmemleak: Memory pool empty", "kmemleak"),
    harmless("kmemleak: Cannot allocate", "kmemleak"),
    harmless("debugfs: '", "debugfs"),
    harmless("sysfs: cannot create duplicate filename", "sysfs"),
];

/// The kind of complaint that begins with this record; [`None`] for any other record. A record of
/// user space can have any text, so it never begins one.
pub fn kind(record: &Record) -> Option<&'static ComplaintKind> {
    if !record.is_kernel() {
        return None;
    }
    KINDS
        .iter()
        .find(|kind| record.text.starts_with(kind.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str, facility: u8) -> Option<&'static str> {
        let record = Record {
            seq: 1,
            time_us: 1,
            level: 4,
            facility,
            caller: None,
            text: text.to_owned(),
        };
        kind(&record).map(|kind| kind.what)
    }

    #[test]
    fn first_lines_of_complaints_are_recognised() {
        for (text, known) in [
            ("BUG: KASAN: slab-use-after-free in x+0x1/0x2", "KASAN"),
            (
                "BUG: sleeping function called from invalid context at mm/mmu_notifier.c:1",
                "sleep in atomic context",
            ),
            (
                "BUG: scheduling while atomic: a/1/0x2",
                "sleep in atomic context",
            ),
            ("BUG: unable to handle page fault for address: 0", "BUG"),
            ("BUG: Bad page state in process a  pfn:1", "BUG"),
            (
                "BUG kmalloc-64 (Tainted: G O): Redzone overwritten",
                "slab corruption",
            ),
            ("kernel BUG at mm/mmu_notifier.c:1!", "BUG"),
            (
                "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:1]",
                "lockup",
            ),
            (
                "watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1",
                "lockup",
            ),
            (
                "list_del corruption, 1->next is LIST_POISON1 (1)",
                "list corruption",
            ),
            ("refcount_t: underflow; use-after-free.", "reference count"),
            ("ODEBUG: free active (active state 0) object: 1", "ODEBUG"),
            ("UBSAN: shift-out-of-bounds in x.c:1:2", "UBSAN"),
            ("rust_kernel: panicked at module/x.rs:1:2:", "Rust panic"),
            (
                "Oops: general protection fault, 0000 [#1] SMP KASAN",
                "oops",
            ),
            (
                "INFO: task a:1 blocked for more than 120 seconds.",
                "hung task",
            ),
            (
                "rcu: INFO: rcu_preempt self-detected stall on CPU",
                "RCU stall",
            ),
            ("[ BUG: Invalid wait context ]", "lockdep"),
            (
                "WARNING: possible circular locking dependency detected",
                "lockdep",
            ),
            (
                "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
                "WARNING",
            ),
            ("WARNING: mm/x.c:1 at y+0x1/0x2, CPU#0: a/1", "WARNING"),
            ("debugfs: 'a' already exists in 'b'", "debugfs"),
        ] {
            assert_eq!(what(text, 0), Some(known), "{text}");
        }
    }

    #[test]
    fn other_lines_are_no_complaints() {
        for text in [
            "x+0x0/0x10 [x] callback failed with -11 in blockable context.",
            "oom_reaper: reaped process 7 (BUG: KASAN), now anon-rss:0kB",
            "Out of memory: Killed process 1 (WARNING: )",
            " BUG: a line of a stack trace",
            "rcu: Hierarchical SRCU implementation.",
            "------------[ cut here ]------------",
            "mmu_notifier_inject: loading out-of-tree module taints kernel.",
        ] {
            assert_eq!(what(text, 0), None, "{text}");
        }
        assert_eq!(what("BUG: KASAN: mine", 1), None);
    }
}
