// SPDX-License-Identifier: GPL-2.0

//! The whole way, from a kernel's source to a verdict, with the program as a user has it.
//!
//! Kernels are built where they are not in the cache. Where packages are missing the tests fail
//! with the command that installs them, unless `MN_INJECT_INSTALL_DEPS=1` allows to run it.

#[path = "../common/program.rs"]
mod program;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mn_inject::model::matrix::MatrixReport;
use mn_inject::model::{FindingKind, Recognised, Report};
use mn_inject::oracle::mutants::Mutant;

/// Kernels share one source tree, and guests share the processors: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a run ended with, and all that it said.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        program::assert_installed(&ran.stderr);
        ran
    }

    /// Asserts on the exit code, and that all the words were said.
    fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self}");
        for word in words {
            assert!(
                self.stdout.contains(word) || self.stderr.contains(word),
                "nobody said {word:?}: {self}"
            );
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What was found stands at the end of stdout, and the end of long output is what is kept.
        write!(
            f,
            "exit code {}\n--- stderr\n{}\n--- stdout\n{}",
            self.code, self.stderr, self.stdout
        )
    }
}

fn run(arguments: &[&str]) -> Ran {
    let _one = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    run_now(arguments)
}

fn run_now(arguments: &[&str]) -> Ran {
    let output = program::vm(arguments)
        .output()
        .expect("cannot start mn-inject");
    Ran::new(&output)
}

fn patch(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/patches")
        .join(name);
    path.display().to_string()
}

/// Runs the whole suite on mainline with a patch of `tests/patches`.
fn run_patched(name: &str) -> Ran {
    run(&["run", "--base", "mainline", "--patch", &patch(name)])
}

#[test]
fn seed_passes_and_the_second_time_nothing_is_built() {
    run(&["run"]).expect(0, &["seed", "3 known bugs of the kernel"]);
    let second = run(&["run"]);
    second.expect(0, &["[kernel] cached"]);
    assert!(!second.stderr.contains("building"), "{second}");
    assert!(!second.stderr.contains("fetching"), "{second}");
}

#[test]
fn mainline_passes() {
    run(&["run", "--base", "mainline"]).expect(0, &["mainline"]);
}

/// The kernel checks itself and runs the module's unit tests, and has nothing to complain about.
#[test]
fn seed_passes_where_the_kernel_checks_itself() {
    let ran = run(&["run", "--config", "debug"]);
    ran.expect(
        0,
        &[
            "0 failed, 0 without a verdict, 0 skipped",
            "PASS  kunit-mmu_notifier_inject_text-",
        ],
    );
    let (_, unit_tests) = ran
        .stdout
        .rsplit_once("7 known bugs of the kernel; ")
        .expect("no count of unit tests");
    let mut words = unit_tests.split_whitespace();
    let (passed, all) = (words.next(), words.nth(1));
    assert_eq!(passed, all, "{ran}");
}

/// The bug of the kernel that the contract's tenth rule is about is told from a failure, and from
/// a pass; with the patch that mends it, it is gone.
#[test]
fn a_known_bug_is_seen_and_its_patch_mends_it() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/found");
    let fix = std::fs::read_dir(&found)
        .expect("there is no docs/found")
        .map(|entry| entry.expect("cannot read docs/found").path())
        .find(|path| path.display().to_string().contains("/0001-"))
        .expect("the patch is not there");
    let fix = fix.display().to_string();
    let arguments = [
        "run", "--base", "mainline", "--only", "r10-*", "--format", "ktap",
    ];
    let shown = run(&arguments);
    shown.expect(
        0,
        &["# Totals: pass:8 fail:0 xfail:3 xpass:0 skip:0 error:0"],
    );
    let mended = run(&[&arguments[..], &["--patch", &fix]].concat());
    mended.expect(
        0,
        &["# Totals: pass:11 fail:0 xfail:0 xpass:0 skip:0 error:0"],
    );
}

/// The other kernel that we know has another source, and the same rules.
#[test]
fn the_other_kernel_passes() {
    run(&["run", "--kernel", "7.2"]).expect(0, &["linux-source-7.2", "3 known bugs of the kernel"]);
    run(&["run", "--kernel", "7.2", "--base", "mainline"]).expect(0, &["mainline"]);
}

