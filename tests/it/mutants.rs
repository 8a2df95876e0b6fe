// SPDX-License-Identifier: GPL-2.0

//! Kernels that are wrong on purpose: the verdict on a mutant, and the report of `vm mutants`.

use std::path::{Path, PathBuf};

use mn_inject::contract::RULES;
use mn_inject::model::exit::Exit;
use mn_inject::model::{Report, Verdict};
use mn_inject::oracle::mutants::{
    Claim, Fate, Mutant, MutantRun, MutantsReport, SCHEMA, Unmodified, is_settled, judge,
    why_no_control,
};
use mn_inject::report::format::SimpleFormat;
use mn_inject::report::print_simple;
use mn_inject::scenario::{known_bugs, select};

use crate::fails_on::pairs;
use crate::sample::{fail, no_verdict, report, skip};

/// The mutants of this project in a folder: `mutants` of the kernel, `lies` of the module.
fn ours(folder: &str) -> Vec<Mutant> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut mutants: Vec<Mutant> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("cannot read the folder").path())
        .map(|path| Mutant::read(&path).unwrap_or_else(|error| panic!("{error:#}")))
        .collect();
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    mutants
}

#[test]
fn every_mutant_claims_a_rule_and_a_scenario() {
    let mutants = ours("mutants");
    assert!(mutants.len() >= 30, "{}", mutants.len());
    for Mutant { name, claim, .. } in &mutants {
        assert!(claim.rule.is_some(), "{name}");
        assert!(claim.base.is_some(), "{name}");
        assert!(!claim.killed_by.is_empty(), "{name}");
        assert!(!claim.says.is_empty(), "{name}");
    }
    for rule in RULES {
        assert!(
            mutants
                .iter()
                .any(|mutant| mutant.claim.rule == Some(rule.number)),
            "no mutant breaks rule {}",
            rule.number
        );
    }
}

#[test]
fn every_lie_claims_the_scenarios_that_doubt_it() {
    let lies = ours("lies");
    assert!(!lies.is_empty());
    for Mutant { name, path, claim } in &lies {
        assert!(claim.base.is_some(), "{name}");
        assert!(!claim.doubted_by.is_empty(), "{name}");
        assert!(!claim.doubts.is_empty(), "{name}");
        let text = std::fs::read_to_string(path).expect("cannot read the lie");
        assert!(text.contains("\n+++ b/module/"), "{name}");
    }
}

/// Scenarios that no mutant fails, and that show no known bug of the kernel.
const NEVER_FAILED: [(&str, &str); 1] = [(
    "r11-without-lock",
    "a kernel without the assertions of mm/mmu_notifier.c and mm/vma.c passes it on core",
)];

/// A scenario that has never failed proves nothing. One that shows a known bug fails on the kernel as
/// it is.
#[test]
fn every_scenario_has_failed() {
    let mutants = ours("mutants");
    let pairs = pairs();
    for (scenario, name) in &pairs {
        let exists = mutants.iter().any(|mutant| mutant.name == *name);
        assert!(exists, "{scenario}: there is no mutant {name}");
    }
    let mut failed: Vec<&str> = pairs.iter().map(|(scenario, _)| *scenario).collect();
    failed.extend(NEVER_FAILED.map(|(scenario, _)| scenario));
    for scenario in select(&[]) {
        let name = scenario.name();
        if known_bugs::of_scenario(&name).is_some() {
            continue;
        }
        let count = failed.iter().filter(|failed| **failed == name).count();
        assert_ne!(
            count, 0,
            "{name} has never failed: add a mutant to tests/data/fails-on.txt"
        );
    }
    assert!(pairs.len() + NEVER_FAILED.len() <= select(&[]).len());
}

/// The second scenario of the sample reports fails.
const FAILED: &str = "munmap-1";

fn mutant(killed_by: &[&str], says: &[&str]) -> Mutant {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Mutant {
        name: "wrong".to_owned(),
        path: PathBuf::from("wrong.patch"),
        claim: Claim {
            rule: Some(1),
            base: Some("seed".to_owned()),
            config: Some("core".to_owned()),
            machine: Some("qemu".to_owned()),
            only: Vec::new(),
            killed_by: owned(killed_by),
            says: owned(says),
            ..Claim::default()
        },
    }
}

