// SPDX-License-Identifier: GPL-2.0

//! The command lines of both programs: help, lists, usage errors and exit codes.

use assert_cmd::Command;
use predicates::prelude::*;

fn mn_inject(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mn-inject"));
    command.args(arguments);
    command
}

fn mn_selftest(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mn-selftest"));
    command.args(arguments);
    command
}

fn help(arguments: &[&str]) -> String {
    stdout_of(mn_inject(arguments))
}

fn stdout_of(mut command: Command) -> String {
    let assert = command.assert().code(0);
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

#[test]
fn help_names_every_command() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn help_of_vm_run() {
    insta::assert_snapshot!(help(&["vm", "run", "--help"]));
}

#[test]
fn help_of_vm_matrix() {
    insta::assert_snapshot!(help(&["vm", "matrix", "--help"]));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help(&["run", "--help"]));
}

#[test]
fn help_of_the_selftest_names_every_command() {
    insta::assert_snapshot!(stdout_of(mn_selftest(&["--help"])));
    insta::assert_snapshot!(stdout_of(mn_selftest(&["vm", "--help"])));
}

#[test]
fn help_of_the_selftest_names_the_arguments() {
    // These load the module themselves, so they need its file.
    for task in ["stress", "hostile", "bench"] {
        mn_selftest(&[task])
            .assert()
            .code(64)
            .stderr(predicate::str::contains("--module <PATH>"));
    }
    assert!(stdout_of(mn_selftest(&["vm", "stress", "--help"])).contains("[default: debug]"));
    assert!(stdout_of(mn_selftest(&["vm", "fuzz", "--help"])).contains("[default: core]"));
    for arguments in [&["hostile", "--module=x"][..], &["vm", "hostile"]] {
        let mut command = mn_selftest(arguments);
        command
            .arg("--condition=rain")
            .assert()
            .code(64)
            .stderr(predicate::str::contains("printk-flood"));
    }
}

#[test]
fn a_pattern_without_a_match_is_reported() {
    for arguments in [&["cases"][..], &["vm", "cases"], &["vm", "hostile"]] {
        let mut command = mn_selftest(arguments);
        command
            .args(["--only", "nothing-of-the-kind"])
            .assert()
            .code(64)
            .stdout("")
            .stderr(predicate::str::contains("nothing-of-the-kind"));
    }
    assert!(stdout_of(mn_selftest(&["cases", "--list"])).starts_with("| case |"));
}

/// `hostile` starts its own program to run the scenarios: a guest contains no other.
#[test]
fn the_selftest_runs_the_scenarios_as_the_program_does() {
    let arguments = ["run", "--only", "nothing-of-the-kind"];
    for mut command in [mn_inject(&arguments), mn_selftest(&arguments)] {
        command
            .assert()
            .code(64)
            .stdout("")
            .stderr(predicate::str::contains("nothing-of-the-kind"));
    }
    for process in ["subject", "helper", "guard"] {
        // These processes end when their input ends.
        for mut command in [mn_inject(&[process]), mn_selftest(&[process])] {
            command.write_stdin("done\n".repeat(usize::from(process == "guard")));
            command.assert().code(0).stdout("");
        }
    }
}

#[test]
fn the_list_of_scenarios() {
    insta::assert_snapshot!(help(&["list"]));
}

#[test]
fn the_list_as_json_has_the_same_scenarios() {
    let list: serde_json::Value =
        serde_json::from_str(&help(&["list", "--format", "json"])).expect("the list is not JSON");
    let names: Vec<_> = list
        .as_array()
        .expect("the list is no array")
        .iter()
        .map(|entry| entry["name"].as_str().expect("no name"))
        .collect();
    let table = help(&["list"]);
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().next().expect("an empty line"))
        .collect();
    assert_eq!(names, lines);
}

/// The usual code, 2, would be a pass for the kselftest runner.
#[test]
fn usage_errors_are_64_and_name_the_argument() {
    for (arguments, word) in [
        (vec![], "Usage"),
        (vec!["frobnicate"], "frobnicate"),
        (vec!["run", "--expect", "2018"], "2018"),
        (
            vec!["run", "--only", "nothing-of-the-kind"],
            "nothing-of-the-kind",
        ),
        (
            vec!["list", "--only", "nothing-of-the-kind"],
            "nothing-of-the-kind",
        ),
        (
            vec!["vm", "run", "--only", "nothing-of-the-kind"],
            "nothing-of-the-kind",
        ),
        (vec!["vm", "run", "--base", "next"], "next"),
        (
            vec!["vm", "matrix", "--only", "nothing-of-the-kind"],
            "nothing-of-the-kind",
        ),
    ] {
        mn_inject(&arguments)
            .assert()
            .code(64)
            .stdout("")
            .stderr(predicate::str::contains(word));
    }
}

#[test]
fn without_the_module_everything_is_skipped() {
    // If the module is loaded, the scenarios run.
    assert!(
        !std::path::Path::new("/sys/kernel/debug/mmu_notifier_inject").exists(),
        "the module is loaded on this machine: unload it (rmmod mmu_notifier_inject)"
    );
    mn_inject(&["run", "--format", "ktap"])
        .assert()
        .code(4)
        .stdout(predicate::str::contains("# SKIP"))
        .stdout(
            predicate::str::is_match("(?m)^ok .* munmap-whole-eagain # SKIP").expect("a regex"),
        );
}

#[test]
fn a_missing_module_is_reported() {
    mn_inject(&["run", "--module", "no-such-module.ko"])
        .assert()
        .code(69)
        .stderr(predicate::str::contains("no-such-module.ko"));
}

#[test]
fn an_output_that_cannot_be_written_is_an_early_error() {
    mn_inject(&["run", "--output", "/proc/nowhere"])
        .assert()
        .code(69)
        .stdout("")
        .stderr(predicate::str::contains("/proc/nowhere"));
}

/// The document is generated by `mn-inject list --rules > docs/contract.md`.
#[test]
fn the_document_of_the_contract_is_current() {
    let output = assert_cmd::Command::cargo_bin("mn-inject")
        .unwrap()
        .args(["list", "--rules"])
        .output()
        .unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/contract.md"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text.unwrap());
}
