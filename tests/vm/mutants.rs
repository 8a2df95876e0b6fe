// SPDX-License-Identifier: GPL-2.0

//! Kernels that are wrong on purpose, and modules that lie.

use mn_inject::oracle::mutants::Mutant;

use crate::harness::{file, mutant, patch, run};

/// The patches in a folder of `tests/`, each with its claim, by name.
fn all_of(folder: &str) -> Vec<Mutant> {
    let folder = file(&format!("tests/{folder}"));
    let entries = std::fs::read_dir(folder).expect("cannot read the folder");
    let paths = entries.map(|entry| entry.expect("cannot read the folder").path());
    let mut mutants: Vec<Mutant> = paths
        .map(|path| Mutant::read(&path).unwrap_or_else(|error| panic!("{error:#}")))
        .collect();
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    mutants
}

/// The mutants that need no debug kernel.
pub fn core_mutants() -> Vec<Mutant> {
    let mut mutants = all_of("mutants");
    mutants.retain(|mutant| !takes_debug(mutant));
    mutants
}

fn takes_debug(mutant: &Mutant) -> bool {
    mutant.claim.config.as_deref() == Some("debug")
}

/// Asserts that each mutant is killed and each lie doubted as it claims, and that the unmodified
/// kernels pass.
fn assert_killed_and_doubted(mutants: &[Mutant], lies: &[Mutant]) {
    let (killed, doubted) = (mutants.len(), lies.len());
    let outcome = format!(
        "PASS: {killed} of {} mutants killed, {doubted} doubted as they must be, 0 otherwise",
        killed + doubted
    );
    let paths = mutants.iter().chain(lies);
    let paths: Vec<String> = paths.map(|m| m.path.display().to_string()).collect();
    // Each that needs a virtual machine says so.
    let mut arguments = vec!["mutants", "--machine", "uml"];
    arguments.extend(paths.iter().map(String::as_str));
    run(&arguments).expect(0, &[&outcome]);
}

/// Kernels that are wrong on purpose, and modules that lie.
#[test]
#[ignore = "full: 25 min"]
fn every_mutant_is_killed_and_every_lie_doubted() {
    assert_killed_and_doubted(&core_mutants(), &all_of("lies"));
}

/// One of each rule that only the debug kernel can check: each takes minutes.
#[test]
#[ignore = "full: 8 min"]
fn a_debug_mutant_of_each_rule_is_killed() {
    let mut mutants = all_of("mutants");
    mutants.retain(takes_debug);
    let mut rules = std::collections::HashSet::new();
    mutants.retain(|mutant| rules.insert(mutant.claim.rule));
    assert_killed_and_doubted(&mutants, &[]);
}

/// Too long for `.ci/run`, which leaves out this test by its name.
#[test]
#[ignore = "full: 60 min"]
fn every_debug_mutant_is_killed() {
    let mut mutants = all_of("mutants");
    mutants.retain(takes_debug);
    assert_killed_and_doubted(&mutants, &[]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_mutant_that_changes_nothing_survives() {
    let file = patch("harmless");
    run(&["mutants", "--only", "munmap-whole-*", &file]).expect(
        1,
        &["SURVIVED  harmless", "0 of 1 mutants killed", "1 survived"],
    );
}

/// After the scenario that it claims nothing else runs on a mutant, unless that is asked for.
#[test]
#[ignore = "full: 1 min"]
fn a_mutant_runs_all_scenarios_if_asked() {
    let file = mutant("warn-twice");
    let arguments = ["mutants", "--only", "munmap-*", &file];
    let all = run(&[&arguments[..], &["--all"]].concat());
    all.expect(0, &["munmap-whole-eagain (+5)", "1 of 1 mutants killed"]);
    let first = run(&arguments);
    first.expect(0, &["munmap-whole-eagain ", "1 of 1 mutants killed"]);
    assert!(!first.stdout.contains("(+"), "{first}");
}
