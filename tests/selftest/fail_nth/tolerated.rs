// SPDX-License-Identifier: GPL-2.0

//! Results that a call may have after a fault.

use nix::errno::Errno;

use crate::fail_nth::course::Faults;
use crate::fail_nth::site::Site;

/// Result of a system call.
pub type Returned = Result<(), Errno>;

/// Functions of the kernel that do without what an allocation fails to give.
#[derive(Debug)]
pub struct Tolerated {
    /// The functions, all of which are on the stack.
    pub functions: &'static [&'static str],
    /// The reason why the call succeeds.
    pub why: &'static str,
}

impl Tolerated {
    fn is_at(&self, site: &Site) -> bool {
        self.functions.iter().all(|function| site.is_in(function))
    }
}

/// All functions in which a call may succeed after a fault. In nothing else it may.
pub const TOLERATED: &[Tolerated] = &[
    Tolerated {
        functions: &["krealloc_node_align_noprof", "kvrealloc_node_align_noprof"],
        why: "what kmalloc() does not have comes from vmalloc()",
    },
    Tolerated {
        functions: &["kobject_uevent_env", "device_add"],
        why: "the event for user space is lost, which device_add() ignores",
    },
    Tolerated {
        functions: &["kobject_uevent_env", "device_del"],
        why: "the event for user space is lost, which device_del() ignores",
    },
    Tolerated {
        functions: &["kobject_uevent_env", "__kobject_del"],
        why: "the event for user space is lost, which __kobject_del() ignores",
    },
    Tolerated {
        functions: &["execmem_free"],
        why: "memory of code that cannot be freed now is freed later, by execmem_cache_free_slow()",
    },
];

/// The errno of a fault.
fn errno(site: &Site) -> Option<Errno> {
    match site.capability.as_str() {
        "failslab" | "fail_page_alloc" => Some(Errno::ENOMEM),
        "fail_usercopy" => Some(Errno::EFAULT),
        _ => None,
    }
}

/// Meaning of a result after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The call failed with the errno of the fault.
    Failed,
    /// The call succeeded, for the reason in the table.
    Tolerated(&'static str),
    /// The call succeeded, and the fault was in the kernel's part of a load.
    InKernel,
    /// The fault was not printed, so its place is not known.
    Unseen,
    /// The result must not be.
    Wrong,
}

/// Judges what a call returned after a fault at that place. The place of an allocation with
/// `__GFP_NOWARN` is not known ([`None`]): its caller does without the memory, or fails with
/// `ENOMEM`. In the part of a load that is not the module's init, the kernel does without some
/// allocations too (the first try of an allocation for code, a unit test, an event); that the module
/// is then all there, and can be unloaded, is checked elsewhere.
pub fn judge(site: Option<&Site>, returned: Returned, faults: Faults) -> Meaning {
    let Some(site) = site else {
        return match returned {
            Ok(()) | Err(Errno::ENOMEM) => Meaning::Unseen,
            Err(_) => Meaning::Wrong,
        };
    };
    if returned.err().is_some_and(|seen| errno(site) == Some(seen)) {
        return Meaning::Failed;
    }
    if faults == Faults::OfInit && !site.is_in_init() && returned.is_ok() {
        return Meaning::InKernel;
    }
    TOLERATED
        .iter()
        .find(|one| returned.is_ok() && one.is_at(site))
        .map_or(Meaning::Wrong, |one| Meaning::Tolerated(one.why))
}

/// The result that is due, in words.
pub fn due(site: Option<&Site>) -> String {
    match site.map(errno) {
        None => "success or ENOMEM".to_owned(),
        Some(Some(errno)) => format!("{errno:?}"),
        Some(None) => "no fault of this kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail_nth::site::INIT;

    fn site(capability: &str, functions: &[&str]) -> Site {
        Site {
            capability: capability.to_owned(),
            functions: functions.iter().map(|&one| one.to_owned()).collect(),
        }
    }

    #[test]
    fn only_the_errno_of_the_fault_is_right() {
        let slab = site("failslab", &["f"]);
        let page = site("fail_page_alloc", &["f"]);
        let copy = site("fail_usercopy", &["f"]);
        let results = [
            Ok(()),
            Err(Errno::ENOMEM),
            Err(Errno::EFAULT),
            Err(Errno::EEXIST),
        ];
        let right = |site: Option<&Site>| {
            results.map(|returned| judge(site, returned, Faults::All) != Meaning::Wrong)
        };
        assert_eq!(right(Some(&slab)), [false, true, false, false]);
        assert_eq!(right(Some(&page)), [false, true, false, false]);
        assert_eq!(right(Some(&copy)), [false, false, true, false]);
        assert_eq!(right(Some(&site("fail_futex", &["f"]))), [false; 4]);
        assert_eq!(right(None), [true, true, false, false]);
    }

    #[test]
    fn a_call_succeeds_only_with_all_the_functions_on_the_stack() {
        for one in TOLERATED {
            let whole = site("failslab", one.functions);
            let judged = |site, returned| judge(Some(site), returned, Faults::All);
            assert_eq!(judged(&whole, Ok(())), Meaning::Tolerated(one.why));
            assert_eq!(judged(&whole, Err(Errno::EEXIST)), Meaning::Wrong);
            let part = site("failslab", &one.functions[1..]);
            assert_eq!(judged(&part, Ok(())), Meaning::Wrong);
        }
    }

    /// The large page of which the code was a part had to be split to make the code writable.
    #[test]
    fn code_that_cannot_be_freed_is_freed_later() {
        let stack = [
            "__alloc_frozen_pages_noprof",
            "__change_page_attr_set_clr",
            "set_memory_nx",
            "execmem_free",
            "free_mod_mem",
            "__do_sys_delete_module",
        ];
        let fault = site("fail_page_alloc", &stack);
        let judged = |returned| judge(Some(&fault), returned, Faults::All);
        assert!(matches!(judged(Ok(())), Meaning::Tolerated(_)));
        assert_eq!(judged(Err(Errno::EBUSY)), Meaning::Wrong);
        let elsewhere = site("fail_page_alloc", &stack[..3]);
        assert_eq!(judge(Some(&elsewhere), Ok(()), Faults::All), Meaning::Wrong);
    }

    #[test]
    fn a_load_succeeds_only_after_a_fault_outside_of_the_init() {
        let elsewhere = site("failslab", &["load_module"]);
        let init = site("failslab", &[INIT]);
        let results = [&elsewhere, &init].map(|site| {
            [Ok(()), Err(Errno::ENOMEM), Err(Errno::EEXIST)]
                .map(|returned| judge(Some(site), returned, Faults::OfInit))
        });
        assert_eq!(
            results,
            [
                [Meaning::InKernel, Meaning::Failed, Meaning::Wrong],
                [Meaning::Wrong, Meaning::Failed, Meaning::Wrong],
            ]
        );
        assert_eq!(judge(Some(&elsewhere), Ok(()), Faults::All), Meaning::Wrong);
    }
}