/// Faults that no scenario asks for: as a notifier is registered, before any window.
#[test]
fn a_kernel_that_complains_of_something_else_is_no_verdict() {
    let patch = patch("faults.patch");
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let output = dir.path().display().to_string();
    run(&[
        "run", "--config", "debug", "--only", "munmap-*", "--patch", &patch, "--output", &output,
    ])
    .expect(
        70,
        &[
            "12 of 12 scenarios passed",
            "(lockdep): WARNING: possible circular locking dependency detected",
            "(KASAN): BUG: KASAN: slab-use-after-free in ",
            "(kmemleak): unreferenced object ",
            "lockdep turned itself off",
            "mn_test_faults",
        ],
    );
    let kept = std::fs::read(dir.path().join("report.json")).expect("there is no report.json");
    let report: Report = serde_json::from_slice(&kept).expect("report.json is not a report");
    let lines = |what: &str| -> usize {
        let complaint = report.complaints.iter().find(|c| c.what == what);
        complaint.map_or(0, |complaint| complaint.lines.len())
    };
    for what in ["lockdep", "KASAN", "kmemleak"] {
        assert!(lines(what) > 5, "the evidence of {what} was not kept");
    }
}

#[test]
fn a_short_stress_finds_nothing() {
    run(&["stress", "--seconds", "60"]).expect(0, &["PASS: stress", "vm stress --seconds 60"]);
}

#[test]
fn a_short_fuzz_finds_nothing() {
    run(&["fuzz", "--writes", "20000"]).expect(0, &["PASS: fuzz", "vm fuzz --writes 20000"]);
}

/// Once, and by the case that was at work.
#[test]
fn a_complaint_of_the_kernel_is_a_finding_of_its_case() {
    let ran = run(&[
        "cases",
        "--only=attach-p*",
        "--only=zap",
        "--only=breach-*",
        "--patch",
        &patch("module-warns.patch"),
    ]);
    ran.expect(1, &["FAIL        zap\n", "ok          breach-refused\n"]);
    let complaints = ran.stdout.matches("the kernel complained (WARNING)");
    // Two zaps of it are carried out.
    assert_eq!(complaints.count(), 2, "{ran}");
}

#[test]
fn no_verdict_changes_whoever_disturbs_and_a_kill_leaves_nothing() {
    run(&["hostile", "--kills", "6"]).expect(0, &["PASS: hostile", "runs killed"]);
}

#[test]
fn a_wrong_kernel_stays_wrong_whoever_disturbs() {
    run(&[
        "hostile",
        "--kills=0",
        "--only=m*",
        "--condition=printk-flood",
        "--condition=kmsg-overrun",
        "--condition=other-notifier",
        "--base=mainline",
        "--patch",
        &patch("no-check.patch"),
    ])
    .expect(0, &["PASS: hostile"]);
}

#[test]
fn a_flood_is_accounted_for() {
    run(&["flood", "--failures", "20000"]).expect(0, &["PASS: flood"]);
}

#[test]
fn a_flood_of_which_the_kernel_tells_in_part_fails() {
    let mutant = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants/warn-ratelimited.patch");
    let mutant = mutant.display().to_string();
    run(&["flood", "--failures", "4000", "--patch", &mutant])
        .expect(1, &["FAIL: flood", "the pr_warn is missing"]);
}

#[test]
fn a_flood_that_overruns_the_log_is_no_verdict() {
    run(&[
        "flood",
        "--failures=1000",
        "--base=mainline",
        "--patch",
        &patch("kmsg-overrun.patch"),
    ])
    .expect(70, &["NO VERDICT: flood", "records were lost"]);
}

#[test]
fn a_stress_on_a_kernel_with_faults_finds_them() {
    run(&[
        "stress",
        "--seconds",
        "5",
        "--patch",
        &patch("faults.patch"),
    ])
    .expect(
        1,
        &[
            "(KASAN): BUG: KASAN: slab-use-after-free in ",
            "(kmemleak): unreferenced object ",
        ],
    );
}

/// The patches in a folder of `tests/`, each with what it says of itself, by name.
fn mutants(folder: &str) -> Vec<Mutant> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let entries = std::fs::read_dir(&dir).expect("cannot read the folder");
    let paths = entries.map(|entry| entry.expect("cannot read the folder").path());
    let mut mutants: Vec<Mutant> = paths
        .map(|path| Mutant::read(&path).unwrap_or_else(|error| panic!("{error:#}")))
        .collect();
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    mutants
}

/// Whether a mutant takes the kernel that checks itself.
fn takes_debug(mutant: &Mutant) -> bool {
    mutant.claim.config.as_deref() == Some("debug")
}

/// Each is found out, by the scenario and for the reason that it claims, and the kernels that they
/// are made of pass.
fn all_are_found_out(mutants: &[Mutant], lies: &[Mutant]) {
    let (killed, doubted) = (mutants.len(), lies.len());
    let outcome = format!(
        "PASS: {killed} of {} mutants killed, {doubted} doubted as they must be, 0 otherwise",
        killed + doubted
    );
    let paths = mutants.iter().chain(lies);
    let paths: Vec<String> = paths.map(|m| m.path.display().to_string()).collect();
    let mut arguments = vec!["mutants"];
    arguments.extend(paths.iter().map(String::as_str));
    run(&arguments).expect(0, &[&outcome]);
}

