// SPDX-License-Identifier: GPL-2.0

//! The tests that take too long for `cargo test`: `.ci/run` runs them. The minutes are those on two
//! processors under TCG, once the unmodified kernels are in the cache.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use mn_inject::model::matrix::MatrixReport;
use mn_inject::model::{FindingKind, Recognised, Report};

use crate::harness::{
    Ran, assert_signal_leaves_no_qemu, folder, found, mutant, patch, report_in, run, run_beside,
    run_now, run_patched, selftest, send, start, suite_alone, users_of, wait_for,
};
use crate::uml::SKIPPED;

/// The debug kernel runs the module's unit tests, and complains of nothing. Under QEMU the scenarios run
/// that User Mode Linux cannot have, which has all others in a part of the time.
#[test]
#[ignore = "full: 1 min"]
fn seed_passes_on_the_debug_kernel() {
    let elsewhere = SKIPPED.iter().map(|(pattern, _)| *pattern);
    let patterns = elsewhere.chain(["kunit-*"]);
    let only: Vec<_> = patterns.map(|name| format!("--only={name}")).collect();
    let arguments = ["run", "--config", "debug"].into_iter();
    let ran = run(&arguments
        .chain(only.iter().map(String::as_str))
        .collect::<Vec<_>>());
    ran.expect(
        0,
        &[
            "0 failed, 0 without a verdict, 0 skipped",
            "PASS  kunit-mmu_notifier_inject_text-",
        ],
    );
    assert_unit_tests_passed(&ran);
    let ran = run(&["run", "--config", "debug", "--machine", "uml"]);
    ran.expect(0, &["0 failed, 0 without a verdict, "]);
    assert_unit_tests_passed(&ran);
}

/// Each function that calls notifiers is made to do so, in either form of the check.
#[test]
#[ignore = "full: 2 min"]
fn every_caller_is_reached_on_the_full_kernel() {
    for base in ["seed", "mainline"] {
        run(&["run", "--config", "full", "--base", base]).expect(
            0,
            &[
                "coverage: 35 of 35 functions that call notifiers",
                "0 failed, 0 without a verdict, 26 skipped, 17 known bugs of the kernel",
            ],
        );
    }
}

/// A notifier is not told of pages that stay where they are, which is no fault of the kernel.
#[test]
#[ignore = "full: 1 min"]
fn pages_that_cannot_be_swapped_out_are_no_verdict() {
    let patch = patch("swap-is-full");
    let arguments = ["run", "--config", "full", "--patch", &patch];
    let only = [
        "--only=madvise-pageout-swap-*",
        "--only=remote-memory-reclaim-*",
    ];
    run(&[&arguments[..], &only].concat()).expect(
        70,
        &[
            "16 pages of ",
            "were not swapped out: see /proc/swaps",
            "0 failed, 10 without a verdict",
        ],
    );
}

/// Each of the module's unit tests has passed.
fn assert_unit_tests_passed(ran: &Ran) {
    let (_, unit_tests) = ran
        .stdout
        .rsplit_once("known bugs of the kernel; ")
        .expect("no count of unit tests");
    let mut words = unit_tests.split_whitespace();
    let (passed, all) = (words.next(), words.nth(1));
    assert_eq!(passed, all, "{ran}");
}

/// Guests that go on from a snapshot lead to the same verdicts as guests that boot, and a kernel of
/// which there can be no snapshot has the verdict that it has without one.
#[test]
#[ignore = "full: 2 min"]
fn guests_go_on_from_one_boot() {
    let arguments = ["run", "--accel=tcg", "--config=debug", "--base=mainline"];
    let wrong = mutant("reclaim-map-missing");
    let only = ["--only=r07-*-a*", "--patch", &wrong];
    run(&[&arguments[..], &only].concat()).expect(
        1,
        &[
            "[guest] booted (",
            "FAIL  r07-plain-allocates",
            "PASS  r07-interval-agrees",
            "0 without a verdict",
        ],
    );
    let dead = patch("dead-at-boot");
    // As few as there is a snapshot for.
    let only = [
        "--only=r07-plain-a*",
        "--only=r07-interval-a*",
        "--patch",
        &dead,
    ];
    run(&[&arguments[..], &only].concat()).expect(
        70,
        &[
            "[guest] no snapshot, so each guest boots: the guest ended",
            "never ran",
        ],
    );
}

/// The notifier of a target that is not armed costs next to nothing, and others do not pay for it.
#[test]
#[ignore = "full: 2 min"]
fn a_target_costs_what_it_may() {
    selftest(&["bench"]).expect(0, &["target, disarmed", "log_kib=4", "PASS: bench"]);
}

