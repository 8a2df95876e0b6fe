// SPDX-License-Identifier: GPL-2.0

//! Kernels that are wrong on purpose, and modules that lie.

use std::collections::BTreeMap;

use mn_inject::model::Verdict;
use mn_inject::oracle::mutants::Mutant;

use crate::fails_on::pairs;
use crate::harness::{file, folder, mutant, patch, report_in, run};

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

/// Each scenario fails on the mutant that tests/data/fails-on.txt says, where the mutant does not
/// claim it itself.
#[test]
#[ignore = "full: 2 min"]
fn every_scenario_fails_on_its_mutant() {
    let mutants = all_of("mutants");
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (scenario, mutant) in pairs() {
        of.entry(mutant).or_default().push(scenario);
    }
    for (name, scenarios) in of {
        let mutant = mutants.iter().find(|mutant| mutant.name == name);
        let claim = &mutant.expect("there is no such mutant").claim;
        if scenarios
            .iter()
            .all(|name| claim.killed_by.iter().any(|by| by == name))
        {
            continue;
        }
        let (dir, output) = folder();
        let path = crate::harness::mutant(name);
        let machine = claim.machine.as_deref().unwrap_or("uml");
        let base = claim.base.as_deref().expect("no base");
        let config = claim.config.as_deref().unwrap_or("core");
        let mut arguments = vec!["run", "--machine", machine, "--base", base];
        arguments.extend(["--config", config, "--patch", &path, "--output", &output]);
        arguments.extend(scenarios.iter().flat_map(|name| ["--only", name]));
        run(&arguments).expect(1, &["FAIL: "]);
        let report = report_in(dir.path());
        for scenario in scenarios {
            let result = report.scenarios.iter().find(|one| one.name == *scenario);
            let verdict = &result.expect("there is no such result").verdict;
            let has_failed = matches!(verdict, Verdict::Fail { .. });
            assert!(has_failed, "{scenario} on {name}: {verdict:?}");
        }
    }
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
