// SPDX-License-Identifier: GPL-2.0

//! `mn-inject judge` as a user sees it.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use tempfile::TempDir;

fn mn_inject(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mn-inject"));
    command.args(arguments);
    command
}

fn judge(files: &[&Path]) -> Command {
    let mut command = mn_inject(&["judge"]);
    command.args(files);
    command
}

/// Records a run, which skips everything since the module is not loaded. Returns its report and its
/// recording.
fn recorded(dir: &TempDir) -> (String, PathBuf) {
    let mut command = mn_inject(&["run", "--output"]);
    let assert = command.arg(dir.path()).assert().code(4);
    let report = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    (report, dir.path().join("results.jsonl"))
}

#[test]
fn a_recording_gives_the_report_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (report, file) = recorded(&dir);
    judge(&[&file])
        .assert()
        .code(4)
        .stdout(report.clone())
        .stderr("");

    let text = fs::read(&file).unwrap();
    judge(&[Path::new("-")])
        .write_stdin(text)
        .assert()
        .code(4)
        .stdout(report.clone())
        .stderr("");

    let named = format!("== {0}\n{report}== {0}\n{report}", file.display());
    judge(&[&file, &file]).assert().code(4).stdout(named);
    let assert = judge(&[&file, &file]).arg("--format=json").assert().code(4);
    let heading = format!("== {}\n", file.display());
    assert
        .stdout(predicate::str::contains(&heading).not())
        .stderr(heading.repeat(2));
}

#[test]
fn a_recording_that_is_cut_short_has_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (_, file) = recorded(&dir);
    let text = fs::read(&file).unwrap();
    judge(&[Path::new("-")])
        .write_stdin(&text[..text.len() - 1])
        .assert()
        .code(70)
        .stdout(predicate::str::contains(
            "the recording does not come to its end",
        ));
}

#[test]
fn an_error_names_the_file_the_line_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (_, file) = recorded(&dir);
    let text = fs::read_to_string(&file).unwrap();
    let folder = dir.path();
    let report = folder.join("report.json");
    let changed = folder.join("changed.jsonl");
    fs::write(&changed, text.replacen("\"sent\"", "\"lost\"", 1)).unwrap();
    let twice = folder.join("twice.jsonl");
    fs::write(&twice, text.repeat(2)).unwrap();
    let second = text.lines().count() + 1;
    for (path, words) in [
        (folder.join("none"), vec!["No such file".to_owned()]),
        (
            folder.to_owned(),
            vec!["name the results.jsonl in it".to_owned()],
        ),
        (
            report,
            vec!["line 1, ".to_owned(), "name a results.jsonl".to_owned()],
        ),
        (
            changed,
            vec!["line 2, ".to_owned(), "run the scenarios again".to_owned()],
        ),
        (twice, vec![format!("line {second}: ")]),
    ] {
        // Nothing is printed about the good file before it, either.
        let mut assert = judge(&[&file, &path]).assert().code(69).stdout("");
        for word in words {
            assert = assert.stderr(predicate::str::contains(word));
        }
        let prefix = format!("mn-inject: cannot judge {}: ", path.display());
        assert.stderr(predicate::str::starts_with(prefix));
    }
    judge(&[Path::new("-")])
        .write_stdin("")
        .assert()
        .code(69)
        .stderr(predicate::str::contains("cannot judge standard input: "));
}
