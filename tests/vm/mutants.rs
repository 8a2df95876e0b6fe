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
    mutants.retain(|mutant| mutant.claim.config.is_none());
    mutants
}

/// Each mutant is killed and each lie doubted as it claims, and the unmodified kernels pass. One run
/// of them all, so that one kernel is built while others are tried.
#[test]
#[ignore = "full: 20 min"]
fn every_mutant_is_killed_and_every_lie_doubted() {
    let (mutants, lies) = (all_of("mutants"), all_of("lies"));
    let (killed, doubted) = (mutants.len(), lies.len());
    let outcome = format!(
        "PASS: {killed} of {} mutants killed, {doubted} doubted as they must be, 0 otherwise",
        killed + doubted
    );
    // Each that needs a virtual machine says so.
    run(&[
        "mutants",
        "--machine",
        "uml",
        &file("tests/mutants"),
        &file("tests/lies"),
    ])
    .expect(0, &[&outcome]);
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
    all.expect(0, &["munmap-whole-eagain (+8)", "1 of 1 mutants killed"]);
    let first = run(&arguments);
    first.expect(0, &["munmap-whole-eagain ", "1 of 1 mutants killed"]);
    assert!(!first.stdout.contains("(+"), "{first}");
}
