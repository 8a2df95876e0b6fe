// SPDX-License-Identifier: GPL-2.0

//! Bugs that were found in the kernel: the document, the patches and the table of known bugs agree.

use std::fs;
use std::path::{Path, PathBuf};

use mn_inject::scenario;
use mn_inject::scenario::known_bugs::{BUGS, scenarios_of};

/// Numbers of the patches for something that takes longer than it did in an earlier kernel.
const REGRESSIONS: &[&str] = &["0009"];

/// Numbers of the patches for a fault whose commit is not known: no history of the kernel was at hand.
const WITHOUT_COMMIT: &[&str] = &["0017", "0018", "0019"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn text() -> String {
    let path = docs().join("found-in-the-kernel.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name and text of each patch, in the order of the names.
fn patches() -> Vec<(String, String)> {
    let mut patches: Vec<_> = fs::read_dir(docs().join("found"))
        .expect("there is no docs/found")
        .map(|entry| {
            let entry = entry.expect("cannot read docs/found");
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path()).expect("cannot read a patch");
            (name, text)
        })
        .collect();
    patches.sort();
    assert!(!patches.is_empty());
    patches
}

/// Value of a header of a mail, with its folded lines joined.
fn header(patch: &str, name: &str) -> Option<String> {
    let (head, _) = patch.split_once("\n\n")?;
    let mut lines = head.lines().skip_while(|line| !line.starts_with(name));
    let first = lines.next()?;
    let folded = lines.take_while(|line| line.starts_with(' '));
    let words = [&first[name.len()..]].into_iter().chain(folded);
    Some(words.map(str::trim).collect::<Vec<_>>().join(" "))
}

#[test]
fn every_known_bug_has_its_section_and_its_scenarios() {
    let text = text();
    for bug in BUGS {
        let heading = format!("\n## {}\n", bug.name);
        let (_, section) = text
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{} has no section", bug.name));
        let section = section.split("\n## ").next().unwrap_or_default();
        // The command in the section runs at least one of the scenarios.
        let patterns: Vec<String> = section
            .lines()
            .filter_map(|line| line.split_once("--only '"))
            .filter_map(|(_, rest)| rest.split_once('\''))
            .map(|(pattern, _)| pattern.to_owned())
            .collect();
        assert!(!patterns.is_empty(), "{} has no command", bug.name);
        for pattern in patterns {
            let is_shown = |name: &str| scenario::is_wanted(std::slice::from_ref(&pattern), name);
            assert!(scenarios_of(bug).any(is_shown), "{pattern}");
        }
        for series in bug.seen_on {
            assert!(section.contains(series), "{} on {series}", bug.name);
        }
        // The output that is quoted, without the patch and with it.
        let about = bug.about;
        let shown = format!("known bug of the kernel: {about}\n");
        assert!(section.contains(&shown), "{}: {shown}", bug.name);
        let gone = format!("the known bug is gone: {about}\n");
        let has_patch = section.contains("--patch docs/found/");
        assert_eq!(section.contains(&gone), has_patch, "{}: {gone}", bug.name);
    }
}

#[test]
fn every_named_scenario_exists() {
    let text = text();
    let names: Vec<String> = scenario::select(&[]).iter().map(|s| s.name()).collect();
    let quoted = text.split('`').skip(1).step_by(2);
    let mut count = 0;
    for name in quoted.filter(|word| word.starts_with('r') && word.as_bytes()[1].is_ascii_digit()) {
        assert!(names.iter().any(|known| known == name), "{name}");
        count += 1;
    }
    assert!(count > 3, "{count}");
}

#[test]
fn patches_have_the_form_of_the_kernels_lists() {
    let text = text();
    for (name, patch) in patches() {
        assert!(text.contains(&format!("docs/found/{name}")), "{name}");
        let subject = header(&patch, "Subject: ").expect("no Subject:");
        let area = subject
            .strip_prefix("[PATCH] ")
            .map(|rest| rest.split(": ").next());
        let areas = [
            "mm/mmu_notifier",
            "mm/mprotect",
            "debugfs",
            "rust",
            "locking/rt",
            "um",
            "userfaultfd",
            "fs/proc/task_mmu",
            "mm/huge_memory",
            "mm/hugetlb",
            "mm/damon",
            "mm/khugepaged",
            "mm/pagewalk",
            "mm",
        ]
        .map(Some);
        assert!(
            area.is_some_and(|area| areas.contains(&area)),
            "{name}: {subject}"
        );
        // Nobody vouches for it yet (Documentation/process/submitting-patches.rst): whoever sends
        // it is its author and signs it off.
        for line in ["From: ", "Signed-off-by: "] {
            assert!(
                !patch.lines().any(|l| l.starts_with(line)),
                "{name}: {line}"
            );
        }
        // A check that is missing is no malfunction, and neither is one that says too much.
        let is_check = [": catch ", ": allow "]
            .iter()
            .any(|word| subject.contains(word));
        // Neither is one that takes longer than it must, unless it once did not.
        let is_cost = [
            ": announce ",
            ": do not announce ",
            ": ask the notifiers ",
            ": do not ask ",
        ]
        .iter()
        .any(|word| subject.contains(word));
        let is_fault = !is_check && !is_cost || REGRESSIONS.contains(&&name[..4]);
        let names_commit = is_fault && !WITHOUT_COMMIT.contains(&&name[..4]);
        assert_eq!(patch.contains("\nFixes: "), names_commit, "{name}");
        assert!(patch.contains("\n---\n"), "{name}");
        assert!(patch.contains("\ndiff --git a/"), "{name}");
        // Below, the other direction: every patch that the document names exists.
        assert!(name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
    }
    let known: Vec<String> = patches().into_iter().map(|(name, _)| name).collect();
    for (_, rest) in text
        .match_indices("docs/found/")
        .map(|(at, _)| text.split_at(at))
    {
        let name = rest["docs/found/".len()..].split_whitespace().next();
        assert!(known.iter().any(|k| Some(k.as_str()) == name), "{name:?}");
    }
}