fn lie(doubted_by: &[&str], doubts: &[&str]) -> Mutant {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut lie = mutant(&[], &[]);
    lie.claim.doubted_by = owned(doubted_by);
    lie.claim.doubts = owned(doubts);
    lie
}

fn fate(mutant: &Mutant, report: Report) -> Fate {
    judge(mutant, Ok(&report)).0
}

#[test]
fn a_kill_is_by_the_claimed_scenario_and_in_the_claimed_words() {
    let wrong = || report(&[Verdict::Pass, fail()]);
    let words = "did not fire when it should";
    for (killed_by, says) in [
        (&[][..], &[][..]),
        (&[FAILED], &[words]),
        (&[], &[words, "fired when it should not"]),
    ] {
        assert_eq!(fate(&mutant(killed_by, says), wrong()), Fate::Killed);
    }
    for (killed_by, says, but) in [
        (&["munmap-0"][..], &[][..], "munmap-0 did not fail"),
        (&["munmap-0"], &[words], "munmap-0 did not fail"),
        (
            &[FAILED],
            &["fired out of order"],
            "nobody said \"fired out of order\"",
        ),
    ] {
        let fate = fate(&mutant(killed_by, says), wrong());
        let Fate::Otherwise { but: said } = &fate else {
            panic!("{fate:?}");
        };
        assert!(said.iter().any(|said| said == but), "{said:?}");
    }
}

#[test]
fn a_lie_is_doubted_and_the_kernel_not_blamed() {
    const REASON: &str = "records were lost";
    let doubted = || report(&[Verdict::Pass, no_verdict()]);
    for claimed in [lie(&[FAILED], &[REASON]), lie(&[], &[REASON])] {
        let fate = fate(&claimed, doubted());
        assert!(matches!(fate, Fate::Doubted { .. }), "{fate:?}");
    }
    for (claimed, report, but) in [
        (
            lie(&["munmap-0"], &[REASON]),
            doubted(),
            "munmap-0 has a verdict",
        ),
        (
            lie(&[FAILED], &["other words"]),
            doubted(),
            "no reason says \"other words\"",
        ),
        (
            lie(&[FAILED], &[REASON]),
            report(&[fail(), no_verdict()]),
            "munmap-0 failed: the kernel is blamed for it",
        ),
    ] {
        let Fate::Otherwise { but: said } = fate(&claimed, report) else {
            panic!("{but}");
        };
        assert!(said.iter().any(|said| said == but), "{said:?}");
    }
    let claimed = lie(&[FAILED], &[REASON]);
    let believed = fate(&claimed, report(&[Verdict::Pass]));
    assert_eq!(believed, Fate::Survived);
    let (fate, _) = judge(&claimed, Err("[module] `make` failed"));
    assert!(matches!(fate, Fate::NoVerdict { .. }), "{fate:?}");
}

#[test]
fn a_pass_is_a_survivor_and_an_unknown_result_is_no_kill() {
    let any = mutant(&[], &[]);
    assert_eq!(fate(&any, report(&[Verdict::Pass, skip()])), Fate::Survived);
    let known = Verdict::KnownBug {
        reason: "x".to_owned(),
        findings: Vec::new(),
    };
    assert_eq!(fate(&any, report(&[Verdict::Pass, known])), Fate::Survived);

    let mut hung = report(&[Verdict::Pass, fail()]);
    hung.trouble.push("the guest hung".to_owned());
    let mut short = report(&[Verdict::Pass, fail()]);
    short.planned += 1;
    for unknown in [
        report(&[Verdict::Pass, no_verdict()]),
        report(&[skip(), skip()]),
        hung,
        short,
    ] {
        let fate = fate(&any, unknown);
        assert!(matches!(fate, Fate::NoVerdict { .. }), "{fate:?}");
    }
    let (fate, kills) = judge(&any, Err("[kernel] `make` failed"));
    assert!(matches!(fate, Fate::NoVerdict { reasons } if reasons.len() == 1));
    assert!(kills.is_empty());
}

