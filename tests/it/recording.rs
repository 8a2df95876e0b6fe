// SPDX-License-Identifier: GPL-2.0

//! Report of a recorded run: the results of all boots, and what is wrong with them.

use crate::history::*;
use mn_inject::model::exit::Exit;
use mn_inject::model::{
    Aftermath, Arming, Boot, Complaint, FindingKind, Injection, KernelInfo, LOCKDEP_OFF, Ownership,
    Part, Planned, Recognised, Recording, Report, RunEvent, SCHEMA, ScenarioResult, Site, UnitTest,
    Verdict, Window,
};
use mn_inject::oracle::run::report;

fn planned(name: &str) -> Planned {
    Planned {
        name: name.to_owned(),
        trigger: format!("trigger of {name}"),
        setting: Some("eagain".to_owned()),
        rules: vec![1],
        skip: None,
    }
}

/// Window of a munmap whose notifier fails, on a kernel with this form of the check.
fn window(name: &str, kernel: Kernel) -> Window {
    let plans = [one(Trigger::Unmap(Arming::Fail(EAGAIN)), 1)];
    let mut window = history(Style::of(kernel), &plans, &[]).windows.remove(0);
    window.observations[0].scenario = name.to_owned();
    window
}

fn boot(part: Part, names: &[&str], kernel: Kernel) -> Boot {
    Boot {
        kernel: Some(KernelInfo::default()),
        machine: Ownership::Ours,
        plan: names.iter().copied().map(planned).collect(),
        started: names.len(),
        windows: names.iter().map(|name| window(name, kernel)).collect(),
        is_checking: true,
        aftermath: Some(Aftermath::default()),
        is_whole: true,
        ..Boot::new(part)
    }
}

fn alone(name: &str, kernel: Kernel) -> Boot {
    boot(Part::Alone(name.to_owned()), &[name], kernel)
}

fn recording(boots: Vec<Boot>) -> Recording {
    Recording {
        run: RunEvent {
            schema: SCHEMA,
            tool: "test".to_owned(),
            expect: None,
            scenarios: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            parts: boots.iter().map(|boot| boot.part.clone()).collect(),
        },
        boots,
        vm: None,
        millis: Some(5),
        sites: Vec::new(),
    }
}

fn boots() -> Vec<Boot> {
    let mut together = boot(Part::Together, &["a", "c"], Kernel::Seed);
    together.unit_tests.push(UnitTest {
        name: "kunit-x-y".to_owned(),
        verdict: Verdict::Pass,
    });
    vec![together, alone("d", Kernel::Seed), alone("b", Kernel::Seed)]
}

fn judged(boots: Vec<Boot>) -> Report {
    report(&recording(boots), None)
}

#[test]
fn the_results_of_all_boots_are_in_the_order_of_the_table() {
    let report = judged(boots());
    let names: Vec<_> = report.scenarios.iter().map(|result| &result.name).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!((report.planned, report.unit_tests.len()), (5, 1));
    assert_eq!(
        (report.form, &report.form_verdict),
        (Recognised::Seed, &Verdict::Pass)
    );
    assert_eq!(report.trouble, [""; 0]);
    assert_eq!(report.scenarios[1].trigger, "trigger of b");
    assert_eq!(report.exit(), Exit::Pass);
}

#[test]
fn a_lost_boot_is_no_pass() {
    for at in 0..boots().len() {
        let mut fewer = boots();
        fewer.remove(at);
        assert_eq!(judged(fewer).exit(), Exit::NoVerdict, "{at}");

        let mut empty = boots();
        empty[at] = Boot::new(empty[at].part.clone());
        assert_eq!(judged(empty).exit(), Exit::NoVerdict, "{at}");

        let mut cut = boots();
        cut[at].is_whole = false;
        assert_eq!(judged(cut).exit(), Exit::NoVerdict, "{at}");

        let mut failed = boots();
        failed[at].windows[0].records.remove(0);
        assert_eq!(judged(failed).exit(), Exit::Fail, "{at}");
    }
    let mut unfinished = recording(boots());
    unfinished.millis = None;
    assert_eq!(report(&unfinished, None).exit(), Exit::NoVerdict);
}

#[test]
fn trouble_of_a_boot_has_the_name_of_the_boot() {
    let mut boots = boots();
    boots[0].lost.push("the guest hung".to_owned());
    boots[0].is_whole = false;
    boots[1].aftermath = Some(Aftermath {
        complaints: vec![Complaint {
            what: "KASAN".to_owned(),
            kmsg_seq: Some(3),
            lines: vec!["BUG: KASAN: x".to_owned()],
        }],
        doubts: vec!["the module could not be unloaded".to_owned()],
    });
    let report = judged(boots);
    assert_eq!(
        report.trouble,
        [
            "together: the guest hung",
            "d: the kernel complained (KASAN): BUG: KASAN: x",
            "d: the module could not be unloaded",
        ]
    );
    assert_eq!(report.complaints[0].what, "d: KASAN");
    assert_eq!(
        report.form_verdict,
        Verdict::NoVerdict {
            reasons: vec!["the run did not come to its end".to_owned()]
        }
    );
    assert_eq!(report.exit(), Exit::NoVerdict);
}

