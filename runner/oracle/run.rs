// SPDX-License-Identifier: GPL-2.0

//! The report of a recorded run, as a pure function of the recording.

use std::slice;

use crate::coverage;
use crate::kmsg::{Complaint, Complaints};
use crate::model::{
    Boot, Coverage, Form, LOCKDEP_OFF, Recording, Report, SCHEMA, ScenarioResult, UnitTest,
    Verdict, Window,
};
use crate::oracle::complained;
use crate::oracle::judge::judge;
use crate::oracle::records::is_judged;
use crate::scenario::known_bugs;

/// Judges a run. `expect` is the form that is demanded.
///
/// A boot that did not come to its end is trouble of the run, and a scenario without a result is
/// missing in the count, so that an incomplete run cannot pass.
pub fn report(recording: &Recording, expect: Option<Form>) -> Report {
    let boots = &recording.boots;
    let windows: Vec<Window> = boots.iter().flat_map(|boot| boot.windows.clone()).collect();
    let mut judgement = judge(&windows, expect);

    let kernel = boots.iter().find_map(|boot| boot.kernel.clone());
    let release = kernel.as_ref().map_or("", |kernel| &kernel.release);
    let mut results: Vec<ScenarioResult> = judgement
        .results
        .into_iter()
        .map(|result| described(result, boots))
        .collect();
    let troubles: Vec<BootTrouble> = boots
        .iter()
        .map(|boot| BootTrouble::of(boot, &mut results))
        .collect();
    for result in &mut results {
        known_bugs::mark(result, release);
    }
    for boot in boots {
        results.extend(skipped(boot));
    }
    // A result that was not planned goes last, and makes the count wrong.
    let order = &recording.run.scenarios;
    let place = |name: &str| order.iter().position(|known| known == name);
    results.sort_by_key(|result| place(&result.name).unwrap_or(order.len()));

    let mut complaints = Vec::new();
    let mut trouble = contradiction(boots).into_iter().collect::<Vec<_>>();
    for (boot, seen) in boots.iter().zip(troubles) {
        let name = (boots.len() > 1).then(|| boot.part.name());
        let named = |text: String| match name {
            Some(name) => format!("{name}: {text}"),
            None => text,
        };
        trouble.extend(seen.trouble.into_iter().map(named));
        complaints.extend(seen.complaints.into_iter().map(|complaint| Complaint {
            what: named(complaint.what),
            ..complaint
        }));
    }
    if recording.millis.is_none() {
        trouble.push("the recording does not come to its end".to_owned());
    }
    trouble.append(&mut judgement.doubts);

    let is_whole = boots.iter().all(|boot| boot.is_whole);
    let form_verdict = if is_whole {
        judgement.form_verdict
    } else {
        Verdict::NoVerdict {
            reasons: vec!["the run did not come to its end".to_owned()],
        }
    };
    let unit_tests: Vec<UnitTest> = boots
        .iter()
        .flat_map(|boot| boot.unit_tests.clone())
        .collect();
    let planned: usize = boots.iter().map(|boot| boot.plan.len()).sum();
    Report {
        schema: SCHEMA,
        tool: recording.run.tool.clone(),
        kernel,
        vm: recording.vm.clone(),
        form: judgement.form,
        expect,
        // A guest that never answered has no plan, but its scenarios were selected.
        planned: planned.max(order.len()) + unit_tests.len(),
        form_verdict,
        scenarios: results,
        unit_tests,
        coverage: coverage(recording),
        complaints,
        trouble,
        millis: recording.millis.unwrap_or_default(),
    }
}

/// The functions that the run has reached, where the kernel's code is known.
fn coverage(recording: &Recording) -> Option<Coverage> {
    if recording.sites.is_empty() {
        return None;
    }
    // Without a stack, or with that of another kernel, nothing is known of them.
    coverage::coverage(&recording.sites, slice::from_ref(recording)).ok()
}

