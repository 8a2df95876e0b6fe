// SPDX-License-Identifier: GPL-2.0

//! The module's unit tests. A kernel with KUnit runs them when the module is loaded, unless it was
//! booted with `kunit.autorun=0`, and shows their results in debugfs as long as it is. Each suite
//! has a file `run` there, which runs it when it is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::injector::sources::SOURCES;
use crate::model::{Finding, FindingKind, UnitTest, Verdict};

/// The folder of the results, with a folder for each suite.
const FOLDER: &str = "/sys/kernel/debug/kunit";

/// Beginning of the names of the module's suites.
const PREFIX: &str = "mmu_notifier_inject";

/// Indentation of a case in results. Parameters of cases have more.
const CASE: &str = "    ";

/// The module's tests: suites, each with its cases. Every test in the sources must have run.
pub type Planned = BTreeMap<String, Vec<String>>;

/// The unit tests in the module's sources.
pub fn planned() -> Planned {
    let mut planned = Planned::new();
    for (_, text) in SOURCES {
        let mut suite = None;
        let mut is_case = false;
        for line in text.lines().map(str::trim) {
            if let Some((_, rest)) = line.split_once("kunit_tests(")
                && line.starts_with("#[")
                && let Some((name, _)) = rest.split_once(')')
            {
                suite = Some(planned.entry(name.to_owned()).or_default());
            } else if line == "#[test]" {
                is_case = true;
            } else if let Some((name, _)) =
                line.strip_prefix("fn ").and_then(|fun| fun.split_once('('))
                && let Some(cases) = &mut suite
                && std::mem::take(&mut is_case)
            {
                cases.push(name.to_owned());
            }
        }
    }
    planned
}

/// The results; none on a kernel that cannot run the module's tests. A suite that has not run yet
/// is run now.
pub fn results(planned: &Planned) -> Vec<UnitTest> {
    // If KUnit is a module, the kernel build leaves out tests that are written in Rust.
    let built_in = Path::new("/sys/module/kunit").exists()
        && !Path::new("/sys/module/kunit/initstate").exists();
    if !built_in || !Path::new(FOLDER).exists() {
        return Vec::new();
    }
    let enabled = fs::read_to_string("/sys/module/kunit/parameters/enable");
    if enabled.is_ok_and(|enabled| enabled.trim() == "N") {
        return all(
            planned,
            &Verdict::Skip {
                reason: "KUnit is not enabled".to_owned(),
            },
        );
    }
    in_folder(Path::new(FOLDER), planned)
}

/// The names of the tests in reports.
pub fn names(planned: &Planned) -> Vec<String> {
    planned
        .iter()
        .flat_map(|(suite, cases)| cases.iter().map(move |case| name(suite, case)))
        .collect()
}

fn name(suite: &str, case: &str) -> String {
    format!("kunit-{suite}-{case}")
}

/// The same verdict for every planned case.
fn all(planned: &Planned, verdict: &Verdict) -> Vec<UnitTest> {
    planned
        .iter()
        .flat_map(|(suite, cases)| {
            cases
                .iter()
                .map(move |case| test(suite, case, verdict.clone()))
        })
        .collect()
}

fn in_folder(folder: &Path, planned: &Planned) -> Vec<UnitTest> {
    let mut suites = planned.clone();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) {
            suites.entry(name).or_default();
        }
    }
    let mut tests = Vec::new();
    for (suite, cases) in &suites {
        match text_of(&folder.join(suite)) {
            Ok(text) => tests.extend(parse(suite, cases, &text)),
            Err(error) => {
                let lost = no_verdict(format!("{error:#}"));
                if cases.is_empty() {
                    tests.push(test(suite, "results", lost.clone()));
                }
                tests.extend(cases.iter().map(|case| test(suite, case, lost.clone())));
            }
        }
    }
    tests
}

/// The results of the suite with that folder, which is run if it has none.
fn text_of(suite: &Path) -> Result<String> {
    let path = suite.join("results");
    let read =
        || fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
    let text = read()?;
    if has_run(&text) {
        return Ok(text);
    }
    let run = suite.join("run");
    fs::write(&run, "1").with_context(|| format!("cannot write {}", run.display()))?;
    read()
}

/// Whether a suite has run: in the results of one that has not, no case has one.
fn has_run(text: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix(CASE).and_then(result).is_some() || line.contains("# SKIP"))
}

