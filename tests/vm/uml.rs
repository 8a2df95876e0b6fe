// SPDX-License-Identifier: GPL-2.0

//! User Mode Linux beside QEMU: the same verdicts, and the same recording each time.

use std::path::Path;

use mn_inject::model::{Report, Verdict};
use mn_inject::oracle::mutants::MutantsReport;
use mn_inject::scenario::{is_wanted, known_bugs};

use crate::harness::{folder, new_report, report_of, run_now, suite_alone};
use crate::mutants::core_mutants;

/// Scenarios that User Mode Linux cannot have, as patterns, with the reason for which they are
/// skipped there.
pub const SKIPPED: &[(&str, &str)] = &[
    (
        "r05-reaped-before-end",
        "User Mode Linux does not preempt a kernel that spins",
    ),
    (
        "r11-same-twice",
        "User Mode Linux does not preempt a kernel that spins",
    ),
    ("r11-after-exit", "a BUG stops User Mode Linux"),
    ("r12-*-at-zero", "User Mode Linux maps nothing at address 0"),
    (
        "edge-*-at-zero-*",
        "User Mode Linux maps nothing at address 0",
    ),
    (
        "madvise-collapse-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
    ),
    (
        "memfd-collapse-mapped-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, with advise in shmem_enabled",
    ),
    (
        "remote-memfd-collapse-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, with advise in shmem_enabled",
    ),
    (
        "r13-mglru-asks",
        "the multi-generational LRU walks no page tables on this machine",
    ),
    ("r13-damon-asks", "DAMON samples addresses at random"),
    (
        "khugepaged-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
    ),
    (
        "r1?-khugepaged-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
    ),
    (
        "r14-dontdump-part",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
    ),
    (
        "r14-pagemap-scan-regions",
        "needs CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP",
    ),
    (
        "r12-pagemap-scan-hole",
        "needs two free huge pages of 2 MiB (nr_hugepages), and CONFIG_PTE_MARKER_UFFD_WP",
    ),
    (
        "r14-hugetlb-uffd-writeprotect",
        "needs two free huge pages of 2 MiB (nr_hugepages), and CONFIG_PTE_MARKER_UFFD_WP",
    ),
    (
        "huge-*",
        "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
    ),
    (
        "hugetlb-*",
        "needs two free huge pages of 2 MiB (nr_hugepages)",
    ),
    (
        "uffd-register-hugetlb-*",
        "needs two free huge pages of 2 MiB (nr_hugepages), and CONFIG_PTE_MARKER_UFFD_WP",
    ),
    (
        "pagemap-scan-wp-*",
        "needs CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP",
    ),
    (
        "uffd-writeprotect-*",
        "needs CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP",
    ),
];

/// Mutants that other scenarios kill as well on one of the two, with the reason.
const DIFFERENT: &[(&str, &str)] = &[(
    "warn-ratelimited",
    "a rate limit counts seconds, and time hardly passes on User Mode Linux",
)];

/// Number of mutants that run on both. All of them run on User Mode Linux.
const MUTANTS: usize = 30;

/// Verdict as a word, with the reason if it is skipped.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Fail { .. } => "fail".to_owned(),
        Verdict::KnownBug { reason, .. } => format!("known bug: {reason}"),
        Verdict::NoVerdict { reasons } => format!("no verdict: {}", reasons.join("; ")),
        Verdict::Skip { reason } => format!("skip: {reason}"),
    }
}

fn words(report: &Report) -> Vec<(String, String)> {
    let verdicts = report.verdicts();
    verdicts
        .map(|(name, verdict)| (name.to_owned(), word(verdict)))
        .collect()
}

#[test]
#[ignore = "full: 1 min"]
fn user_mode_linux_has_the_verdicts_of_qemu() {
    let _alone = suite_alone();
    for base in ["seed", "mainline"] {
        let mut due = words(&report_of("qemu", base));
        for (name, reason) in SKIPPED {
            let pattern = [(*name).to_owned()];
            let skipped = due
                .iter_mut()
                .filter(|(other, _)| is_wanted(&pattern, other));
            let mut count = 0;
            for (name, verdict) in skipped {
                let on_qemu = match known_bugs::of_scenario(name) {
                    Some(bug) => format!("known bug: {}", bug.about),
                    None => "pass".to_owned(),
                };
                assert_eq!(*verdict, on_qemu, "{name}");
                *verdict = format!("skip: {reason}");
                count += 1;
            }
            assert!(count > 0, "there is no {name}");
        }
        assert_eq!(words(&report_of("uml", base)), due, "{base}");
    }
}

/// The host's times and paths are left out: the rest does not depend on its load.
#[test]
#[ignore = "full: 1 min"]
fn runs_on_user_mode_linux_are_the_same_each_time() {
    let _alone = suite_alone();
    let reports = (0..5).map(|_| {
        let mut report = new_report("uml", "mainline");
        report.millis = 0;
        let vm = report.vm.as_mut().expect("no machine");
        vm.stages.clear();
        vm.logs.clear();
        serde_json::to_string(&report).expect("no JSON")
    });
    let reports: Vec<_> = reports.collect();
    assert!(reports.iter().all(|report| *report == reports[0]));
}

fn fates(machine: &str, paths: &[String]) -> Vec<String> {
    let (dir, output) = folder();
    let mut arguments = vec!["mutants", "--machine", machine, "--output", &output];
    arguments.extend(paths.iter().map(String::as_str));
    run_now(&arguments).expect(0, &["PASS: "]);
    let report = read(&dir.path().join("mutants.json"));
    report
        .mutants
        .iter()
        .map(|run| {
            let kills = run.kills.iter().map(|kill| (&kill.scenario, &kill.says));
            format!(
                "{} {:?} {:?}",
                run.name,
                run.fate,
                kills.collect::<Vec<_>>()
            )
        })
        .collect()
}

fn read(path: &Path) -> MutantsReport {
    let text = std::fs::read(path).expect("there is no mutants.json");
    serde_json::from_slice(&text).expect("mutants.json is not a report")
}

#[test]
#[ignore = "full: 8 min"]
fn mutants_have_the_fates_on_user_mode_linux_that_they_have_on_qemu() {
    let _alone = suite_alone();
    let both = core_mutants()
        .into_iter()
        .filter(|mutant| mutant.claim.machine.is_none());
    let is_different = |name: &str| DIFFERENT.iter().any(|(other, _)| *other == name);
    let both: Vec<_> = both.filter(|mutant| !is_different(&mutant.name)).collect();
    assert!(both.len() >= MUTANTS);
    // Spread over all of them, since those with similar names are similar.
    let paths: Vec<_> = (0..MUTANTS)
        .map(|turn| both[turn * both.len() / MUTANTS].path.display().to_string())
        .collect();
    assert_eq!(fates("uml", &paths), fates("qemu", &paths));
}
