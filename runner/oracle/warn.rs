// SPDX-License-Identifier: GPL-2.0

//! The first line of a WARN.

use crate::model::KernelMessage;
use crate::oracle::symbol::Symbol;

/// The first line of a WARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WarnHeader<'a> {
    /// `FILE:LINE`; absent without `CONFIG_DEBUG_BUGVERBOSE`.
    pub(super) place: Option<&'a str>,
    /// The function that the WARN is in, with offset, size and module.
    pub(super) symbol: Symbol<'a>,
    /// Comm of the task that was running; Linux 6.12 does not print it.
    pub(super) comm: Option<&'a str>,
    /// Pid of that task.
    pub(super) pid: i32,
}

impl<'a> WarnHeader<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("WARNING: ")?;
        match rest.strip_prefix("CPU: ") {
            Some(rest) => Self::parse_6_12(rest),
            None => Self::parse_7(rest),
        }
    }

    /// `[COND] FILE:LINE at SYMBOL, CPU#N: COMM/PID`
    fn parse_7(rest: &'a str) -> Option<Self> {
        let (left, task) = rest.split_once(", CPU#")?;
        let (cpu, task) = task.split_once(": ")?;
        let _: u32 = cpu.parse().ok()?;
        let (comm, pid) = task.rsplit_once('/')?;
        let (place, symbol) = match left.strip_prefix("at ") {
            Some(symbol) => (None, symbol),
            None => {
                let (place, symbol) = left.rsplit_once(" at ")?;
                // The condition is printed with CONFIG_DEBUG_BUGVERBOSE_DETAILED only.
                let place = match place.rsplit_once(' ') {
                    Some((condition, place)) => {
                        (condition.starts_with('[') && condition.ends_with(']')).then_some(place)?
                    }
                    None => place,
                };
                (Some(place), symbol)
            }
        };
        Some(WarnHeader {
            place,
            symbol: Symbol::parse(symbol)?,
            comm: Some(comm),
            pid: pid.parse().ok()?,
        })
    }

    /// `N PID: N at FILE:LINE SYMBOL`
    fn parse_6_12(rest: &'a str) -> Option<Self> {
        let (cpu, rest) = rest.split_once(" PID: ")?;
        let _: u32 = cpu.parse().ok()?;
        let (pid, rest) = rest.split_once(" at ")?;
        let (place, symbol) = match rest.split_once(' ') {
            Some((place, symbol)) if !symbol.starts_with('[') => (Some(place), symbol),
            _ => (None, rest),
        };
        Some(WarnHeader {
            place,
            symbol: Symbol::parse(symbol)?,
            comm: None,
            pid: pid.parse().ok()?,
        })
    }

    /// Whether it comes from the code of mm/mmu_notifier.c that calls notifiers.
    pub(super) fn is_of_notifiers(&self) -> bool {
        let file = self.place.map(|place| match place.rsplit_once(':') {
            Some((file, _)) => file,
            None => place,
        });
        let of_file = file.is_none_or(|file| {
            file.strip_suffix("mm/mmu_notifier.c")
                .is_some_and(|dir| dir.is_empty() || dir.ends_with('/'))
        });
        let name = self.symbol.name;
        of_file
            && ["mmu_notifier", "mmu_interval", "mn_hlist", "mn_itree"]
                .iter()
                .any(|part| name.contains(part))
            // Functions of the module have such names, too.
            && self.symbol.module.is_none()
    }

    /// The general debugging check that it comes from, if it comes from one.
    pub(super) fn symptom(&self) -> Option<KernelMessage> {
        let file = self.place.and_then(|place| place.rsplit_once(':'));
        let file = file.map_or("", |(file, _)| file);
        if file.ends_with("linux/rwsem.h") || file.ends_with("linux/mmap_lock.h") {
            Some(KernelMessage::LockWarn)
        } else if self.symbol.name.contains("mmu_interval_notifier_insert") {
            Some(KernelMessage::DeadWarn)
        } else {
            None
        }
    }

    /// Whether it is rt_mutex_handle_deadlock(): on PREEMPT_RT a task has found that it waits for
    /// itself.
    pub(super) fn is_rt_deadlock(&self) -> bool {
        self.place
            .and_then(|place| place.rsplit_once(':'))
            .is_some_and(|(file, _)| file.ends_with("kernel/locking/rtmutex.c"))
    }

    /// Text that identifies the WARN_ON: its place, or the symbol where no place is printed.
    pub(super) fn site(&self) -> &'a str {
        self.place.unwrap_or(self.symbol.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Place, name, comm, pid, and whether it is about notifiers.
    type Parts = (Option<String>, String, Option<String>, i32, bool);

    fn warn(text: &str) -> Option<Parts> {
        let header = WarnHeader::parse(text)?;
        Some((
            header.place.map(str::to_owned),
            header.symbol.name.to_owned(),
            header.comm.map(str::to_owned),
            header.pid,
            header.is_of_notifiers(),
        ))
    }

    #[test]
    fn headers_of_all_kernels_are_parsed() {
        let place = Some("mm/mmu_notifier.c:534".to_owned());
        let name = "mn_hlist_invalidate_range_start".to_owned();
        let comm = |comm: &str| Some(comm.to_owned());
        let table = [
            (
                "WARNING: mm/mmu_notifier.c:534 at mn_hlist_invalidate_range_start+0x1/0x2, CPU#0: a b/7",
                (place.clone(), name.clone(), comm("a b"), 7, true),
            ),
            (
                "WARNING: [a ? b : c || _ret != -11] mm/mmu_notifier.c:534 at \
                 mn_hlist_invalidate_range_start+0x1/0x2, CPU#12: at x, CPU#3: y/8/9",
                (
                    place.clone(),
                    name.clone(),
                    comm("at x, CPU#3: y/8"),
                    9,
                    true,
                ),
            ),
            (
                "WARNING: at mn_hlist_invalidate_range_start+0x1/0x2, CPU#0: x/7",
                (None, name.clone(), comm("x"), 7, true),
            ),
            (
                "WARNING: mm/mmu_notifier.c:534 at mmu_interval_notifier_remove+0x1/0x2, CPU#0: x/7",
                (
                    place.clone(),
                    "mmu_interval_notifier_remove".to_owned(),
                    comm("x"),
                    7,
                    true,
                ),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mm/mmu_notifier.c:534 mn_hlist_invalidate_range_start+0x1/0x2",
                (place.clone(), name.clone(), None, 7, true),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mn_hlist_invalidate_range_start+0x1/0x2",
                (None, name.clone(), None, 7, true),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at drivers/x.c:1 mmu_notifier_x+0x1/0x2 [x]",
                (
                    Some("drivers/x.c:1".to_owned()),
                    "mmu_notifier_x".to_owned(),
                    None,
                    7,
                    false,
                ),
            ),
            (
                "WARNING: CPU: 1 PID: 7 at mmu_notifier_x+0x1/0x2 [x]",
                (None, "mmu_notifier_x".to_owned(), None, 7, false),
            ),
        ];
        for (text, parts) in table {
            assert_eq!(warn(text), Some(parts), "{text}");
        }
        for text in [
            "WARNING: possible circular locking dependency detected",
            "WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm",
            "WARNING: [a mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
            "WARNING: a] mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
            "a WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: comm/1",
        ] {
            assert_eq!(warn(text), None, "{text}");
        }
    }

    /// Functions of the module and of other drivers have similar names.
    #[test]
    fn warns_of_notifiers_come_from_mmu_notifier_c() {
        for (place, of_notifiers) in [
            ("mm/mmu_notifier.c:1 at mn_itree_invalidate+0x1/0x2", true),
            ("/src/mm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2", true),
            ("mm/mmu_notifier.c:1 at other+0x1/0x2", false),
            ("drivers/x.c:1 at mmu_notifier_x+0x1/0x2", false),
            ("xmm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2", false),
            ("mm/mmu_notifier.c:1 at mmu_notifier_x+0x1/0x2 [x]", false),
        ] {
            let text = format!("WARNING: {place}, CPU#0: a/1");
            let is_of_notifiers = warn(&text).map(|parts| parts.4);
            assert_eq!(is_of_notifiers, Some(of_notifiers), "{text}");
        }
    }

    #[test]
    fn warns_of_general_checks_are_recognised() {
        use KernelMessage::{DeadWarn, LockWarn};
        let insert = "mm/mmu_notifier.c:9 at __mmu_interval_notifier_insert+0x1/0x2";
        for (place, message) in [
            ("include/linux/rwsem.h:85 at x+0x1/0x2", Some(LockWarn)),
            ("include/linux/mmap_lock.h:71 at x+0x1/0x2", Some(LockWarn)),
            (insert, Some(DeadWarn)),
            ("mm/mmu_notifier.c:9 at x+0x1/0x2", None),
            ("at x+0x1/0x2", None),
        ] {
            let text = format!("WARNING: {place}, CPU#0: a/1");
            let header = WarnHeader::parse(&text).expect("a WARN");
            assert_eq!(header.symptom(), message, "{place}");
        }
    }
}