/// Kernels that are wrong on purpose, and modules that lie: those are doubted, and no kernel is
/// blamed.
#[test]
fn every_mutant_is_killed_and_every_lie_doubted_as_it_claims() {
    let mut mutants = mutants("mutants");
    mutants.retain(|mutant| !takes_debug(mutant));
    all_are_found_out(&mutants, &crate::mutants("lies"));
}

/// The same for the kernel that checks itself, one of each rule: each takes minutes.
#[test]
fn a_mutant_of_each_rule_is_killed_where_the_kernel_checks_itself() {
    let mut mutants = mutants("mutants");
    mutants.retain(takes_debug);
    let mut rules = std::collections::HashSet::new();
    mutants.retain(|mutant| rules.insert(mutant.claim.rule));
    all_are_found_out(&mutants, &[]);
}

#[test]
#[ignore = "takes an hour"]
fn every_mutant_is_killed_where_the_kernel_checks_itself() {
    let mut mutants = mutants("mutants");
    mutants.retain(takes_debug);
    all_are_found_out(&mutants, &[]);
}

#[test]
fn a_mutant_that_changes_nothing_survives() {
    let file = patch("harmless.patch");
    run(&["mutants", "--only", "munmap-whole-*", &file]).expect(
        1,
        &["SURVIVED  harmless", "0 of 1 mutants killed", "1 survived"],
    );
}

#[test]
fn a_kernel_without_the_check_fails() {
    run_patched("no-check.patch").expect(1, &[FindingKind::DidNotFire.words()]);
}

#[test]
fn the_inverted_check_of_v4_fails_both_ways() {
    run_patched("inverted-v4.patch").expect(
        1,
        &[
            FindingKind::DidNotFire.words(),
            FindingKind::FiredWhenItShouldNot.words(),
        ],
    );
}

#[test]
fn the_accumulated_ret_of_v5_fails() {
    run_patched("accumulated-ret-v5.patch").expect(1, &[FindingKind::FiredWhenItShouldNot.words()]);
}

#[test]
fn a_guest_that_panics_is_no_verdict() {
    run_patched("panic.patch").expect(
        70,
        &[
            "panicked",
            "mn-inject test: notifier failed",
            "console's last lines",
        ],
    );
}

#[test]
fn a_guest_that_is_gone_too_early_is_no_verdict() {
    // Most scenarios have passed by then, and are shown; that is no pass.
    run_patched("reset.patch").expect(
        70,
        &[
            "together: the guest ended too early, in scenario mrelease-eagain",
            "scenarios passed, 0 failed, ",
            " never ran",
        ],
    );
}

#[test]
fn a_guest_that_hangs_is_no_verdict() {
    run_patched("hang.patch").expect(70, &["hung", "console's last lines"]);
}

#[test]
fn a_log_that_overran_is_no_verdict() {
    run_patched("kmsg-overrun.patch").expect(70, &["lost"]);
}

/// A kernel is not to blame for what it promises nobody.
#[test]
fn a_sleep_that_ends_early_changes_no_verdict() {
    run_patched("short-sleep.patch").expect(0, &["0 failed, 0 without a verdict"]);
}

#[test]
fn the_report_is_kept_and_says_what_ran() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let output = dir.path().display().to_string();
    let ran = run(&[
        "run", "--accel", "tcg", "--format", "json", "--output", &output,
    ]);
    ran.expect(0, &[]);
    let printed: Report =
        serde_json::from_str(&ran.stdout).expect("stdout is not the report alone");
    let kept = std::fs::read(dir.path().join("report.json")).expect("there is no report.json");
    let kept: Report = serde_json::from_slice(&kept).expect("report.json is not a report");
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
}

#[test]
fn a_matrix_has_a_row_and_a_report_for_each_kernel() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let output = dir.path().display().to_string();
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
        let report = run.report.as_ref().expect("a run has no report");
        assert_eq!(report.scenarios.len(), 6, "{ran}");
        let kept = dir.path().join(format!("7.3-{}-core", run.base));
        let kept = std::fs::read(kept.join("report.json")).expect("there is no report.json");
        let kept: Report = serde_json::from_slice(&kept).expect("report.json is not a report");
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
fn a_patch_that_is_none_is_said_and_nothing_is_built() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let file = dir.path().join("not-a.patch");
    std::fs::write(&file, "hello\n").expect("cannot write");
    let file = file.display().to_string();
    let ran = run(&["run", "--patch", &file]);
    ran.expect(69, &["not-a.patch", "not a patch"]);
    assert!(!ran.stderr.contains("building"), "{ran}");
}

