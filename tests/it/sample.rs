// SPDX-License-Identifier: GPL-2.0

//! Sample reports.

use mn_inject::model::{
    Arming, AttachedNotifier, Call, Complaint, Context, Count, Counters, End, Expectation, Finding,
    FindingKind, Initiator, KernelInfo, Matched, Notifier, NotifierEvent, NotifierKind,
    Observation, Pages, PagesFate, Recognised, Remains, Report, SCHEMA, ScenarioResult, UnitTest,
    Verdict, VmInfo,
};

pub fn observation(name: &str) -> Observation {
    Observation {
        scenario: name.into(),
        notifiers: vec![AttachedNotifier {
            notifier: Notifier {
                kind: NotifierKind::Plain,
                arming: Arming::Fail(-11),
                is_elsewhere: false,
            },
            counters: Counters {
                calls: 1,
                injected: 1,
                ends: 0,
                overwritten: 0,
            },
        }],
        expectation: Expectation {
            event: NotifierEvent::Unmap,
            last_event: None,
            context: Context::Blockable,
            calls: Count::Exactly(1),
            extent: None,
            outcome: 0,
            reaper: None,
            pages: Some(PagesFate::Gone),
            is_atomic: false,
            said: Vec::new(),
            judges_symptoms: false,
            end: End::There,
        },
        pid: 80,
        comm: "target".into(),
        initiator: Initiator::Thread(80),
        watched: (0x7f00_0000_0000, 0x7f00_0000_4000),
        calls: vec![Call {
            notifier: 0,
            seq: 3,
            time_ns: 1_000_000,
            event: NotifierEvent::Unmap,
            start: 0x7f00_0000_0000,
            end: 0x7f00_0000_4000,
            context: Context::Blockable,
            tid: 80,
            comm: "target".into(),
            injected: true,
            returned: -11,
            cur_seq: 0,
            owner: Some(false),
            callers: vec!["unmap_vmas".into()],
        }],
        later: Vec::new(),
        pages: Some(Pages {
            gone: 4,
            ..Pages::default()
        }),
        steps: Vec::new(),
        remains: Remains {
            mm: Some((0, 1)),
            ..Remains::default()
        },
        actors: vec![70],
        outcome: 0,
        trouble: None,
        millis: 4,
    }
}

const SYMBOL: &str = "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";

pub fn scenario(name: &str, verdict: Verdict) -> ScenarioResult {
    let is_skipped = matches!(verdict, Verdict::Skip { .. });
    ScenarioResult {
        trigger: trigger(name),
        setting: setting(name),
        rules: vec![1],
        name: name.into(),
        verdict,
        observation: (!is_skipped).then(|| observation(name)),
        matched: if is_skipped {
            Vec::new()
        } else {
            vec![Matched {
                call_seq: Some(3),
                kmsg_seq: 512,
                level: 6,
                text: format!("{SYMBOL} callback failed with -11 in blockable context."),
            }]
        },
        foreign: Vec::new(),
        bug_gone: None,
    }
}

pub fn fail() -> Verdict {
    let due = format!("<4>[T80] {SYMBOL} callback failure not allowed");
    Verdict::Fail {
        findings: vec![
            Finding {
                due: Some(due),
                call_seq: Some(3),
                ..Finding::new(FindingKind::DidNotFire, "the pr_warn is missing".into())
            },
            Finding {
                seen: Some(
                    "<4>[T80] WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: \x1b[31m/80"
                        .into(),
                ),
                kmsg_seq: Some(514),
                ..Finding::new(FindingKind::FiredWhenItShouldNot, "no WARN was due".into())
            },
        ],
    }
}

pub fn no_verdict() -> Verdict {
    Verdict::NoVerdict {
        reasons: vec!["kernel log records were lost: the marker did not come in time".into()],
    }
}

pub fn skip() -> Verdict {
    Verdict::Skip {
        reason: "needs a disposable machine".into(),
    }
}

/// Report of a complete run with these verdicts.
pub fn report(verdicts: &[Verdict]) -> Report {
    Report {
        schema: SCHEMA,
        tool: "mn-inject 0.1.0".into(),
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
            commit: None,
            config: "core".into(),
            config_add: Vec::new(),
            patches: vec!["seed.patch (sha256:0123)".into()],
            accelerator: "tcg".into(),
            accelerator_reason: "/dev/kvm did not boot in time".into(),
            stages: vec![("boot".into(), 900)],
            logs: vec![("console".into(), "logs/console.log".into())],
        }),
        form: Recognised::Seed,
        expect: None,
        planned: verdicts.len(),
        form_verdict: Verdict::Pass,
        scenarios: verdicts
            .iter()
            .enumerate()
            .map(|(index, verdict)| scenario(&format!("munmap-{index}"), verdict.clone()))
            .collect(),
        unit_tests: Vec::new(),
        coverage: None,
        complaints: Vec::new(),
        trouble: Vec::new(),
        millis: 3210,
    }
}

/// Report of a run on a kernel with unit tests, which complained.
pub fn checked() -> Report {
    let mut report = report(&[Verdict::Pass]);
    let failed = Verdict::Fail {
        findings: vec![Finding::new(
            FindingKind::UnitTest,
            "decimal: ASSERTION FAILED at module/text.rs:7".into(),
        )],
    };
    let test = |case: &str, verdict: Verdict| UnitTest {
        name: format!("kunit-mmu_notifier_inject_text-{case}"),
        verdict,
    };
    report.unit_tests = vec![
        test("hexadecimal", Verdict::Pass),
        test("decimal", failed),
        test("words", no_verdict()),
    ];
    report.planned += report.unit_tests.len();
    report.complaints = vec![Complaint {
        what: "KASAN".into(),
        kmsg_seq: Some(520),
        lines: vec![
            "BUG: KASAN: slab-use-after-free in x+0x1/0x2".into(),
            "Write of size 1 at addr 1 by task \x1b[31m/1".into(),
        ],
    }];
    report.trouble = report.complaints.iter().map(Complaint::to_string).collect();
    report
}

/// Report with one of each verdict, except for a known bug.
pub fn mixed() -> Report {
    let mut report = report(&[Verdict::Pass, fail(), no_verdict(), skip()]);
    report.scenarios[0].foreign =
        vec!["<4>[T9] gpu_mn+0x0/0x10 [gpu] callback failure not allowed".into()];
    report
}

/// Trigger of the scenario with this name.
fn trigger(name: &str) -> String {
    let last = name.rfind('-').unwrap_or(name.len());
    name[..last].to_owned()
}

/// Setting of the injector in the scenario with this name; a case of the contract has none.
fn setting(name: &str) -> Option<String> {
    let is_case = name.starts_with('r') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let (_, setting) = name.rsplit_once('-')?;
    (!is_case).then(|| setting.to_owned())
}
