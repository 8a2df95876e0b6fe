// SPDX-License-Identifier: GPL-2.0

//! The tests that `cargo test` runs: one of each thing that the program must not get wrong, on
//! kernels that differ in one file from the one of `vm run`.

use std::path::Path;
use std::process::Command;

use mn_inject::model::{FindingKind, Recognised, Report, Verdict};

use crate::harness::{
    Ran, assert_signal_leaves_no_qemu, folder, found, mutant, patch, report_in, report_of, run,
    run_patched, selftest, suite_alone,
};

#[test]
fn seed_passes_and_is_not_built_twice() {
    let first = {
        let _alone = suite_alone();
        report_of("qemu", "seed")
    };
    let bugs = first
        .verdicts()
        .filter(|(_, verdict)| matches!(verdict, Verdict::KnownBug { .. }));
    assert_eq!(bugs.count(), 16, "known bugs");

    let (dir, output) = folder();
    let second = run(&[
        "run", "--accel", "tcg", "--format", "json", "--output", &output,
    ]);
    second.expect(0, &["[kernel] cached"]);
    assert!(!second.stderr.contains("building"), "{second}");
    assert!(!second.stderr.contains("fetching"), "{second}");

    let printed: Report =
        serde_json::from_str(&second.stdout).expect("stdout is not the report alone");
    let kept = report_in(dir.path());
    assert_eq!(printed, kept);
    let vm = kept.vm.expect("the report does not say which VM");
    assert_eq!((vm.accelerator.as_str(), vm.base.as_str()), ("tcg", "seed"));
    assert!(vm.source.starts_with("linux-source-7.3 "), "{}", vm.source);
    assert!(vm.tested, "{}", vm.source);
    assert!(
        vm.patches[0].starts_with("seed.patch (sha256:"),
        "{:?}",
        vm.patches
    );
    for (name, path) in vm.logs {
        assert!(Path::new(&path).exists(), "the log {name} is not at {path}");
    }

    // The callers of notifiers in that kernel which a scenario reached: none fewer.
    let coverage = |least: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mn-inject"));
        command.args(["coverage", "--fail-under", least]);
        let recording = dir.path().join("results.jsonl");
        let output = command.arg(recording).output();
        Ran::new(&output.expect("cannot start mn-inject"))
    };
    coverage("26").expect(0, &["26 of 29 functions that call notifiers are reached"]);
    coverage("27").expect(
        1,
        &["needs a DAX device with pages of 1 GiB, as in --config full"],
    );
}

#[test]
fn mainline_passes() {
    let _alone = suite_alone();
    assert_eq!(report_of("qemu", "mainline").form, Recognised::Mainline);
}

/// The fifth posting of the patch tested the accumulated result for that of the callback.
#[test]
fn the_accumulated_ret_of_v5_fails() {
    run_patched("qemu", &mutant("check-accumulated"))
        .expect(1, &[FindingKind::FiredWhenItShouldNot.words()]);
}

/// The bug of the kernel that the tenth rule of the contract is about is neither a failure nor a
/// pass. With the patch that fixes it, its scenarios pass.
#[test]
fn a_known_bug_is_reported_and_its_patch_fixes_it() {
    let fix = found("0001-");
    let arguments = [
        "run", "--base", "mainline", "--only", "r10-*", "--format", "ktap",
    ];
    let broken = run(&arguments);
    broken.expect(
        0,
        &["# Totals: pass:8 fail:0 xfail:3 xpass:0 skip:0 error:0"],
    );
    let fixed = run(&[&arguments[..], &["--patch", &fix]].concat());
    fixed.expect(
        0,
        &["# Totals: pass:11 fail:0 xfail:0 xpass:0 skip:0 error:0"],
    );
}

#[test]
fn a_guest_that_panics_is_no_verdict() {
    run_patched("qemu", &patch("panic")).expect(
        70,
        &[
            "panicked",
            "mn-inject test: notifier failed",
            "console's last lines",
        ],
    );
}

#[test]
fn a_patch_that_does_not_apply_changes_nothing() {
    let (dir, _) = folder();
    let file = dir.path().join("wrong.patch");
    std::fs::write(
        &file,
        "--- a/mm/mmu_notifier.c\n+++ b/mm/mmu_notifier.c\n@@ -1 +1 @@\n-no such line\n+x\n",
    )
    .expect("cannot write");
    let file = file.display().to_string();
    run(&["run", "--patch", &file]).expect(
        69,
        &["wrong.patch", "does not apply", "nothing was changed"],
    );
    run(&["build"]).expect(0, &["[kernel] cached"]);
}

#[test]
fn a_few_seconds_of_each_selftest_find_nothing() {
    selftest(&["flood", "--failures", "2000"]).expect(0, &["PASS: flood"]);
    selftest(&["fuzz", "--writes", "2000"]).expect(0, &["PASS: fuzz"]);
    selftest(&["stress", "--config", "core", "--seconds", "5"]).expect(0, &["PASS: stress"]);
}

#[test]
fn an_interrupt_leaves_no_qemu() {
    assert_signal_leaves_no_qemu("INT");
}
