// SPDX-License-Identifier: GPL-2.0

//! Runs the program, one test at a time of each sort, and checks its result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mn_inject::model::Report;

use crate::program;

/// Held while the suite runs on kernels: the kernels share one source tree, and builds and guests
/// with virtual time keep all processors busy.
static SUITE: Mutex<()> = Mutex::new(());

/// Held while a self-test runs. Its guest has real time, in which it mostly waits, so one of them
/// runs beside a suite: `vm hostile` takes less than half of one processor.
static SELFTEST: Mutex<()> = Mutex::new(());

/// Held while a self-test runs on User Mode Linux. Its guest has one processor, and waits as much.
static NATIVE: Mutex<()> = Mutex::new(());

/// Takes a lock, also after a test that failed while it held it.
fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no other test runs a suite.
pub fn suite_alone() -> MutexGuard<'static, ()> {
    prepare();
    lock(&SUITE)
}

/// The exit code and the output of a command.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: &Output) -> Self {
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        program::assert_installed(&ran.stderr);
        ran
    }

    /// Asserts on the exit code, and that all the words were printed.
    pub fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self}");
        for word in words {
            assert!(
                self.stdout.contains(word) || self.stderr.contains(word),
                "{word:?} was not printed: {self}"
            );
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The findings are at the end of stdout, and of long output the end is kept.
        write!(
            f,
            "exit code {}\n--- stderr\n{}\n--- stdout\n{}",
            self.code, self.stderr, self.stdout
        )
    }
}

/// Installs packages, if that is allowed, and builds the kernel that most tests need: once, since
/// two package managers at a time do not get along.
fn prepare() {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let output = program::vm(&["build"]).output();
        let output = output.map_err(|error| format!("cannot start mn-inject: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    });
    if let Err(why) = built {
        program::assert_installed(why);
        panic!("`mn-inject vm build` failed: {why}");
    }
}

/// `mn-inject vm` with these arguments, while no other suite runs.
pub fn run(arguments: &[&str]) -> Ran {
    let _alone = suite_alone();
    run_now(arguments)
}

/// As [`run`], for a test that holds [`suite_alone`] itself.
pub fn run_now(arguments: &[&str]) -> Ran {
    output_of(&mut program::vm(arguments))
}

/// Runs on User Mode Linux while a suite may run: for guests that take one processor for a long time.
pub fn run_beside(arguments: &[&str]) -> Ran {
    assert!(arguments.contains(&"--machine=uml"), "{arguments:?}");
    prepare();
    let _alone = lock(&NATIVE);
    run_now(arguments)
}

/// A test of the module or of the program itself in a guest: `stress`, `fuzz`, `hostile`, `flood`,
/// `bench` or `fail-nth`, with its options. A suite may run at the same time.
pub fn selftest(arguments: &[&str]) -> Ran {
    prepare();
    let is_native = arguments.contains(&"--machine=uml");
    let _alone = lock(if is_native { &NATIVE } else { &SELFTEST });
    output_of(&mut program::vm(arguments))
}

fn output_of(command: &mut Command) -> Ran {
    Ran::new(&command.output().expect("cannot start mn-inject"))
}

/// The path of a file or folder of the repository.
pub fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(path).display().to_string()
}

/// The path of a patch in `tests/patches`: a kernel for a single test.
pub fn patch(name: &str) -> String {
    file(&format!("tests/patches/{name}.patch"))
}

/// The path of the patch in `docs/found` whose name begins with that: a mended kernel.
pub fn found(start: &str) -> String {
    std::fs::read_dir(file("docs/found"))
        .expect("there is no docs/found")
        .map(|entry| entry.expect("cannot read docs/found").path())
        .find(|path| path.display().to_string().contains(&format!("/{start}")))
        .expect("the patch is not there")
        .display()
        .to_string()
}

/// The path of a patch in `tests/mutants`: a kernel that must not pass.
pub fn mutant(name: &str) -> String {
    file(&format!("tests/mutants/{name}.patch"))
}

/// Runs the whole suite on mainline with that patch, on that machine.
pub fn run_patched(machine: &str, patch: &str) -> Ran {
    let arguments = ["run", "--machine", machine, "--base", "mainline"];
    run(&[&arguments[..], &["--patch", patch]].concat())
}

/// The report of the whole suite on an unmodified kernel, which passes. Several tests look at the same
/// one, for which there is one run. The caller must hold [`suite_alone`].
pub fn report_of(machine: &'static str, base: &'static str) -> Report {
    static REPORTS: Mutex<BTreeMap<(&str, &str), Report>> = Mutex::new(BTreeMap::new());
    let mut reports = lock(&REPORTS);
    let report = reports.entry((machine, base));
    report.or_insert_with(|| new_report(machine, base)).clone()
}

/// The same of a run of its own.
pub fn new_report(machine: &str, base: &str) -> Report {
    let (dir, output) = folder();
    let arguments = ["run", "--machine", machine, "--base", base];
    run_now(&[&arguments[..], &["--output", &output]].concat()).expect(0, &["PASS: "]);
    report_in(dir.path())
}

/// The report that a run has left in a folder.
pub fn report_in(folder: &Path) -> Report {
    let text = std::fs::read(folder.join("report.json")).expect("there is no report.json");
    serde_json::from_slice(&text).expect("report.json is not a report")
}

/// A folder for the output of a run, and its path as an argument.
pub fn folder() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let path = dir.path().display().to_string();
    (dir, path)
}

/// The processes with a path on their command line, which QEMU has that writes to it.
pub fn users_of(path: &Path) -> Vec<PathBuf> {
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

/// Starts `mn-inject vm` with these arguments.
pub fn start(arguments: &[&str], stdout: Stdio) -> Child {
    program::vm(arguments)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start mn-inject")
}

/// Sends a signal to a process that was started.
pub fn send(signal: &str, child: &Child) {
    let status = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status()
        .expect("cannot start kill");
    assert!(status.success());
}

/// Sends a signal to a run as soon as its QEMU has started, and asserts that none is left.
pub fn assert_signal_leaves_no_qemu(signal: &str) {
    let _alone = suite_alone();
    let (dir, output) = folder();
    let run = ["run", "--accel", "tcg", "--output", &output];
    let child = start(&run, Stdio::null());
    // The first thing that QEMU does is to create the console's log.
    let console = dir.path().join("console-first-half.log");
    wait_for("QEMU to start", || console.exists());
    assert!(!users_of(&console).is_empty());
    send(signal, &child);
    let ended = child.wait_with_output().expect("cannot wait for mn-inject");
    if signal == "KILL" {
        wait_for("QEMU to end", || users_of(&console).is_empty());
    } else {
        Ran::new(&ended).expect(130, &["interrupted"]);
        // It has waited for QEMU, so the test need not.
        assert!(users_of(&console).is_empty(), "{signal} left a QEMU behind");
    }
}

/// Waits for something that another process does and that cannot be waited for otherwise.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
