// SPDX-License-Identifier: GPL-2.0

//! Reports in all formats, and their exit code.

use std::io::{self, Write};

use crate::sample::{checked, fail, mixed, no_verdict, report, skip};
use mn_inject::model::exit::Exit;
use mn_inject::model::{
    Arming, Context, Coverage, Finding, FindingKind, Form, Injection, NotifierKind, Recognised,
    Report, SiteCoverage, Verdict,
};
use mn_inject::report::format::Format;
use mn_inject::report::print;

fn printed(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    print(report, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn human_mixed() {
    insta::assert_snapshot!(printed(&mixed(), Format::Human), @r###"
    tool     mn-inject 0.1.0
    kernel   7.3.4 x86_64 #1 SMP
    source   linux-source-7.3 7.3.4-1, seed, config core
    patch    seed.patch (sha256:0123)
    vm       tcg (/dev/kvm did not boot in time)
    check    seed (info + pr_warn)

                 0     1     2     3
    kernel-form  PASS
    munmap       PASS  FAIL  ????  SKIP

    PASS  munmap-0 (1 calls, 1 made to fail, 1 messages matched)
          of another driver: <4>[T9] gpu_mn+0x0/0x10 [gpu] callback failure not allowed
    FAIL  munmap-1 (1 calls, 1 made to fail, 1 messages matched)
          did not fire when it should: the pr_warn is missing
            due:  <4>[T80] mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject] callback failure not allowed  (call 3)
          fired when it should not: no WARN was due
            seen: <4>[T80] WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: \u{1b}[31m/80  (record 514)
    ????  munmap-2 (1 calls, 1 made to fail, 1 messages matched)
          no verdict: kernel log records were lost: the marker did not come in time
    SKIP  munmap-3: needs a disposable machine

    console: logs/console.log
    FAIL: 1 of 4 scenarios passed, 1 failed, 1 without a verdict, 1 skipped (3.2 s)
    "###);
}

#[test]
fn an_untested_source_is_marked() {
    let mut report = mixed();
    report.vm.as_mut().unwrap().tested = false;
    let text = printed(&report, Format::Human);
    let marked = "source   linux-source-7.3 7.3.4-1 (untested), seed, config core\n";
    assert!(text.contains(marked), "{text}");
}

#[test]
fn human_in_trouble() {
    insta::assert_snapshot!(printed(&in_trouble(), Format::Human), @r###"
    tool     mn-inject 0.1.0
    kernel   never answered
    source   linux-source-7.3 7.3.4-1, seed, config core
    patch    seed.patch (sha256:0123)
    vm       tcg (/dev/kvm did not boot in time)
    check    seed (info + pr_warn), mainline demanded

                 0
    kernel-form  PASS
    munmap       PASS

    no verdict on the run: the guest panicked: Kernel panic - not syncing: VFS: x\nsecond
    no verdict on the run: 2 scenarios were planned, and there are 1 results
    console: logs/console.log
    NO VERDICT: 1 of 2 scenarios passed, 0 failed, 0 without a verdict, 0 skipped, 1 never ran (3.2 s)
    "###);
}

#[test]
fn ktap_mixed() {
    insta::assert_snapshot!(printed(&mixed(), Format::Ktap), @r###"
    KTAP version 1
    1..5
    # form: seed (info + pr_warn)
    ok 1 kernel-form
    # of another driver: <4>[T9] gpu_mn+0x0/0x10 [gpu] callback failure not allowed
    ok 2 munmap-0
    # did not fire when it should: the pr_warn is missing
    #   due:  <4>[T80] mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject] callback failure not allowed  (call 3)
    # fired when it should not: no WARN was due
    #   seen: <4>[T80] WARNING: mm/mmu_notifier.c:534 at x+0x1/0x2, CPU#0: \u{1b}[31m/80  (record 514)
    not ok 3 munmap-1
    # no verdict: kernel log records were lost: the marker did not come in time
    not ok 4 munmap-2 # ERROR no verdict
    ok 5 munmap-3 # SKIP needs a disposable machine
    # Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:1
    "###);
}

#[test]
fn ktap_in_trouble() {
    insta::assert_snapshot!(printed(&in_trouble(), Format::Ktap), @r###"
    KTAP version 1
    1..3
    # form: seed (info + pr_warn)
    # no verdict: the guest panicked: Kernel_panic_-_not_syncing:VFS: x\nsecond
    # no verdict: 2 scenarios were planned, and there are 1 results
    not ok 1 kernel-form # ERROR no verdict
    ok 2 munmap-0
    # Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:2
    "###);
}

#[test]
fn human_checked() {
    insta::assert_snapshot!(printed(&checked(), Format::Human), @r###"
    tool     mn-inject 0.1.0
    kernel   7.3.4 x86_64 #1 SMP
    source   linux-source-7.3 7.3.4-1, seed, config core
    patch    seed.patch (sha256:0123)
    vm       tcg (/dev/kvm did not boot in time)
    check    seed (info + pr_warn)

                 0
    kernel-form  PASS
    munmap       PASS

    PASS  kunit-mmu_notifier_inject_text-hexadecimal
    FAIL  kunit-mmu_notifier_inject_text-decimal
          unit test failed: decimal: ASSERTION FAILED at module/text.rs:7
    ????  kunit-mmu_notifier_inject_text-words
          no verdict: kernel log records were lost: the marker did not come in time

    no verdict on the run: the kernel complained (KASAN): BUG: KASAN: slab-use-after-free in x+0x1/0x2
    KASAN:
          BUG: KASAN: slab-use-after-free in x+0x1/0x2
          Write of size 1 at addr 1 by task \u{1b}[31m/1
    console: logs/console.log
    NO VERDICT: 1 of 1 scenarios passed, 0 failed, 0 without a verdict, 0 skipped; 1 of 3 unit tests passed (3.2 s)
    "###);
}

#[test]
fn ktap_checked() {
    insta::assert_snapshot!(printed(&checked(), Format::Ktap), @r###"
    KTAP version 1
    1..5
    # form: seed (info + pr_warn)
    # no verdict: the kernel complained (KASAN): BUG: KASAN: slab-use-after-free in x+0x1/0x2
    not ok 1 kernel-form # ERROR no verdict
    ok 2 munmap-0
    ok 3 kunit-mmu_notifier_inject_text-hexadecimal
    # unit test failed: decimal: ASSERTION FAILED at module/text.rs:7
    not ok 4 kunit-mmu_notifier_inject_text-decimal
    # no verdict: kernel log records were lost: the marker did not come in time
    not ok 5 kunit-mmu_notifier_inject_text-words # ERROR no verdict
    # Totals: pass:2 fail:1 xfail:0 xpass:0 skip:0 error:2
    "###);
}

/// A change of this snapshot is a change of the format: raise SCHEMA and describe it in
/// docs/report.md.
#[test]
fn json_is_the_documented_schema() {
    insta::assert_snapshot!(printed(&mixed(), Format::Json));
}

#[test]
fn the_coverage_is_printed() {
    let mut report = report(&[Verdict::Pass]);
    let site = |function: &str, scenarios: &[&str]| SiteCoverage {
        function: function.to_owned(),
        calls: 1,
        places: vec![format!("mm/memory.c:{}", function.len())],
        scenarios: scenarios.iter().map(|&name| name.to_owned()).collect(),
        kinds: vec![NotifierKind::Plain],
        contexts: vec![Context::Blockable],
        has_failed: true,
        why_not: None,
    };
    report.coverage = Some(Coverage {
        sites: vec![site("unmap_vmas", &["munmap-0"]), site("wp_page_copy", &[])],
        reached: 1,
    });
    let line = "\ncoverage: 1 of 2 functions that call notifiers\nPASS: ";
    assert!(printed(&report, Format::Human).contains(line));
    let json = printed(&report, Format::Json);
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    let docs = include_str!("../../docs/report.md");
    let section = docs.split("### `coverage`").nth(1).unwrap();
    let section = section.split("###").next().unwrap();
    let coverage = serde_json::to_value(&report.coverage).unwrap();
    let fields = [&coverage, &coverage["sites"][0]].map(|value| value.as_object().unwrap());
    for field in fields.into_iter().flat_map(serde_json::Map::keys) {
        assert!(section.contains(&format!("`{field}`")), "{field}");
    }
}

/// Report of a run whose guest panicked after the first scenario.
fn in_trouble() -> Report {
    let mut report = report(&[Verdict::Pass, Verdict::Pass]);
    report.kernel = None;
    report.expect = Some(Form::Mainline);
    report.scenarios.truncate(1);
    report.trouble = vec!["the guest panicked: Kernel panic - not syncing: VFS: x\nsecond".into()];
    report
}

#[test]
fn json_is_read_as_it_was_written_and_unknown_fields_are_errors() {
    for report in [mixed(), checked(), in_trouble(), report(&[])] {
        let text = printed(&report, Format::Json);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
    // An unknown field is an error at every level.
    let mut all = mixed();
    all.unit_tests = checked().unit_tests;
    all.complaints = checked().complaints;
    let value: serde_json::Value = serde_json::from_str(&printed(&all, Format::Json)).unwrap();
    for pointer in [
        "",
        "/kernel",
        "/vm",
        "/scenarios/0",
        "/scenarios/0/observation",
        "/scenarios/0/observation/calls/0",
        "/scenarios/0/observation/expectation",
        "/scenarios/0/matched/0",
        "/scenarios/1/verdict/findings/0",
        "/unit_tests/0",
        "/complaints/0",
    ] {
        let mut value = value.clone();
        let object = value.pointer_mut(pointer).and_then(|v| v.as_object_mut());
        object.unwrap().insert("surprise".into(), 1.into());
        assert!(
            serde_json::from_value::<Report>(value).is_err(),
            "{pointer}"
        );
    }
}

#[test]
fn every_field_is_documented() {
    fn keys(value: &serde_json::Value, all: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    all.push(key.clone());
                    keys(value, all);
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|v| keys(v, all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for report in [mixed(), checked()] {
        let value = serde_json::from_str(&printed(&report, Format::Json)).unwrap();
        keys(&value, &mut all);
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md"));
    let text = text.unwrap();
    for key in all {
        assert!(
            text.contains(&format!("`{key}`")),
            "{key} is not in docs/report.md"
        );
    }
    assert!(text.contains(&format!("version {}", mn_inject::model::SCHEMA)));
}

#[test]
fn every_arming_is_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md"));
    let text = text.unwrap();
    let row = text
        .lines()
        .find(|line| line.starts_with("| `notifiers` |"));
    let row = row.expect("no row for the notifiers");
    let mut armings = vec![Arming::Fail(-11), Arming::Filtered(-11), Arming::Unarmed];
    for injection in [
        Injection::Sleep,
        Injection::Delay,
        Injection::Allocate,
        Injection::Lock,
        Injection::Remove,
    ] {
        armings.extend([
            Arming::AtStart(injection),
            Arming::AtEnd(injection),
            Arming::AtRelease(injection),
        ]);
    }
    for arming in armings {
        let value = serde_json::to_value(arming).unwrap();
        for word in [&value["mode"], &value["value"]] {
            if let Some(word) = word.as_str() {
                assert!(row.contains(&format!("`{word}`")), "{arming:?}: {word}");
            }
        }
    }
}

fn form_fail() -> Verdict {
    Verdict::Fail {
        findings: vec![Finding {
            seen: Some(Recognised::InfoOnly.to_string()),
            ..Finding::new(FindingKind::Form, "the kernel has no check".into())
        }],
    }
}

#[test]
fn exit_codes() {
    let pass = Verdict::Pass;
    let table: [(Vec<Verdict>, Verdict, Exit); 14] = [
        (vec![pass.clone()], pass.clone(), Exit::Pass),
        (vec![pass.clone(), skip()], pass.clone(), Exit::Pass),
        (vec![pass.clone()], skip(), Exit::Pass),
        (vec![skip(), skip()], skip(), Exit::Skip),
        (vec![skip()], pass.clone(), Exit::Skip),
        (vec![], skip(), Exit::Skip),
        (vec![pass.clone(), fail()], pass.clone(), Exit::Fail),
        (vec![fail(), no_verdict()], pass.clone(), Exit::Fail),
        (vec![fail(), skip()], skip(), Exit::Fail),
        (vec![pass.clone()], form_fail(), Exit::Fail),
        (vec![skip()], form_fail(), Exit::Fail),
        (
            vec![pass.clone(), no_verdict()],
            pass.clone(),
            Exit::NoVerdict,
        ),
        (vec![skip(), no_verdict()], skip(), Exit::NoVerdict),
        (vec![pass.clone()], no_verdict(), Exit::NoVerdict),
    ];
    for (verdicts, form, code) in table {
        let mut report = report(&verdicts);
        report.form_verdict = form;
        assert_eq!(report.exit(), code, "{report:?}");

        // Trouble outranks everything.
        report.trouble.push("the guest hung".into());
        assert_eq!(report.exit(), Exit::NoVerdict);
    }
}

#[test]
fn unit_tests_and_complaints_decide_on_the_exit_code() {
    let with = |change: &dyn Fn(&mut Report)| {
        let mut report = checked();
        report.trouble.clear();
        report.complaints.clear();
        report.unit_tests.truncate(1);
        report.planned = 2;
        change(&mut report);
        report.exit()
    };
    assert_eq!(with(&|_| {}), Exit::Pass);
    let unit_test = |verdict: Verdict| {
        with(&|report: &mut Report| report.unit_tests[0].verdict = verdict.clone())
    };
    assert_eq!(unit_test(fail()), Exit::Fail);
    assert_eq!(unit_test(no_verdict()), Exit::NoVerdict);
    assert_eq!(unit_test(skip()), Exit::Pass);
    // A unit test proves nothing about the kernel.
    assert_eq!(
        with(&|report| report.scenarios[0].verdict = skip()),
        Exit::Skip
    );
    assert_eq!(with(&|report| report.unit_tests.clear()), Exit::NoVerdict);
    assert_eq!(checked().exit(), Exit::NoVerdict);
}

#[test]
fn an_incomplete_run_has_no_verdict() {
    let whole = report(&[Verdict::Pass, Verdict::Pass]);
    let damaged = |change: &dyn Fn(&mut Report)| {
        let mut report = whole.clone();
        change(&mut report);
        report.exit()
    };
    assert_eq!(damaged(&|_| {}), Exit::Pass);
    assert_eq!(damaged(&|report| report.planned = 3), Exit::NoVerdict);
    assert_eq!(damaged(&|report| report.planned = 1), Exit::NoVerdict);
    assert_eq!(damaged(&|report| report.scenarios.clear()), Exit::NoVerdict);
    assert_eq!(
        damaged(&|report| report.scenarios[1] = report.scenarios[0].clone()),
        Exit::NoVerdict
    );
}

#[test]
fn a_closed_output_is_an_error_and_no_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Human, Format::Ktap, Format::Json] {
        let error = print(&mixed(), format, &mut Closed).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