/// A result with the description from its plan.
fn described(mut result: ScenarioResult, boots: &[Boot]) -> ScenarioResult {
    let mut plans = boots.iter().flat_map(|boot| &boot.plan);
    if let Some(planned) = plans.find(|planned| planned.name == result.name) {
        result.trigger.clone_from(&planned.trigger);
        result.setting.clone_from(&planned.setting);
        result.rules.clone_from(&planned.rules);
    }
    result
}

/// The results of the scenarios that could not run on that machine.
fn skipped(boot: &Boot) -> impl Iterator<Item = ScenarioResult> {
    boot.plan.iter().filter_map(|planned| {
        let skip = Verdict::Skip {
            reason: planned.skip.clone()?,
        };
        Some(ScenarioResult {
            trigger: planned.trigger.clone(),
            setting: planned.setting.clone(),
            rules: planned.rules.clone(),
            ..ScenarioResult::new(planned.name.clone(), skip)
        })
    })
}

/// Trouble of a run whose boots ran different kernels.
fn contradiction(boots: &[Boot]) -> Option<String> {
    let mut kernels: Vec<(String, &str)> = Vec::new();
    for boot in boots {
        let Some(kernel) = &boot.kernel else { continue };
        let text = format!(
            "{} {} {}, booted with {:?}",
            kernel.release, kernel.version, kernel.machine, kernel.cmdline
        );
        if kernels.iter().all(|(known, _)| *known != text) {
            kernels.push((text, boot.part.name()));
        }
    }
    let each: Vec<String> = kernels
        .iter()
        .map(|(text, part)| format!("{text} in {part}"))
        .collect();
    (each.len() > 1).then(|| format!("its parts ran on different kernels: {}", each.join("; ")))
}

/// Problems of a boot besides the results of its scenarios.
struct BootTrouble {
    complaints: Vec<Complaint>,
    trouble: Vec<String>,
}

impl BootTrouble {
    /// Those of a boot. A complaint that is a fault of the kernel becomes a finding of its result.
    fn of(boot: &Boot, results: &mut [ScenarioResult]) -> Self {
        let mut in_windows = Complaints::default();
        for window in &boot.windows {
            in_windows.add(&window.records, |record, kind| {
                !is_judged(record, window) && boot.machine.counts(record, kind)
            });
        }
        let mut complaints = in_windows.kept;
        let mut doubts = Vec::new();
        if in_windows.more > 0 {
            let more = in_windows.more;
            doubts.push(format!("the kernel had {more} more complaints"));
        }
        if let Some(aftermath) = &boot.aftermath {
            complaints.extend(aftermath.complaints.iter().cloned());
            doubts.extend(aftermath.doubts.iter().cloned());
        }
        // In the order of the log. A leak is in no log, and comes last.
        complaints.sort_by_key(|complaint| complaint.kmsg_seq.unwrap_or(u64::MAX));

        let mut trouble = Vec::new();
        if let Some(error) = &boot.cut_short {
            trouble.push(format!("the run was cut short: {error}"));
        }
        for (at, complaint) in complaints.iter().enumerate() {
            let blamed = complained::blamed(&complaints[at..], boot);
            let is_of = |result: &&mut ScenarioResult| {
                blamed.is_some_and(|observation| observation.scenario == result.name)
            };
            let is_finding = results
                .iter_mut()
                .find(is_of)
                .is_some_and(|result| complained::add(complaint, result));
            if is_finding {
                // A fault of the kernel that was found, and perhaps not the only one.
                doubts.retain(|doubt| doubt != LOCKDEP_OFF);
            } else {
                trouble.push(complaint.to_string());
            }
        }
        trouble.extend(doubts);
        trouble.extend(boot.lost.iter().cloned());
        if !boot.is_whole && boot.lost.is_empty() {
            trouble.push("its recording does not come to its end".to_owned());
        }
        BootTrouble {
            complaints,
            trouble,
        }
    }
}