/// On PREEMPT_RT the module's spinlocks sleep, and there are no transparent huge pages. The patch is
/// for a bug of that kernel, without which it complains about each spinlock in non-blockable
/// context.
#[test]
#[ignore = "full: 2 min"]
fn seed_passes_on_the_real_time_kernel() {
    let fix = found("0006-");
    run(&["run", "--config", "rt", "--patch", &fix]).expect(
        0,
        &[
            "0 failed, 0 without a verdict, 141 skipped",
            "17 known bugs of the kernel",
        ],
    );
}

/// A callback has removed its own notifier, and the kernel did not wait for it: the walk that has
/// called it still needs the notifier, though its callback has returned.
#[test]
#[ignore = "full: 2 min"]
fn a_notifier_stays_while_the_walk_that_called_it_does() {
    let (removal, lag) = (mutant("removal-does-not-wait"), patch("walk-lags"));
    let careless = patch("module-frees-early");
    let arguments = [
        "run",
        "--config=debug",
        "--base=mainline",
        "--only=r11-removes-itself",
        "--patch",
        &removal,
        "--patch",
        &lag,
    ];
    let careful = run(&arguments);
    careful.expect(1, &["FAIL  r11-removes-itself"]);
    assert!(!careful.stdout.contains("KASAN"), "{careful}");
    run(&[&arguments[..], &["--patch", &careless]].concat())
        .expect(70, &["KASAN: slab-use-after-free in "]);
}

/// The other known kernel has another source, and the same rules.
#[test]
#[ignore = "full: 1 min"]
fn the_other_kernel_passes() {
    run(&["run", "--kernel", "7.2"])
        .expect(0, &["linux-source-7.2", "16 known bugs of the kernel"]);
    run(&["run", "--kernel", "7.2", "--base", "mainline"]).expect(0, &["mainline"]);
}

/// The faults occur when a process maps memory, between two windows. Eight objects leak.
#[test]
#[ignore = "full: 3 min"]
fn complaints_about_something_else_are_no_verdict() {
    let (dir, output) = folder();
    let patch = patch("faults");
    run(&[
        "run",
        "--machine=uml",
        "--config=debug",
        "--only=munmap-*",
        "--patch",
        &patch,
        "--output",
        &output,
    ])
    .expect(
        70,
        &[
            "18 of 18 scenarios passed",
            "(lockdep): WARNING: possible circular locking dependency detected",
            "(KASAN): BUG: KASAN: slab-use-after-free in ",
            "(kmemleak): unreferenced object ",
            "lockdep turned itself off",
            "mn_test_faults",
        ],
    );
    let report = report_in(dir.path());
    let lines = |what: &str| -> usize {
        let complaint = report.complaints.iter().find(|c| c.what == what);
        complaint.map_or(0, |complaint| complaint.lines.len())
    };
    for what in ["lockdep", "KASAN", "kmemleak"] {
        assert!(lines(what) > 5, "the evidence of {what} was not kept");
    }
    let leaks = report.complaints.iter().filter(|c| c.what == "kmemleak");
    assert_eq!(leaks.count(), 8, "leaked objects");
}

#[test]
#[ignore = "full: 2 min"]
fn a_minute_of_stress_finds_nothing() {
    selftest(&["stress", "--seconds", "60"]).expect(0, &["PASS: stress", "--seconds 60"]);
}

#[test]
#[ignore = "full: 2 min"]
fn stress_finds_the_faults_of_a_kernel() {
    selftest(&["stress", "--seconds", "5", "--patch", &patch("faults")]).expect(
        1,
        &[
            "(KASAN): BUG: KASAN: slab-use-after-free in ",
            "(kmemleak): unreferenced object ",
        ],
    );
}

#[test]
#[ignore = "full: 1 min"]
fn many_writes_to_the_files_find_nothing() {
    selftest(&["fuzz", "--writes", "20000"]).expect(0, &["PASS: fuzz", "--writes 20000"]);
}

/// The complaint is one finding, of the case that was being carried out.
#[test]
#[ignore = "full: 1 min"]
fn a_complaint_of_the_kernel_is_a_finding_of_its_case() {
    let ran = selftest(&[
        "cases",
        "--only=attach-p*",
        "--only=zap",
        "--only=attach-locked",
        "--patch",
        &patch("module-warns"),
    ]);
    ran.expect(1, &["FAIL        zap\n", "ok          attach-locked\n"]);
    let complaints = ran.stdout.matches("the kernel complained (WARNING)");
    // The case zaps twice.
    assert_eq!(complaints.count(), 2, "{ran}");
}

