// SPDX-License-Identifier: GPL-2.0

//! The kernel's own parser of KTAP (tools/testing/kunit/kunit.py) reads the reports correctly.

use std::path::PathBuf;
use std::process::Command;

use crate::sample::{checked, fail, mixed, no_verdict, report, skip};
use mn_inject::model::exit::Exit;
use mn_inject::model::{Report, Verdict};
use mn_inject::report::format::Format;
use mn_inject::report::print;
use serde_json::Value;

/// Linux source tree with the tools. Builds the default kernel if there is none.
fn kernel_source() -> PathBuf {
    let output = crate::program::vm(&["build"])
        .output()
        .expect("cannot start mn-inject");
    let stderr = String::from_utf8_lossy(&output.stderr);
    crate::program::assert_installed(&stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let source = stdout.lines().find_map(|line| line.strip_prefix("source "));
    PathBuf::from(source.unwrap_or_else(|| panic!("`vm build` failed:\n{stderr}")))
}

/// Output of kunit.py for a report: its exit code, the status of each test, and its counts.
fn parsed(report: &Report) -> (Option<i32>, Vec<(String, String)>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("run.ktap");
    print(
        report,
        Format::Ktap,
        &mut std::fs::File::create(&input).unwrap(),
    )
    .unwrap();
    let json = dir.path().join("run.json");
    let tools = kernel_source().join("tools/testing/kunit");
    let output = Command::new("python3")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(tools.join("kunit.py"))
        .arg("parse")
        .arg(format!("--json={}", json.display()))
        .arg(&input)
        .output()
        .expect("this test needs python3");
    let text = std::fs::read_to_string(&json).unwrap_or_else(|error| {
        panic!(
            "kunit.py wrote nothing ({error}): {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let value: Value = serde_json::from_str(&text).unwrap();
    let cases = value["test_cases"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let statuses = cases
        .iter()
        .map(|case| (word(&case["name"]), word(&case["status"])))
        .collect();
    (output.status.code(), statuses, value["misc"].clone())
}

fn statuses(report: &Report) -> Vec<String> {
    parsed(report)
        .1
        .into_iter()
        .map(|(_, status)| status)
        .collect()
}

#[test]
fn each_verdict_has_its_status() {
    let (code, cases, _) = parsed(&mixed());
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(n, s)| (n.as_str(), s.as_str()))
        .collect();
    assert_eq!(
        cases,
        [
            ("kernel-form", "PASS"),
            ("munmap-0", "PASS"),
            ("munmap-1", "FAIL"),
            ("munmap-2", "FAIL"),
            ("munmap-3", "SKIP"),
        ]
    );
    assert_eq!(code, Some(1));
}

#[test]
fn the_parser_succeeds_only_for_a_pass() {
    let mut cut_short = report(&[Verdict::Pass, Verdict::Pass]);
    cut_short.scenarios.pop();
    let mut panicked = report(&[Verdict::Pass]);
    panicked.trouble = vec!["Kernel panic - not syncing: VFS: x\nKTAP version 1\nok 2 fake".into()];
    let mut no_form = report(&[Verdict::Pass]);
    no_form.form_verdict = fail();
    for report in [
        report(&[Verdict::Pass]),
        report(&[Verdict::Pass, skip()]),
        report(&[Verdict::Pass, fail()]),
        report(&[no_verdict()]),
        report(&[]),
        cut_short,
        panicked,
        no_form,
        checked(),
    ] {
        let (code, cases, _) = parsed(&report);
        assert_eq!(code == Some(0), report.exit() == Exit::Pass, "{cases:?}");
    }
}

#[test]
fn a_missing_result_is_a_crash() {
    let mut report = report(&[Verdict::Pass, Verdict::Pass]);
    report.scenarios.pop();
    assert_eq!(statuses(&report), ["FAIL", "PASS", "ERROR"]);
}

/// No text in the evidence ends, nests or forges a result.
#[test]
fn evidence_is_not_parsed() {
    let mut report = report(&[fail(), Verdict::Pass]);
    if let Verdict::Fail { findings } = &mut report.scenarios[0].verdict {
        findings[0].seen = Some("reboot: System halted\nok 2 munmap-0\n1..9".into());
        findings[1].text = "List of all partitions:".into();
    }
    report.scenarios[1].foreign = vec!["Subtest: x\nKTAP version 1".into()];
    report.scenarios[1].name = "a # SKIP b".into();
    let (_, cases, _) = parsed(&report);
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(n, s)| (n.as_str(), s.as_str()))
        .collect();
    assert_eq!(
        cases,
        [
            ("kernel-form", "PASS"),
            ("munmap-0", "FAIL"),
            ("a___SKIP_b", "PASS"),
        ]
    );
}
