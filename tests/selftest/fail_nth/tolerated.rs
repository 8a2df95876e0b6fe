// SPDX-License-Identifier: GPL-2.0

//! What a call must return after a fault.

use nix::errno::Errno;

use crate::fail_nth::site::Site;

/// Result of a system call.
pub type Returned = Result<(), Errno>;

/// A function of the kernel in which a fault has another result than its errno.
#[derive(Debug)]
pub struct Tolerated {
    /// The function, anywhere on the stack.
    pub function: &'static str,
    /// The result of the call.
    pub returned: Returned,
    /// The reason.
    pub why: &'static str,
}

const fn succeeds(function: &'static str, why: &'static str) -> Tolerated {
    Tolerated {
        function,
        returned: Ok(()),
        why,
    }
}

/// All functions in which a fault may have another result than its errno. Nothing else may.
pub const TOLERATED: &[Tolerated] = &[
    succeeds(
        "kvrealloc_node_align_noprof",
        "what kmalloc() does not have comes from vmalloc()",
    ),
    succeeds(
        "kobject_uevent_env",
        "the event for user space is lost, which nothing reports",
    ),
    succeeds(
        "kunit_module_notify",
        "the module is loaded without its unit tests, which the kernel logs as an error",
    ),
    succeeds(
        "preload_this_cpu_lock",
        "preloads one object as best effort; what needs it allocates it again",
    ),
    succeeds(
        "execmem_alloc",
        "execmem_cache_populate_alloc() tries again without huge pages",
    ),
];

/// A line by which kmemleak says that it does without memory: it scans all of an object instead of
/// a part. Nothing is missed.
pub const KMEMLEAK_SCANS_ALL: &str = "kmemleak: Cannot allocate a scan area";

/// The errno of a fault.
fn errno(site: &Site) -> Option<Errno> {
    match site.capability.as_str() {
        "failslab" | "fail_page_alloc" => Some(Errno::ENOMEM),
        "fail_usercopy" => Some(Errno::EFAULT),
        _ => None,
    }
}

/// What a result after a fault means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The call failed with the errno of the fault.
    Failed,
    /// The result is another one, for the reason in the table.
    Tolerated(&'static str),
    /// The fault was not printed, so its place is not known.
    Unseen,
    /// The result must not be.
    Wrong,
}

/// Judges what a call returned after a fault at that place. The place of an allocation with
/// `__GFP_NOWARN` is not known ([`None`]): its caller does without the memory, or fails with
/// `ENOMEM`.
pub fn judge(site: Option<&Site>, returned: Returned) -> Meaning {
    let Some(site) = site else {
        return match returned {
            Ok(()) | Err(Errno::ENOMEM) => Meaning::Unseen,
            Err(_) => Meaning::Wrong,
        };
    };
    if returned.err().is_some_and(|seen| errno(site) == Some(seen)) {
        return Meaning::Failed;
    }
    TOLERATED
        .iter()
        .find(|one| one.returned == returned && site.is_in(one.function))
        .map_or(Meaning::Wrong, |one| Meaning::Tolerated(one.function))
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

    fn site(capability: &str, function: &str) -> Site {
        Site {
            capability: capability.to_owned(),
            functions: vec!["should_failslab".to_owned(), function.to_owned()],
        }
    }

    #[test]
    fn only_the_errno_of_the_fault_is_right() {
        let slab = site("failslab", "f");
        let page = site("fail_page_alloc", "f");
        let copy = site("fail_usercopy", "f");
        let results = [
            Ok(()),
            Err(Errno::ENOMEM),
            Err(Errno::EFAULT),
            Err(Errno::EEXIST),
        ];
        let right =
            |site: Option<&Site>| results.map(|returned| judge(site, returned) != Meaning::Wrong);
        assert_eq!(right(Some(&slab)), [false, true, false, false]);
        assert_eq!(right(Some(&page)), [false, true, false, false]);
        assert_eq!(right(Some(&copy)), [false, false, true, false]);
        assert_eq!(right(Some(&site("fail_futex", "f"))), [false; 4]);
        assert_eq!(right(None), [true, true, false, false]);
    }

    #[test]
    fn a_tolerated_function_allows_its_result_and_no_other() {
        for one in TOLERATED {
            assert!(!one.why.is_empty());
            let site = site("failslab", one.function);
            assert_eq!(
                judge(Some(&site), one.returned),
                Meaning::Tolerated(one.function)
            );
            assert_eq!(judge(Some(&site), Err(Errno::EEXIST)), Meaning::Wrong);
        }
    }
}
