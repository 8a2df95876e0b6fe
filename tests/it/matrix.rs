// SPDX-License-Identifier: GPL-2.0

//! Report of `vm matrix`.

use crate::sample::{fail, no_verdict, report, skip};
use mn_inject::model::exit::Exit;
use mn_inject::model::matrix::{MatrixReport, MatrixRun, SCHEMA};
use mn_inject::model::{Report, Verdict};
use mn_inject::report::format::SimpleFormat;
use mn_inject::report::print_simple;

/// Run of the sample kernel with these verdicts.
fn run(base: &str, verdicts: &[Verdict]) -> MatrixRun {
    let mut report = report(verdicts);
    if let Some(vm) = &mut report.vm {
        vm.base = base.to_owned();
        vm.logs
            .push(("report".to_owned(), format!("logs/{base}/report.json")));
    }
    MatrixRun {
        kernel: "7.3".to_owned(),
        base: base.to_owned(),
        config: "core".to_owned(),
        error: None,
        report: Some(report),
    }
}

/// Run of a kernel that could not be built.
fn broken() -> MatrixRun {
    MatrixRun {
        kernel: "7.2".to_owned(),
        base: "seed".to_owned(),
        config: "debug".to_owned(),
        error: Some("[kernel] `make` failed (exit status: 2)\n    cc1: \x1b[31merror".to_owned()),
        report: None,
    }
}

fn matrix(runs: Vec<MatrixRun>) -> MatrixReport {
    MatrixReport {
        schema: SCHEMA,
        tool: "mn-inject 0.1.0".to_owned(),
        runs,
    }
}

fn printed(matrix: &MatrixReport, format: SimpleFormat) -> String {
    let mut out = Vec::new();
    print_simple(matrix, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn untested(mut run: MatrixRun) -> MatrixRun {
    if let Some(Report { vm: Some(vm), .. }) = &mut run.report {
        vm.tested = false;
    }
    run
}

#[test]
fn each_run_has_a_row_and_the_evidence_if_it_is_no_pass() {
    let pass = [
        Verdict::Pass,
        Verdict::Pass,
        Verdict::KnownBug {
            reason: "it waits".to_owned(),
            findings: Vec::new(),
        },
    ];
    let wrong = [Verdict::Pass, fail(), no_verdict(), skip()];
    let all = matrix(vec![
        run("seed", &pass),
        untested(run("mainline", &wrong)),
        broken(),
    ]);
    insta::assert_snapshot!(printed(&all, SimpleFormat::Human), @r###"
    tool     mn-inject 0.1.0

    kernel  source              base      config  verdict     passed  failed  no verdict  skipped  known bugs  seconds  report
    7.3     7.3.4-1             seed      core    PASS        2       0       0           0        1           3.2      logs/seed/report.json
    7.3     7.3.4-1 (untested)  mainline  core    FAIL        1       1       1           1        0           3.2      logs/mainline/report.json
    7.2     -                   seed      debug   NO VERDICT  -       -       -           -        -           -        -

    == 7.3 mainline core
    FAIL  munmap-1 (1 calls, 1 made to fail, 1 messages matched)
          did not fire when it should: the pr_warn is missing
            due:  <4>[T80] mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject] callback failure not allowed  (call 3)
          fired when it should not: no WARN was due
            seen: <4>[T80] WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: \u{1b}[31m/80  (record 514)
    ????  munmap-2 (1 calls, 1 made to fail, 1 messages matched)
          no verdict: kernel log records were lost: the marker did not come in time
    SKIP  munmap-3: needs a disposable machine

    console: logs/console.log
    report: logs/mainline/report.json
    FAIL: 1 of 4 scenarios passed, 1 failed, 1 without a verdict, 1 skipped (3.2 s)

    == 7.2 seed debug
    no verdict on the run: [kernel] `make` failed (exit status: 2)
        cc1: \u{1b}[31merror

    FAIL: 1 of 3 runs passed, 1 failed, 1 without a verdict, 0 skipped
    "###);
}

#[test]
fn all_runs_decide_on_the_exit_code() {
    let pass = || run("seed", &[Verdict::Pass, skip()]);
    let failed = || run("seed", &[Verdict::Pass, fail()]);
    let unknown = || run("seed", &[Verdict::Pass, no_verdict()]);
    let skipped = || run("seed", &[skip()]);
    let mut in_trouble = failed();
    if let Some(report) = &mut in_trouble.report {
        report.trouble.push("the guest hung".to_owned());
    }
    for (runs, exit) in [
        (vec![pass(), pass()], Exit::Pass),
        (vec![skipped(), pass()], Exit::Pass),
        (vec![skipped(), skipped()], Exit::Skip),
        (vec![], Exit::Skip),
        (vec![pass(), unknown()], Exit::NoVerdict),
        (vec![pass(), broken(), skipped()], Exit::NoVerdict),
        (vec![pass(), in_trouble], Exit::NoVerdict),
        (vec![broken(), unknown(), failed(), pass()], Exit::Fail),
    ] {
        let all = matrix(runs);
        assert_eq!(all.exit(), exit, "{}", printed(&all, SimpleFormat::Human));
    }
}

#[test]
fn json_is_documented_and_read_as_it_was_written() {
    let doc = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md");
    let doc = std::fs::read_to_string(doc).unwrap();
    let all = matrix(vec![run("seed", &[Verdict::Pass]), broken()]);
    let text = printed(&all, SimpleFormat::Json);
    assert_eq!(serde_json::from_str::<MatrixReport>(&text).unwrap(), all);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (_, section) = doc.split_once("report of `vm matrix`").unwrap();
    let top = value.as_object().unwrap().keys();
    let run = value["runs"][0].as_object().unwrap().keys();
    for key in top.chain(run) {
        assert!(section.contains(&format!("`{key}`")), "{key} is missing");
    }
    assert!(section.starts_with(&format!(", version {SCHEMA}\n")));
}