#[test]
fn only_a_kill_as_claimed_settles_a_mutant_after_its_first_run() {
    let words = "did not fire when it should";
    let first = || report(&[Verdict::Pass, fail()]);
    for settled in [
        mutant(&[FAILED], &[words]),
        mutant(&[FAILED], &[]),
        mutant(&[], &[]),
    ] {
        assert!(is_settled(&settled, &first()), "{settled:?}");
    }
    for open in [
        mutant(&["munmap-0"], &[words]),
        mutant(&[FAILED], &["fired out of order"]),
        lie(&[FAILED], &[]),
    ] {
        assert!(!is_settled(&open, &first()), "{open:?}");
    }

    let any = mutant(&[], &[]);
    let mut hung = first();
    hung.trouble.push("the guest hung".to_owned());
    let mut short = first();
    short.planned += 1;
    for unknown in [
        report(&[Verdict::Pass]),
        report(&[no_verdict()]),
        report(&[skip()]),
        report(&[]),
        hung,
        short,
    ] {
        assert!(!is_settled(&any, &unknown), "{unknown:?}");
    }
}

/// The first run of a mutant is made on the unmodified kernel, too.
#[test]
fn a_first_run_that_fails_on_the_unmodified_kernel_proves_nothing() {
    let known = Verdict::KnownBug {
        reason: "x".to_owned(),
        findings: Vec::new(),
    };
    for good in [[Verdict::Pass, skip()], [skip(), skip()], [known, skip()]] {
        assert_eq!(why_no_control(&report(&good)), [""; 0]);
    }
    let mut hung = report(&[Verdict::Pass]);
    hung.trouble.push("the guest hung".to_owned());
    for (bad, why) in [
        (report(&[fail()]), "munmap-0 did not pass"),
        (
            report(&[Verdict::Pass, no_verdict()]),
            "munmap-1 did not pass",
        ),
        (hung, "the guest hung"),
    ] {
        assert_eq!(why_no_control(&bad), [why]);
    }
}

fn run(name: &str, result: Result<Report, String>) -> MutantRun {
    let mutant = mutant(&[FAILED], &["did not fire when it should"]);
    let (fate, kills) = judge(&mutant, result.as_ref().map_err(String::as_str));
    MutantRun {
        name: name.to_owned(),
        claim: mutant.claim,
        fate,
        kills,
        complete: true,
        report: result.is_ok().then(|| format!("out/{name}/report.json")),
        millis: result.map_or(0, |report| report.millis),
    }
}

fn all(unmodified: &[Verdict], mutants: Vec<MutantRun>) -> MutantsReport {
    MutantsReport {
        schema: SCHEMA,
        tool: "mn-inject 0.1.0".to_owned(),
        kernel: "7.3".to_owned(),
        unmodified: vec![Unmodified {
            machine: "qemu".to_owned(),
            base: "seed".to_owned(),
            config: "core".to_owned(),
            reasons: report(unmodified).problems(),
            report: None,
        }],
        mutants,
    }
}

fn killed() -> MutantRun {
    run("killed", Ok(report(&[Verdict::Pass, fail(), fail()])))
}

/// Killed by the scenarios that it claims, after which no others ran.
fn stopped() -> MutantRun {
    MutantRun {
        complete: false,
        ..run("stopped", Ok(report(&[fail(), fail()])))
    }
}

fn survived() -> MutantRun {
    run("survived", Ok(report(&[Verdict::Pass])))
}

fn doubted() -> MutantRun {
    let lie = lie(&[FAILED], &[]);
    let (fate, kills) = judge(&lie, Ok(&report(&[Verdict::Pass, no_verdict()])));
    MutantRun {
        claim: lie.claim,
        fate,
        kills,
        ..run("doubted", Ok(report(&[])))
    }
}

fn unbuilt() -> MutantRun {
    run(
        "unbuilt",
        Err("[kernel] `make` failed\n    cc1: \x1b[31merror".to_owned()),
    )
}