#[test]
fn trouble_of_a_single_boot_has_no_name() {
    let mut one = recording(vec![boot(
        Part::Together,
        &["a", "b", "c", "d"],
        Kernel::Mainline,
    )]);
    one.boots[0].cut_short = Some("ended by SIGTERM".to_owned());
    let report = report(&one, None);
    assert_eq!(report.trouble, ["the run was cut short: ended by SIGTERM"]);
    assert_eq!(report.form, Recognised::Mainline);
}

#[test]
fn boots_of_different_kernels_have_no_verdict() {
    let mut boots = boots();
    boots[1].kernel = Some(KernelInfo {
        release: "7.2.0".to_owned(),
        ..KernelInfo::default()
    });
    let report = judged(boots);
    assert!(report.trouble[0].contains("7.2.0"), "{:?}", report.trouble);
    assert_eq!(report.exit(), Exit::NoVerdict);
}

/// The form is recognised from all boots together, so one boot with another form makes it mixed.
#[test]
fn boots_of_different_forms_are_mixed() {
    let mut boots = boots();
    boots[2] = alone("b", Kernel::Mainline);
    let report = judged(boots);
    assert_eq!(report.form, Recognised::Mixed);
    assert!(matches!(report.form_verdict, Verdict::Fail { .. }));
}

/// A boot in which nothing fails does not show the form; the other boots do.
#[test]
fn a_form_recognised_in_one_boot_holds_in_all() {
    let mut boots = boots();
    for boot in &mut boots[..2] {
        for window in &mut boot.windows {
            let name = window.observations[0].scenario.clone();
            let plans = [one(Trigger::Unmap(Arming::Unarmed), 1)];
            *window = history(Style::of(Kernel::Seed), &plans, &[])
                .windows
                .remove(0);
            window.observations[0].scenario = name;
        }
    }
    let report = judged(boots);
    assert_eq!(report.form, Recognised::Seed);
    assert_eq!(report.exit(), Exit::Pass, "{:?}", report.problems());
}

#[test]
fn a_complaint_in_a_window_is_trouble_unless_it_is_judged() {
    // The WARNs of mainline's check are complaints, too, but they are judged.
    let boots = |records: &[&str]| {
        let mut boots = vec![boot(
            Part::Together,
            &["a", "b", "c", "d"],
            Kernel::Mainline,
        )];
        for text in records {
            let window = &mut boots[0].windows[1];
            insert(window, 0, 4, 1000, text);
        }
        boots
    };
    assert_eq!(judged(boots(&[])).exit(), Exit::Pass);
    let report = judged(boots(&["BUG: KASAN: slab-use-after-free in x"]));
    assert_eq!(
        report.trouble,
        ["the kernel complained (KASAN): BUG: KASAN: slab-use-after-free in x"]
    );
    assert_eq!(report.exit(), Exit::NoVerdict);

    let mut shared = boots(&["UBSAN: shift-out-of-bounds in drivers/x.c:1:2"]);
    assert_eq!(judged(shared.clone()).trouble.len(), 1);
    shared[0].machine = Ownership::Shared;
    assert_eq!(judged(shared).trouble, [""; 0]);
}

/// A run in which the kernel complains in the window of `c`, with this innermost frame.
fn with_complaint(arming: Arming, frame: &str) -> Report {
    let mut boots = vec![boot(
        Part::Together,
        &["a", "b", "c", "d"],
        Kernel::Mainline,
    )];
    let plans = [one(Trigger::Unmap(arming), 1)];
    let mut window = history(Style::of(Kernel::Mainline), &plans, &[])
        .windows
        .remove(0);
    window.observations[0].scenario = "c".to_owned();
    let lines = [
        "BUG: KASAN: slab-use-after-free in x",
        "Call Trace:",
        frame,
        " unmap_vmas+0x1/0x2",
    ];
    for (at, text) in lines.into_iter().enumerate() {
        insert(&mut window, at, 4, 1000, text);
    }
    // The records of a boot have a number each.
    for record in &mut window.records {
        record.seq += 1_000_000;
    }
    boots[0].windows[2] = window;
    judged(boots)
}

/// It is the kernel's fault only if the module has done nothing that is forbidden.
#[test]
fn a_complaint_about_the_notifier_code_is_a_finding() {
    const NOTIFIER: &str = " mn_itree_invalidate+0x1/0x2";
    let report = with_complaint(Arming::Unarmed, NOTIFIER);
    let Verdict::Fail { findings } = &report.scenarios[2].verdict else {
        panic!("{report:?}");
    };
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Complained]);
    assert_eq!(report.trouble, [""; 0]);
    assert_eq!(report.complaints.len(), 1);
    assert_eq!(report.exit(), Exit::Fail);

    for (arming, frame) in [
        (Arming::Fail(EAGAIN), NOTIFIER),
        (Arming::Unarmed, " unmap_vmas+0x1/0x2"),
        (Arming::Unarmed, " start+0x1/0x2 [mmu_notifier_inject]"),
        (Arming::Unarmed, " start+0x1/0x2 [another]"),
    ] {
        let report = with_complaint(arming, frame);
        assert_eq!(report.trouble.len(), 1, "{frame}");
        assert_eq!(report.scenarios[2].verdict, Verdict::Pass, "{frame}");
        assert_eq!(report.exit(), Exit::NoVerdict, "{frame}");
    }
}