#[test]
fn a_patch_that_does_not_apply_is_said_and_nothing_changes() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
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
    // The seed's kernel is still what it was.
    run(&["build"]).expect(0, &["[kernel] cached"]);
}

#[test]
fn a_configuration_that_is_unknown_is_said() {
    run(&["build", "--config", "none"]).expect(69, &["\"none\"", "core"]);
}

#[test]
fn a_kernel_that_is_unknown_is_said_with_those_there_are() {
    for command in ["run", "build", "matrix"] {
        run(&[command, "--kernel", "2.4"]).expect(64, &["'2.4'", "7.3, 7.2"]);
    }
}

#[test]
fn usage_errors_exit_64() {
    run(&["run", "--accel", "none"]).expect(64, &["--accel"]);
    run(&["run", "--linux", ".", "--patch", "x"]).expect(64, &["--linux"]);
    run(&["run", "--linux", ".", "--kernel", "7.2"]).expect(64, &["--linux"]);
}

#[test]
fn clean_removes_only_what_it_made() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let clean = || {
        let output = program::vm(&["clean"])
            .env("MN_INJECT_CACHE", dir.path())
            .output()
            .expect("cannot start mn-inject");
        Ran::new(&output)
    };
    let build = || {
        // An unknown configuration ends it after the cache was opened.
        let output = program::vm(&["build", "--config", "none"])
            .env("MN_INJECT_CACHE", dir.path())
            .output()
            .expect("cannot start mn-inject");
        Ran::new(&output)
    };
    std::fs::write(dir.path().join("mine"), "x").expect("cannot write");
    build().expect(69, &["not a cache of mn-inject"]);
    clean().expect(0, &["nothing to remove"]);
    assert!(dir.path().join("mine").exists());

    std::fs::remove_file(dir.path().join("mine")).expect("cannot remove");
    build().expect(69, &["\"none\""]);
    std::fs::write(dir.path().join("mine"), "x").expect("cannot write");
    clean().expect(0, &["the rest was left"]);
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("cannot read")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// The processes that have a file open or mapped, by what `/proc` says.
fn users_of(path: &Path) -> Vec<PathBuf> {
    let wanted = path.display().to_string();
    std::fs::read_dir("/proc")
        .expect("cannot read /proc")
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| {
            std::fs::read(process.join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&wanted))
        })
        .collect()
}

#[test]
fn signals_leave_no_qemu_behind() {
    let _one = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    run_now(&["build"]).expect(0, &[]);
    for signal in ["INT", "TERM", "KILL"] {
        let dir = tempfile::tempdir().expect("cannot make a directory");
        let output = dir.path().display().to_string();
        let mut child = program::vm(&["run", "--accel", "tcg", "--output", &output])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot start mn-inject");
        // QEMU runs when it has made the console's log.
        let console = dir.path().join("console.log");
        wait_for("QEMU to start", || console.exists());
        assert!(!users_of(&console).is_empty());
        let status = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .expect("cannot start kill");
        assert!(status.success());
        let status = child.wait().expect("cannot wait for mn-inject");
        let mut said = String::new();
        if signal != "KILL" {
            assert_eq!(status.code(), Some(130), "{signal}");
            let mut stderr = child.stderr.take().expect("stderr is a pipe");
            stderr.read_to_string(&mut said).expect("cannot read");
            assert!(said.contains("interrupted"), "{said}");
            // It waited for QEMU, so there is nothing to wait for here.
            assert!(users_of(&console).is_empty(), "{signal} left a QEMU behind");
        } else {
            wait_for("QEMU to end", || users_of(&console).is_empty());
        }
    }
}

#[test]
fn a_signal_ends_all_guests_of_a_matrix() {
    let _one = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let arguments = ["matrix", "--kernel", "7.3", "--accel", "tcg"];
    run_now(&[&arguments[..], &["--only", "munmap-whole-*"]].concat()).expect(0, &[]);
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let output = dir.path().display().to_string();
    let child = program::vm(&[&arguments[..], &["--output", &output]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start mn-inject");
    let console = |base: &str| dir.path().join(format!("7.3-{base}-core/console.log"));
    wait_for("a QEMU to start", || {
        console("seed").exists() || console("mainline").exists()
    });
    let status = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status()
        .expect("cannot start kill");
    assert!(status.success());
    let output = child.wait_with_output().expect("cannot wait for mn-inject");
    Ran::new(&output).expect(130, &["interrupted"]);
    assert_eq!(output.stdout, b"", "there is no table of what was not run");
    assert!(users_of(dir.path()).is_empty(), "a QEMU is left");
}

/// Waits for something that another process does, and about which it tells nobody.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