#[test]
#[ignore = "full: 6 min"]
fn disturbances_change_no_verdict_and_kills_leave_nothing() {
    selftest(&["hostile", "--machine=uml", "--kills=6"])
        .expect(0, &["PASS: hostile", "runs killed"]);
}

/// Those under which a second processor matters, on one operation of each sort.
#[test]
#[ignore = "full: 2 min"]
fn disturbances_change_no_verdict_with_two_processors() {
    selftest(&[
        "hostile",
        "--kills=2",
        "--only=m*",
        "--only=o*",
        "--only=khugepaged-*",
        "--condition=printk-flood",
        "--condition=load",
        "--condition=stopped",
    ])
    .expect(0, &["PASS: hostile", "runs killed"]);
}

#[test]
#[ignore = "full: 2 min"]
fn disturbances_change_no_failure() {
    selftest(&[
        "hostile",
        "--machine=uml",
        "--kills=0",
        "--only=m*",
        "--condition=printk-flood",
        "--condition=kmsg-overrun",
        "--condition=other-notifier",
        "--base=mainline",
        "--patch",
        &mutant("check-missing"),
    ])
    .expect(0, &["PASS: hostile"]);
}

/// The walks over the allocations of all calls.
#[test]
#[ignore = "full: 3 min"]
fn no_allocation_that_fails_leaves_anything() {
    selftest(&["fail-nth"]).expect(0, &["PASS: fail-nth", "faults injected"]);
}

