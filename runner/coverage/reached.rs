// SPDX-License-Identifier: GPL-2.0

//! The calls of notifiers that recorded scenarios have made, by the function that made them.

use std::collections::BTreeSet;

use crate::coverage::sites::{CALLEE, WAYS};
use crate::model::{Call, Coverage, Observation, Recording, Site, SiteCoverage};

/// Functions that no scenario makes call a notifier, with the reason.
const WHY_NOT: &[(&str, &str)] = &[
    (
        "page_vma_mkclean_one",
        "needs a file system that writes back, as in --config full",
    ),
    (
        "try_to_unmap_poisoned_hugetlb_one",
        "needs CONFIG_MEMORY_FAILURE, as in --config full",
    ),
    (
        "__split_huge_pud",
        "needs a DAX device with pages of 1 GiB, as in --config full",
    ),
];

/// A function that no scenario has reached so far.
fn unreached(site: &Site) -> SiteCoverage {
    let known = WHY_NOT.iter().find(|(name, _)| *name == site.function);
    SiteCoverage {
        function: site.function.clone(),
        calls: site.calls,
        places: site.places.clone(),
        scenarios: BTreeSet::new(),
        kinds: Vec::new(),
        contexts: Vec::new(),
        has_failed: false,
        why_not: known.map(|(_, why)| (*why).to_owned()),
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// The function that made a call, from its stack.
fn caller(callers: &[String]) -> Option<&str> {
    let at = callers.iter().position(|function| function == CALLEE)?;
    let mut behind = callers[at + 1..].iter().map(String::as_str);
    behind.find(|function| !WAYS.contains(function))
}

/// Counts the functions that the recordings reached. The calls outside of the addresses that a
/// scenario watches count as well: their number is not judged, but they were made.
///
/// # Errors
///
/// A call was made by a function that the kernel does not have, so the recording is of another one;
/// or no call has a stack.
pub fn coverage(sites: &[Site], recordings: &[Recording]) -> Result<Coverage, String> {
    let mut sites: Vec<SiteCoverage> = sites.iter().map(unreached).collect();
    let windows = recordings
        .iter()
        .flat_map(|recording| &recording.boots)
        .flat_map(|boot| &boot.windows);
    let mut has_stacks = false;
    for o in windows.flat_map(|window| &window.observations) {
        for call in &o.calls {
            let Some(function) = caller(&call.callers) else {
                continue;
            };
            has_stacks = true;
            let site = sites.iter_mut().find(|site| site.function == function);
            let site = site.ok_or_else(|| {
                format!(
                    "{}: {function}() calls a notifier, and not in this kernel: the recording is \
                     of another one",
                    o.scenario
                )
            })?;
            visit(site, o, call);
        }
    }
    if !has_stacks {
        return Err("no call was recorded with its stack".to_owned());
    }
    let reached = sites.iter().filter(|site| site.is_reached()).count();
    Ok(Coverage { sites, reached })
}

fn visit(site: &mut SiteCoverage, o: &Observation, call: &Call) {
    site.scenarios.insert(o.scenario.clone());
    if let Some(kind) = o.kind(call) {
        add(&mut site.kinds, kind);
    }
    add(&mut site.contexts, call.context);
    site.has_failed |= call.returned != 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(functions: &[&str]) -> Vec<String> {
        functions.iter().map(|&one| one.to_owned()).collect()
    }

    #[test]
    fn the_caller_is_behind_the_function_that_calls_the_notifiers() {
        let plain = stack(&[CALLEE, "unmap_vmas", "unmap_region"]);
        assert_eq!(caller(&plain), Some("unmap_vmas"));
        let not_inlined = stack(&[CALLEE, WAYS[0], "retract_page_tables"]);
        assert_eq!(caller(&not_inlined), Some("retract_page_tables"));
        let interval = stack(&["mn_itree_invalidate", CALLEE, "copy_page_range"]);
        assert_eq!(caller(&interval), Some("copy_page_range"));
        for none in [
            &stack(&[]),
            &stack(&["__mmu_notifier_release", "exit_mmap"]),
        ] {
            assert_eq!(caller(none), None);
        }
        assert_eq!(caller(&stack(&[CALLEE])), None);
    }
}