#[test]
fn the_exit_code_is_that_of_the_worst_mutant() {
    let pass = [Verdict::Pass];
    for (unmodified, mutants, exit) in [
        (&pass[..], vec![killed()], Exit::Pass),
        (&pass, vec![killed(), doubted()], Exit::Pass),
        (&pass, vec![killed(), survived(), unbuilt()], Exit::Fail),
        (&pass, vec![killed(), unbuilt()], Exit::NoVerdict),
        (&pass, vec![], Exit::NoVerdict),
        // A kill on a kernel that fails as it is proves nothing.
        (&[fail()], vec![killed()], Exit::NoVerdict),
        (&[fail()], vec![survived()], Exit::NoVerdict),
        (&[no_verdict()], vec![killed()], Exit::NoVerdict),
        (&[skip()], vec![killed()], Exit::NoVerdict),
    ] {
        let report = all(unmodified, mutants);
        assert_eq!(report.exit(), exit, "{report:?}");
    }
}

#[test]
fn each_mutant_has_a_row_and_problems_are_below_the_table() {
    let otherwise = run("otherwise", Ok(report(&[fail(), Verdict::Pass])));
    let report = all(
        &[Verdict::Pass],
        vec![
            killed(),
            stopped(),
            otherwise,
            survived(),
            unbuilt(),
            doubted(),
        ],
    );
    let mut out = Vec::new();
    print_simple(&report, SimpleFormat::Human, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    tool     mn-inject 0.1.0
    kernel   7.3

    mutant     rule  base  config  machine  fate        by             which says                                                     seconds
    killed     1     seed  core    qemu     killed      munmap-1 (+1)  did not fire when it should, fired when it should not          3.2
    stopped    1     seed  core    qemu     killed      munmap-1       did not fire when it should, fired when it should not          3.2
    otherwise  1     seed  core    qemu     OTHERWISE   munmap-0       did not fire when it should, fired when it should not          3.2
    survived   1     seed  core    qemu     SURVIVED    -              -                                                              3.2
    unbuilt    1     seed  core    qemu     NO VERDICT  -              -                                                              0.0
    doubted    1     seed  core    qemu     doubted     munmap-1       kernel log records were lost: the marker did not come in time  3.2

    OTHERWISE  otherwise
          munmap-1 did not fail
          nobody said "did not fire when it should"
          report: out/otherwise/report.json

    SURVIVED  survived
          report: out/survived/report.json

    NO VERDICT  unbuilt
          [kernel] `make` failed
              cc1: \u{1b}[31merror

    FAIL: 2 of 6 mutants killed, 1 doubted as they must be, 1 otherwise than claimed, 1 survived, 1 without a verdict
    "#);
}

#[test]
fn the_json_report_round_trips() {
    let report = all(&[fail()], vec![killed(), stopped(), survived(), unbuilt()]);
    let mut out = Vec::new();
    print_simple(&report, SimpleFormat::Json, &mut out).unwrap();
    let read: MutantsReport = serde_json::from_slice(&out).unwrap();
    assert_eq!(read, report);
}

/// The arguments that .cargo/mutants.toml hands to the tests: which of them run.
fn filters() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/mutants.toml");
    let text = std::fs::read_to_string(path).expect("there is no .cargo/mutants.toml");
    let lines = text.lines();
    let list = lines.skip_while(|line| !line.starts_with("additional_cargo_test_args"));
    let words = list.skip(1).take_while(|line| *line != "]");
    let words = words.flat_map(|line| line.trim().strip_prefix('"'));
    words
        .flat_map(|line| line.trim_end_matches([',', '"']).split("\", \""))
        .map(str::to_owned)
        .collect()
}

/// A test that was renamed would be left out without a word, and what only it holds would survive.
#[test]
fn cargo_mutants_runs_tests_that_are_there() {
    let program = std::env::current_exe().expect("this test has no program");
    let listed = std::process::Command::new(program)
        .arg("--list")
        .output()
        .expect("cannot list the tests");
    let here = String::from_utf8(listed.stdout).expect("no UTF-8");
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("runner");
    let filters = filters();
    assert!(filters.contains(&"oracle::".to_owned()), "{filters:?}");
    for filter in filters.iter().filter(|filter| !filter.starts_with("--")) {
        let is_here = here.lines().any(|test| test.contains(filter.as_str()));
        let is_in_runner =
            filter.ends_with("::") && runner.join(&filter[..filter.len() - 2]).is_dir();
        assert!(is_here || is_in_runner, "no test is named {filter:?}");
    }
}