/// The functions that the kernel has come from the recording, those that were reached from its logs.
#[test]
fn the_coverage_is_that_of_the_recording() {
    let of = |functions: &[&str], callers: &[&str]| {
        let mut recording = recording(boots());
        recording.sites = functions
            .iter()
            .map(|&function| Site {
                function: function.to_owned(),
                calls: 1,
                places: Vec::new(),
            })
            .collect();
        let observation = &mut recording.boots[0].windows[0].observations[0];
        for call in &mut observation.calls {
            call.callers = callers.iter().map(|&one| one.to_owned()).collect();
        }
        assert!(!observation.calls.is_empty());
        let coverage = report(&recording, None).coverage?;
        let reached = coverage.sites.iter().filter(|site| site.is_reached());
        assert_eq!(reached.count(), coverage.reached);
        Some((coverage.reached, coverage.sites.len()))
    };
    const START: &str = "__mmu_notifier_invalidate_range_start";
    let kernel = ["unmap_vmas", "change_protection"];
    assert_eq!(of(&kernel, &[START, "unmap_vmas"]), Some((1, 2)));
    // Without the kernel's code, without a stack, and with the code of another kernel.
    assert_eq!(of(&[], &[START, "unmap_vmas"]), None);
    assert_eq!(of(&kernel, &[]), None);
    assert_eq!(of(&kernel, &[START, "another"]), None);
}

/// A run in which lockdep complains of a registration before the window of `c`.
fn with_complaint_between(arming: Arming) -> Report {
    let mut boots = vec![boot(
        Part::Together,
        &["a", "b", "c", "d"],
        Kernel::Mainline,
    )];
    let plans = [one(Trigger::Unmap(arming), 1)];
    boots[0].windows[0] = history(Style::of(Kernel::Mainline), &plans, &[])
        .windows
        .remove(0);
    boots[0].windows[0].observations[0].scenario = "a".to_owned();
    for (at, window) in boots[0].windows.iter_mut().enumerate() {
        for record in &mut window.records {
            record.seq += 1_000_000 * at as u64;
        }
    }
    let aftermath = boots[0].aftermath.get_or_insert_default();
    aftermath.complaints.push(Complaint {
        what: "lockdep".to_owned(),
        kmsg_seq: Some(1_900_000),
        lines: [
            "WARNING: possible circular locking dependency detected",
            "stack backtrace:",
            " mm_drop_all_locks+0x1/0x2",
        ]
        .map(str::to_owned)
        .to_vec(),
    });
    aftermath.doubts.push(LOCKDEP_OFF.to_owned());
    judged(boots)
}

/// Between two windows notifiers are attached and removed.
#[test]
fn a_complaint_about_a_registration_is_a_finding_of_the_next_scenario() {
    for arming in [Arming::Unarmed, Arming::Fail(EAGAIN)] {
        let report = with_complaint_between(arming);
        let Verdict::Fail { findings } = &report.scenarios[2].verdict else {
            panic!("{report:?}");
        };
        assert_eq!(findings[0].kind, FindingKind::Complained);
        assert_eq!(report.trouble, [""; 0]);
        assert_eq!(report.exit(), Exit::Fail, "{:?}", report.problems());
    }
    // Lockdep may know of an earlier lock from the module.
    let report = with_complaint_between(Arming::AtStart(Injection::Lock));
    assert_eq!(report.trouble.len(), 2);
    assert_eq!(report.exit(), Exit::NoVerdict);
}

#[test]
fn a_skipped_scenario_is_a_result() {
    let mut boots = boots();
    boots[1].plan[0].skip = Some("needs a disposable machine".to_owned());
    boots[1].windows.clear();
    let report = judged(boots);
    let last = report.scenarios.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.verdict),
        (
            "d",
            &Verdict::Skip {
                reason: "needs a disposable machine".to_owned()
            }
        )
    );
    assert_eq!(report.exit(), Exit::Pass);
}

#[test]
fn an_unplanned_result_makes_the_count_wrong() {
    let mut boots = boots();
    let more = alone("e", Kernel::Seed);
    boots[0].windows.extend(more.windows);
    let report = judged(boots);
    let last: Option<&ScenarioResult> = report.scenarios.last();
    assert_eq!(last.map(|result| result.name.as_str()), Some("e"));
    assert_eq!(report.exit(), Exit::NoVerdict);
}
