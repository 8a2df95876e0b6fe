// SPDX-License-Identifier: GPL-2.0

//! Real runs that were kept, in `tests/data/runs/`: one that passes, one of a wrong kernel, and one
//! whose guest panicked. Beside each recording is the report that was printed when it ran. With a new
//! version of the format they are recorded again:
//!
//! | files | command |
//! | --- | --- |
//! | `passing` | `vm run` with `--only` for munmap-*, mrelease-e*, oom-memcg-*, r05-*, r09-read, r10-* and r11-in* |
//! | `failing` | `vm run --base mainline --patch tests/mutants/check-accumulated.patch --only 'mrelease-*' --only 'munmap-whole-*'` |
//! | `cut-short` | `vm run --base mainline --patch tests/patches/panic.patch --only 'm*'` |
//!
//! The paths of the logs are replaced by `/runs/NAME/`. The recordings are of version 10 of the
//! format, which can still be judged.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use mn_inject::model::Recording;
use mn_inject::model::exit::Exit;
use mn_inject::oracle::run::report;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/runs")
        .join(name)
}

fn judge(name: &str, arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_mn-inject"))
        .arg("judge")
        .arg(path(name))
        .args(arguments)
        .assert()
}

#[test]
fn a_kept_run_has_the_report_of_its_day() {
    for (name, code) in [("passing", 0), ("failing", 1), ("cut-short", 70)] {
        let report = fs::read_to_string(path(&format!("{name}.json"))).unwrap();
        judge(&format!("{name}.jsonl"), &["--format", "json"])
            .code(code)
            .stdout(report);
    }
}

#[test]
fn a_kept_run_is_printed_in_each_format() {
    let of = |format: &str| {
        let ran = judge("passing.jsonl", &["--format", format]).code(0);
        String::from_utf8(ran.get_output().stdout.clone()).unwrap()
    };
    assert!(of("human").contains("PASS: "));
    assert!(of("ktap").starts_with("KTAP version 1\n"));
}

#[test]
fn another_form_can_be_demanded_of_a_kept_run() {
    judge("passing.jsonl", &["--expect", "mainline"]).code(1);
    judge("passing.jsonl", &["--expect", "seed"]).code(0);
}

#[test]
fn a_recording_that_ends_anywhere_else_is_no_pass() {
    let text = fs::read(path("passing.jsonl")).unwrap();
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    for &end in &ends[..ends.len() - 1] {
        let recording = Recording::read(&text[..end]).unwrap();
        let report = report(&recording, recording.run.expect);
        assert_eq!(report.exit(), Exit::NoVerdict, "{end}");
    }
}
