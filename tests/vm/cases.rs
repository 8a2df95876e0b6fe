// SPDX-License-Identifier: GPL-2.0

//! Modules that are wrong on purpose, and the cases of `mn-selftest cases` that find them.

use crate::harness::{patch, selftest};

/// A module that is wrong in what one case is about.
struct Wrong {
    /// Name of its patch in `tests/patches`.
    patch: &'static str,
    /// The case.
    case: &'static str,
    /// Words of the finding.
    finding: &'static str,
}

const WRONG: &[Wrong] = &[
    Wrong {
        patch: "module-charges-nobody",
        case: "attach-charged",
        finding: "bytes are charged for 8 targets",
    },
    Wrong {
        patch: "module-read-waits",
        case: "read-at-any-time",
        finding: "/read_begin returned when the callback was over",
    },
    Wrong {
        patch: "module-sleeps-on",
        case: "effect-sleep-killed",
        finding: "after the begin of a sleep of 10s",
    },
    Wrong {
        patch: "module-wakes-early",
        case: "effect-sleep-not-killed",
        finding: "a sleep of 2s in non-blockable context ended after ",
    },
    Wrong {
        patch: "module-hides",
        case: "breach-taints",
        finding: "tainted by a module for tests: expected 262144, got 0",
    },
    Wrong {
        patch: "module-taints-not",
        case: "breach-taints",
        finding: "tainted: expected 64, got 0",
    },
];

/// The same cases pass with the right module, in `cargo test --release`.
#[test]
#[ignore = "full: 1 min"]
fn a_module_that_is_wrong_fails_the_case_about_that() {
    for Wrong {
        patch: name,
        case,
        finding,
    } in WRONG
    {
        let (patch, only) = (patch(name), format!("--only={case}"));
        let ran = selftest(&["cases", &only, "--patch", &patch]);
        let failed = format!("FAIL        {case}\n            ");
        ran.expect(1, &[&failed, finding, "1 cases (0 skipped), 1 findings"]);
    }
}