fn test(suite: &str, case: &str, verdict: Verdict) -> UnitTest {
    UnitTest {
        name: name(suite, case),
        verdict,
    }
}

fn no_verdict(reason: String) -> Verdict {
    Verdict::NoVerdict {
        reasons: vec![reason],
    }
}

/// Reads the results of one suite (lib/kunit/debugfs.c), which are KTAP. A case that is missing or
/// malformed has no verdict; none is left out.
fn parse(suite: &str, cases: &[String], text: &str) -> Vec<UnitTest> {
    let mut plan = None;
    let mut tests: Vec<UnitTest> = Vec::new();
    let mut said = Vec::new();
    let mut whole = None;
    for line in text.lines() {
        if let Some(line) = line.strip_prefix(CASE) {
            if let Some(count) = line.strip_prefix("1..") {
                plan = count.trim().parse::<usize>().ok();
                said.clear();
            } else if let Some((passed, name)) = result(line) {
                tests.push(test(
                    suite,
                    before_directive(name),
                    verdict(passed, name, &said),
                ));
                said.clear();
            } else {
                said.push(line.trim().trim_start_matches("# ").to_owned());
            }
        } else if let Some((passed, name)) = result(line) {
            whole = Some(verdict(passed, name, &[]));
        }
    }

    if let (Some(skipped @ Verdict::Skip { .. }), []) = (&whole, &tests[..]) {
        let names = match cases {
            [] => &["suite".to_owned()],
            cases => cases,
        };
        return names
            .iter()
            .map(|name| test(suite, name, skipped.clone()))
            .collect();
    }
    for case in cases {
        let missing = test(suite, case, no_verdict("it has no result".to_owned()));
        if !tests.iter().any(|test| test.name == missing.name) {
            tests.push(missing);
        }
    }
    let failed = tests
        .iter()
        .any(|test| matches!(test.verdict, Verdict::Fail { .. }));
    let odd = match (plan, &whole) {
        (None, _) => Some("its results have no plan".to_owned()),
        (_, None) => Some("its results have no end".to_owned()),
        (Some(plan), _) if plan != tests.len() => Some(format!(
            "{plan} cases were planned, and there are {}",
            tests.len()
        )),
        (_, Some(Verdict::Fail { .. })) if !failed => {
            Some("it failed, and none of its cases did".to_owned())
        }
        _ => None,
    };
    tests.extend(odd.map(|reason| test(suite, "suite", no_verdict(reason))));
    tests
}

/// Parses `ok N NAME` or `not ok N NAME`: whether it passed, and the name with its directive.
fn result(line: &str) -> Option<(bool, &str)> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<usize>().ok()?;
    Some((passed, name.trim_start_matches("- ")))
}

fn before_directive(name: &str) -> &str {
    name.split_once(" # ").map_or(name, |(name, _)| name).trim()
}

