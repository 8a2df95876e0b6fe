// SPDX-License-Identifier: GPL-2.0

//! Tests of the report of an exercise.

use mn_inject::model::exit::Exit;
use mn_inject::model::{KernelInfo, VmInfo};
use mn_inject::report::format::SimpleFormat;

use crate::bench::figure::{Figure, Ratio};
use crate::exercise::{CaseResult, CaseVerdict, Exercise};
use crate::report::{ExerciseReport, SCHEMA};
use crate::task::{
    BenchOptions, CasesOptions, FailNthOptions, FloodOptions, FuzzOptions, HostileOptions,
    StressOptions, Task,
};

fn printed(report: &ExerciseReport, format: SimpleFormat) -> String {
    let mut out = Vec::new();
    report.print(format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn report(findings: &[&str]) -> ExerciseReport {
    ExerciseReport {
        schema: SCHEMA,
        tool: "mn-selftest 0.1.0".into(),
        task: Task::Stress(StressOptions {
            seconds: 60,
            seed: 7,
            reloads: None,
        }),
        again: "mn-selftest vm stress --seed 7".into(),
        kernel: Some(KernelInfo {
            release: "7.3.4".into(),
            version: "#1 SMP".into(),
            machine: "x86_64".into(),
            cmdline: "quiet".into(),
        }),
        vm: Some(VmInfo {
            source: "linux-source-7.3 7.3.4-1".into(),
            tested: true,
            base: "seed".into(),
            config: "debug".into(),
            accelerator: "tcg".into(),
            logs: vec![("console".into(), "logs/console.log".into())],
            ..VmInfo::default()
        }),
        exercise: Exercise {
            operations: vec![("attach".into(), 1200), ("load and unload".into(), 3)],
            cases: Vec::new(),
            figures: Vec::new(),
            findings: findings.iter().map(|text| (*text).to_owned()).collect(),
            trouble: Vec::new(),
            millis: 61_240,
        },
    }
}

/// One case of each verdict.
fn cases() -> Vec<CaseResult> {
    let case = |name: &str, verdict, why: &[&str]| CaseResult {
        name: name.to_owned(),
        verdict,
        why: why.iter().map(|text| (*text).to_owned()).collect(),
    };
    vec![
        case("attach-zombie", CaseVerdict::Ok, &[]),
        case("log-small", CaseVerdict::Skipped, &["no file"]),
        case(
            "zap",
            CaseVerdict::Finding,
            &[
                "a byte: expected 1, got 2",
                "the kernel: BUG: x\n line \x1b[31m",
            ],
        ),
        case("read-on", CaseVerdict::NoVerdict, &["cannot fork"]),
    ]
}

fn figures() -> Vec<Figure> {
    vec![
        Figure {
            name: "target, disarmed".into(),
            value: 4010,
            unit: "instructions".into(),
            ratio: Some(Ratio {
                to: "no notifier".into(),
                median: 1031,
                least: 1030,
                greatest: 1040,
            }),
        },
        Figure {
            name: "memory".into(),
            value: 7,
            unit: "bytes".into(),
            ratio: None,
        },
    ]
}

#[test]
fn human_with_figures() {
    let mut report = report(&[]);
    report.exercise.operations.truncate(1);
    report.exercise.figures = figures();
    let text = printed(&report, SimpleFormat::Human);
    let (_, body) = text.split_once("\n\n").unwrap();
    insta::assert_snapshot!(body, @r###"
    target, disarmed        4010 instructions, 1.031 (1.030 to 1.040) of no notifier
    memory                     7 bytes

    attach        1200

    PASS: stress, 1200 operations, 0 findings (61.2 s)
    "###);
}

#[test]
fn human_without_a_finding() {
    insta::assert_snapshot!(printed(&report(&[]), SimpleFormat::Human), @r###"
    tool     mn-selftest 0.1.0
    kernel   7.3.4 x86_64 #1 SMP
    source   linux-source-7.3 7.3.4-1, seed, config debug
    vm       tcg
    seed     7
    again    mn-selftest vm stress --seed 7

    attach                 1200
    load and unload           3

    PASS: stress, 1203 operations, 0 findings (61.2 s)
    "###);
}

#[test]
fn human_with_a_finding() {
    let mut report = report(&["the kernel complained (BUG): BUG: x\n line \x1b[31m"]);
    report.exercise.trouble = vec!["cut short".into()];
    assert_eq!(report.exit(), Exit::Fail);
    insta::assert_snapshot!(printed(&report, SimpleFormat::Human), @r###"
    tool     mn-selftest 0.1.0
    kernel   7.3.4 x86_64 #1 SMP
    source   linux-source-7.3 7.3.4-1, seed, config debug
    vm       tcg
    seed     7
    again    mn-selftest vm stress --seed 7

    attach                 1200
    load and unload           3

    FAIL  the kernel complained (BUG): BUG: x
           line \u{1b}[31m
    no verdict on the stress: cut short
    console: logs/console.log
    FAIL: stress, 1203 operations, 1 findings (61.2 s)
    "###);
}

#[test]
fn the_report_is_documented_and_can_be_read_back() {
    let doc = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md");
    let doc = std::fs::read_to_string(doc).unwrap();
    let mut report = report(&["a"]);
    report.exercise.cases = cases();
    report.exercise.figures = figures();
    for task in [
        report.task.clone(),
        Task::Cases(CasesOptions { only: Vec::new() }),
        Task::Fuzz(FuzzOptions { writes: 9, seed: 1 }),
        Task::Hostile(HostileOptions {
            condition: vec!["load".to_owned()],
            only: Vec::new(),
            kills: 3,
            seed: 1,
        }),
        Task::Flood(FloodOptions {
            failures: 7,
            expect: None,
        }),
        Task::Bench(BenchOptions {
            rounds: 5,
            null: None,
            instruction_ns: Some(32),
        }),
        Task::FailNth(FailNthOptions {
            only: vec!["load".to_owned()],
        }),
    ] {
        report.task = task;
        let text = printed(&report, SimpleFormat::Json);
        assert_eq!(
            serde_json::from_str::<ExerciseReport>(&text).unwrap(),
            report
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (name, options) = value["task"].as_object().unwrap().iter().next().unwrap();
        let top = value.as_object().unwrap().keys();
        let exercise = value["exercise"].as_object().unwrap().keys();
        let options = options.as_object().unwrap().keys();
        let case = value["exercise"]["cases"][0].as_object().unwrap().keys();
        let figure = value["exercise"]["figures"][0].as_object().unwrap();
        let ratio = figure["ratio"].as_object().unwrap().keys();
        let inner = case.chain(figure.keys()).chain(ratio);
        for key in top
            .chain(exercise)
            .chain(options)
            .chain(inner)
            .chain([name])
        {
            assert!(doc.contains(&format!("`{key}`")), "{key} is not documented");
        }
    }
    for verdict in ["ok", "finding", "skipped", "no_verdict"] {
        assert!(printed(&report, SimpleFormat::Json).contains(&format!("\"{verdict}\"")));
        assert!(doc.contains(&format!("`{verdict}`")), "{verdict}");
    }
    assert!(doc.contains(&format!("`fail-nth`, version {SCHEMA}")));
}

fn exit(operations: &[u64], findings: &[&str], trouble: &[&str]) -> Exit {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ExerciseReport {
        schema: SCHEMA,
        tool: String::new(),
        task: Task::Fuzz(FuzzOptions { writes: 1, seed: 1 }),
        again: String::new(),
        kernel: None,
        vm: None,
        exercise: Exercise {
            operations: operations
                .iter()
                .map(|count| ("write".to_owned(), *count))
                .collect(),
            cases: Vec::new(),
            figures: Vec::new(),
            findings: texts(findings),
            trouble: texts(trouble),
            millis: 1,
        },
    }
    .exit()
}

#[test]
fn only_operations_without_a_finding_pass() {
    assert_eq!(exit(&[0, 1], &[], &[]), Exit::Pass);
    assert_eq!(exit(&[], &[], &[]), Exit::NoVerdict);
    assert_eq!(exit(&[0, 0], &[], &[]), Exit::NoVerdict);
    assert_eq!(exit(&[1], &[], &["cut short"]), Exit::NoVerdict);
    assert_eq!(exit(&[1], &["leak"], &[]), Exit::Fail);
    // A finding counts even if the exercise could not be completed.
    assert_eq!(exit(&[0], &["leak"], &["cut short"]), Exit::Fail);
}

#[test]
fn human_with_cases() {
    let mut report = report(&[]);
    report.task = Task::Cases(CasesOptions { only: Vec::new() });
    report.again = "mn-selftest vm cases".into();
    report.vm = None;
    report.exercise.operations.clear();
    report.exercise.cases = cases();
    insta::assert_snapshot!(printed(&report, SimpleFormat::Human), @r###"
    tool     mn-selftest 0.1.0
    kernel   7.3.4 x86_64 #1 SMP
    again    mn-selftest vm cases

    ok          attach-zombie
    skip        log-small
                no file
    FAIL        zap
                a byte: expected 1, got 2
                the kernel: BUG: x
                 line \u{1b}[31m
    no verdict  read-on
                cannot fork

    FAIL: cases, 4 cases (1 skipped), 1 findings (61.2 s)
    "###);
}

#[test]
fn the_worst_case_decides() {
    let exit_of = |verdicts: &[CaseVerdict]| {
        let mut report = report(&[]);
        report.exercise.operations.clear();
        report.exercise.cases = cases();
        report
            .exercise
            .cases
            .retain(|case| verdicts.contains(&case.verdict));
        report.exit()
    };
    let (ok, skipped) = (CaseVerdict::Ok, CaseVerdict::Skipped);
    let (finding, no_verdict) = (CaseVerdict::Finding, CaseVerdict::NoVerdict);
    assert_eq!(exit_of(&[ok, skipped]), Exit::Pass);
    assert_eq!(exit_of(&[skipped]), Exit::Skip);
    assert_eq!(exit_of(&[ok, skipped, no_verdict]), Exit::NoVerdict);
    assert_eq!(exit_of(&[ok, skipped, no_verdict, finding]), Exit::Fail);
}