#[test]
#[ignore = "full: 1 min"]
fn no_allocation_that_fails_leaves_anything_on_uml() {
    selftest(&["fail-nth", "--machine=uml"]).expect(0, &["PASS: fail-nth", "faults injected"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_module_that_leaks_on_failure_is_found() {
    let patch = patch("leaks-on-failure");
    selftest(&[
        "fail-nth",
        "--machine=uml",
        "--only=attach-none",
        "--patch",
        &patch,
    ])
    .expect(
        1,
        &[
            "FAIL: fail-nth",
            "attach-none, fault ",
            "mm: Mm {",
            "(kmemleak): unreferenced object ",
            // Each fault leaks seven objects, and 20 are shown.
            " more leaks",
        ],
    );
}

#[test]
#[ignore = "full: 1 min"]
fn a_module_that_ignores_a_failure_is_found() {
    let patch = patch("ignores-failure");
    selftest(&[
        "fail-nth",
        "--machine=uml",
        "--only=load",
        "--patch",
        &patch,
    ])
    .expect(1, &["FAIL: fail-nth", "expected ENOMEM, got success"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_kernel_without_fault_injection_is_no_verdict() {
    selftest(&["fail-nth", "--machine=uml", "--config", "core"])
        .expect(70, &["NO VERDICT: fail-nth", "CONFIG_FAULT_INJECTION"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_flood_is_accounted_for() {
    selftest(&["flood", "--failures", "20000"]).expect(0, &["PASS: flood"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_flood_with_missing_warnings_fails() {
    let mutant = mutant("warn-ratelimited");
    selftest(&["flood", "--failures", "4000", "--patch", &mutant])
        .expect(1, &["FAIL: flood", "the pr_warn is missing"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_flood_that_overruns_the_log_is_no_verdict() {
    selftest(&[
        "flood",
        "--failures=1000",
        "--base=mainline",
        "--patch",
        &patch("kmsg-overrun"),
    ])
    .expect(70, &["NO VERDICT: flood", "records were lost"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_kernel_without_the_check_fails() {
    run_patched("uml", &mutant("check-missing")).expect(1, &[FindingKind::DidNotFire.words()]);
}

#[test]
#[ignore = "full: 1 min"]
fn the_inverted_check_of_v4_fails_both_ways() {
    run_patched("uml", &mutant("check-inverted")).expect(
        1,
        &[
            FindingKind::DidNotFire.words(),
            FindingKind::FiredWhenItShouldNot.words(),
        ],
    );
}

/// Scenarios have passed by then, and are in the report; that is no pass. Which was the last one is not
/// known: with the guest goes what the host has not read yet, and that may be half a line.
#[test]
#[ignore = "full: 1 min"]
fn a_guest_that_ends_too_early_is_no_verdict() {
    run_patched("qemu", &patch("reset")).expect(
        70,
        &[
            "-half: the guest ended ",
            "scenarios passed, 0 failed, ",
            " never ran",
        ],
    );
}

/// The guest keeps one processor busy until the time limit, so a suite runs beside it.
#[test]
#[ignore = "full: 2 min"]
fn a_guest_that_hangs_is_no_verdict() {
    let patch = patch("hang");
    run_beside(&["run", "--machine=uml", "--base=mainline", "--patch", &patch])
        .expect(70, &["hung", "console's last lines"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_log_that_overruns_is_no_verdict() {
    run_patched("uml", &patch("kmsg-overrun")).expect(70, &["lost"]);
}

/// No kernel promises that a sleep is never shorter than asked for.
#[test]
#[ignore = "full: 1 min"]
fn a_sleep_that_ends_early_changes_no_verdict() {
    run_patched("uml", &patch("short-sleep")).expect(0, &["0 failed, 0 without a verdict"]);
}

#[test]
#[ignore = "full: 1 min"]
fn a_matrix_has_a_row_and_a_report_for_each_kernel() {
    let (dir, output) = folder();
    let ran = run(&[
        "matrix",
        "--kernel",
        "7.3",
        "--only",
        "munmap-whole-*",
        "--format",
        "json",
        "--output",
        &output,
    ]);
    ran.expect(0, &["[7.3 seed] guest:", "[7.3 mainline] guest:"]);
    let printed: MatrixReport =
        serde_json::from_str(&ran.stdout).expect("stdout is not the report alone");
    let bases: Vec<_> = printed.runs.iter().map(|run| run.base.as_str()).collect();
    assert_eq!(bases, ["seed", "mainline"]);
    for run in &printed.runs {
        let report: &Report = run.report.as_ref().expect("a run has no report");
        assert_eq!(report.scenarios.len(), 8, "{ran}");
        let kept = report_in(&dir.path().join(format!("7.3-{}-core", run.base)));
        assert_eq!(kept, *report);
    }
    let forms: Vec<_> = printed.runs.iter().flat_map(|run| &run.report).collect();
    assert_eq!(
        (forms[0].form, forms[1].form),
        (Recognised::Seed, Recognised::Mainline)
    );
    let kept = std::fs::read(dir.path().join("matrix.json")).expect("there is no matrix.json");
    let kept: MatrixReport = serde_json::from_slice(&kept).expect("matrix.json is no report");
    assert_eq!(kept, printed);
}

#[test]
#[ignore = "full: 1 min"]
fn signals_leave_no_qemu() {
    for signal in ["INT", "TERM", "KILL"] {
        assert_signal_leaves_no_qemu(signal);
    }
}

/// The guest stands at the reset vector until gdb continues it.
#[test]
#[ignore = "full: 1 min"]
fn gdb_reaches_a_guest_that_waits_for_it() {
    let _alone = suite_alone();
    let mut child = start(&["shell", "--accel", "tcg", "--gdb=wait"], Stdio::null());
    let stderr = child.stderr.take().expect("stderr is no pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("target remote "));
    let line = line.expect("no command for gdb was printed");
    let (_, socket) = line.split_once("target remote ").expect("found above");
    let socket = Path::new(socket.trim_end_matches('\''));

    let mut stub = None;
    wait_for("QEMU to listen", || {
        stub = UnixStream::connect(socket).ok();
        stub.is_some()
    });
    let mut stub = stub.expect("connected above");
    // The registers in hexadecimal, of which the 17th is the instruction pointer.
    stub.write_all(b"$g#67").expect("cannot write to the stub");
    let mut answer = [0; 2 + 17 * 16];
    stub.read_exact(&mut answer).expect("the stub is gone");
    let next = String::from_utf8_lossy(&answer[2 + 16 * 16..]).into_owned();
    assert_eq!(next, "f0ff000000000000", "it does not wait for gdb");

    send("TERM", &child);
    let status = child.wait().expect("cannot wait for mn-inject");
    assert_eq!(status.code(), Some(130));
    assert!(users_of(socket).is_empty(), "a QEMU is left");
    assert!(!socket.exists(), "the socket is left");
}

#[test]
#[ignore = "full: 1 min"]
fn an_interrupt_ends_all_guests_of_a_matrix() {
    let _alone = suite_alone();
    let arguments = ["matrix", "--kernel", "7.3", "--accel", "tcg"];
    run_now(&[&arguments[..], &["--only", "munmap-whole-*"]].concat()).expect(0, &[]);
    let (dir, output) = folder();
    let child = start(
        &[&arguments[..], &["--output", &output]].concat(),
        Stdio::piped(),
    );
    let console = |base: &str| {
        dir.path()
            .join(format!("7.3-{base}-core/console-first-half.log"))
    };
    wait_for("a QEMU to start", || {
        console("seed").exists() || console("mainline").exists()
    });
    send("INT", &child);
    let output = child.wait_with_output().expect("cannot wait for mn-inject");
    Ran::new(&output).expect(130, &["interrupted"]);
    assert_eq!(
        output.stdout, b"",
        "a table was printed for what did not run"
    );
    assert!(users_of(Path::new(dir.path())).is_empty(), "a QEMU is left");
}