fn verdict(passed: bool, name: &str, said: &[String]) -> Verdict {
    let directive = name.split_once(" # ").map(|(_, directive)| directive);
    match (passed, directive) {
        (true, None) => Verdict::Pass,
        (true, Some(directive)) if directive.starts_with("SKIP") => Verdict::Skip {
            reason: directive.trim_start_matches("SKIP").trim().to_owned(),
        },
        (true, Some(directive)) => no_verdict(format!("unknown directive: {directive}")),
        (false, _) => Verdict::Fail {
            findings: vec![Finding::new(
                FindingKind::UnitTest,
                match said {
                    [] => "it says nothing more".to_owned(),
                    said => said.join("; "),
                },
            )],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
KTAP version 1
1..1
    KTAP version 1
    # Subtest: mmu_notifier_inject_text
    # module: mmu_notifier_inject
    1..3
    ok 1 parses_numbers
        KTAP version 1
        # Subtest: parses_names
        ok 1 parameter 1
        not ok 2 parameter 2
    # parses_names: ASSERTION FAILED at module/text.rs:7
    not ok 2 parses_names
    ok 3 takes_time # SKIP too slow
# mmu_notifier_inject_text: pass:1 fail:1 skip:1 total:3
# Totals: pass:1 fail:1 skip:1 total:3
not ok 1 mmu_notifier_inject_text
";

    const SUITE: &str = "mmu_notifier_inject_text";

    fn parsed(text: &str) -> Vec<(String, &'static str)> {
        let cases = ["parses_numbers", "parses_names", "takes_time"].map(str::to_owned);
        words(&parse(SUITE, &cases, text))
    }

    fn words(tests: &[UnitTest]) -> Vec<(String, &'static str)> {
        let word = |verdict: &Verdict| match verdict {
            Verdict::Pass => "pass",
            Verdict::KnownBug { .. } => "known bug",
            Verdict::Fail { .. } => "fail",
            Verdict::NoVerdict { .. } => "no verdict",
            Verdict::Skip { .. } => "skip",
        };
        tests
            .iter()
            .map(|test| {
                let name = test
                    .name
                    .strip_prefix("kunit-mmu_notifier_inject_")
                    .unwrap();
                (name.to_owned(), word(&test.verdict))
            })
            .collect()
    }

    fn with(last: &'static str) -> Vec<(String, &'static str)> {
        let results = [
            ("text-parses_numbers", "pass"),
            ("text-parses_names", "fail"),
            ("text-takes_time", "skip"),
            ("text-suite", last),
        ];
        results
            .iter()
            .filter(|(_, word)| !word.is_empty())
            .map(|(name, word)| ((*name).to_owned(), *word))
            .collect()
    }

    #[test]
    fn a_suite_that_has_not_run_is_told_from_one_that_has() {
        assert!(has_run(GOOD));
        assert!(has_run("KTAP version 1\n1..1\nok 1 x # SKIP slow\n"));
        let frame =
            "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: x\n    1..3\nok 1 x\n";
        assert!(!has_run(frame));
    }

    #[test]
    fn every_unit_test_is_planned() {
        let planned = planned();
        let planned: usize = planned.values().map(Vec::len).sum();
        let there: usize = SOURCES
            .iter()
            .map(|(_, text)| text.matches("#[test]").count())
            .sum();
        assert!(there > 0);
        assert_eq!(planned, there);
    }

    #[test]
    fn each_case_has_its_result() {
        assert_eq!(parsed(GOOD), with(""));
        let tests = parse(SUITE, &[], GOOD);
        let Verdict::Fail { findings } = &tests[1].verdict else {
            panic!("{tests:?}");
        };
        assert!(
            findings[0].text.contains("module/text.rs:7"),
            "{findings:?}"
        );
        assert!(!findings[0].text.contains("Subtest: mmu"), "{findings:?}");
    }

    #[test]
    fn no_case_is_left_out() {
        let cut = GOOD.replace("    ok 3 takes_time # SKIP too slow\n", "");
        let mut lost = with("");
        lost[2].1 = "no verdict";
        assert_eq!(parsed(&cut), lost);
        for (from, to) in [
            ("    1..3\n", ""),
            ("    1..3\n", "    1..4\n"),
            ("\nnot ok 1 mmu_notifier_inject_text", ""),
        ] {
            assert_eq!(
                parsed(&GOOD.replace(from, to)),
                with("no verdict"),
                "{from:?}"
            );
        }
        let all_pass = GOOD.replace("    not ok 2", "    ok 2");
        let mut odd = with("no verdict");
        odd[1].1 = "pass";
        assert_eq!(parsed(&all_pass), odd);
        assert_eq!(parsed("").len(), 4);
    }

    #[test]
    fn a_skipped_suite_skips_all_its_cases() {
        let text = "KTAP version 1\n1..1\nok 1 mmu_notifier_inject_text # SKIP not here\n";
        assert!(parsed(text).iter().all(|(_, word)| *word == "skip"));
        assert_eq!(parsed(text).len(), 3);
    }

    #[test]
    fn a_suite_without_results_has_no_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("mmu_notifier_inject_more");
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("results"),
            GOOD.replace("inject_text", "inject_more"),
        )
        .unwrap();
        fs::create_dir(dir.path().join("of_another")).unwrap();
        let planned = Planned::from([(SUITE.to_owned(), vec!["parses_numbers".to_owned()])]);
        assert_eq!(
            words(&in_folder(dir.path(), &planned)),
            [
                ("more-parses_numbers".to_owned(), "pass"),
                ("more-parses_names".to_owned(), "fail"),
                ("more-takes_time".to_owned(), "skip"),
                ("text-parses_numbers".to_owned(), "no verdict"),
            ]
        );
    }
}
