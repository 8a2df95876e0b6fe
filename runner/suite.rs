// SPDX-License-Identifier: GPL-2.0

//! Carries out the scenarios on the running kernel. Inside the guest and on real hardware alike.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::injector::LoadedModule;
use crate::kmsg::Record;
use crate::model::{
    Complaint, Part, Progress, Report, RunOptions, SCHEMA, ScenarioResult, TOOL, UnitTest, Verdict,
    Window,
};
use crate::observe::complaints::{Ownership, Watch, Watched};
use crate::observe::kunit;
use crate::observe::preflight;
use crate::observe::teardown;
use crate::observe::{Session, WindowError};
use crate::oracle;
use crate::os::kernel;
use crate::scenario;
use crate::scenario::Scenario;
use crate::scenario::cases::Boot;
use crate::scenario::known_bugs;
use crate::trigger::guard::Guard;

/// Host milliseconds that one scenario may take before somebody outside may call it hung. The
/// waits inside are shorter.
const SCENARIO_DEADLINE_MS: u64 = 15_000;

/// As above, for all scenarios of the OOM reaper together.
const OOM_DEADLINE_MS: u64 = 60_000;

/// Runs the scenarios with the module of that file, or with one that is loaded already; tells `say`
/// of the beginning and of every scenario's start, and returns the report.
///
/// # Errors
///
/// The module cannot be loaded. Every other error is in the report.
pub fn run(
    options: &RunOptions,
    module: Option<&Path>,
    machine: Ownership,
    say: &mut dyn FnMut(&Progress),
) -> Result<Report> {
    let begin = Instant::now();
    let mut watch = Watch::begin(machine);
    // Where the runner is the first process, nothing outlives it.
    let mut guard = match machine {
        Ownership::Ours => None,
        Ownership::Shared => Some(Guard::start()?),
    };
    let module = module
        .map(|path| LoadedModule::load_guarded(path, c"breach=1", guard.as_mut()))
        .transpose()?;
    let kernel = kernel::info();
    let plan = planned(options, machine);
    let why_not = preflight::why_not();
    let unit_tests = match why_not {
        None if options.part == Part::Together => wanted_unit_tests(options),
        _ => Vec::new(),
    };
    say(&Progress::Begin {
        kernel: kernel.clone(),
        plan: plan.iter().map(Scenario::name).collect(),
        unit_tests: unit_tests.clone(),
    });

    let mut skipped = Vec::new();
    let mut windows = Vec::new();
    let mut trouble = Vec::new();
    match why_not {
        Some(reason) => skipped.extend(plan.iter().map(|scenario| (scenario.name(), reason))),
        None => {
            let mut runnable = Vec::new();
            for scenario in &plan {
                match preflight::why_skip(scenario, options, module.is_some()) {
                    Some(reason) => skipped.push((scenario.name(), reason)),
                    None => runnable.push(*scenario),
                }
            }
            if let Err(error) = observe(&runnable, &mut windows, &mut watch, say) {
                trouble.push(format!("the run was cut short: {error:#}"));
            }
        }
    }
    let aftermath = match why_not {
        None => {
            say(&Progress::Check);
            let expected = |record: &Record| is_judged(record, windows.last());
            let is_spoiled = options.part != Part::Together && !windows.is_empty();
            if is_spoiled || windows.iter().any(is_stuck) {
                teardown::leave(watch, module, is_spoiled, expected)
            } else {
                teardown::unload(watch, module, expected)
            }
        }
        // Nothing was done, and perhaps nothing could be watched.
        Some(_) => Watched::default(),
    };
    drop(guard);
    trouble.extend(aftermath.complaints.iter().map(Complaint::to_string));
    trouble.extend(aftermath.doubts);

    let mut judgement = oracle::judge(&windows, options.expect);
    trouble.append(&mut judgement.doubts);
    for result in &mut judgement.results {
        known_bugs::mark(result, &kernel.release);
    }
    Ok(Report {
        schema: SCHEMA,
        tool: TOOL.into(),
        kernel: Some(kernel),
        vm: None,
        form: judgement.form,
        expect: options.expect,
        planned: plan.len() + unit_tests.len(),
        form_verdict: judgement.form_verdict,
        scenarios: in_plan_order(&plan, judgement.results, &skipped),
        unit_tests,
        complaints: aftermath.complaints,
        trouble,
        millis: begin.elapsed().as_millis() as u64,
    })
}

/// The scenarios of that part of a run. On a machine of others, where nobody boots once more for
/// those that spoil their boot, they are planned to be skipped.
fn planned(options: &RunOptions, machine: Ownership) -> Vec<Scenario> {
    let mut plan = scenario::select(&options.only);
    plan.retain(|scenario| match &options.part {
        // What this kernel cannot check spoils nothing.
        Part::Together => {
            scenario.boot() == Boot::Shared
                || machine == Ownership::Shared
                || preflight::lacks(scenario)
        }
        Part::Spoiled => scenario.boot() == Boot::Spoiled && !preflight::lacks(scenario),
        Part::Alone(name) => scenario.name() == *name,
    });
    plan
}

fn wanted_unit_tests(options: &RunOptions) -> Vec<UnitTest> {
    let mut tests = kunit::results(&kunit::planned());
    tests.retain(|test| scenario::is_wanted(&options.only, &test.name));
    tests
}

/// Whether somebody waits in the module for ever, which the scenario is judged by.
fn is_stuck(window: &Window) -> bool {
    window.observations.iter().any(|o| o.remains.is_stuck())
}

/// Whether a record is one on which the oracle has a say: a WARN about a callback, in the window.
fn is_judged(record: &Record, window: Option<&Window>) -> bool {
    window.is_some_and(|window| {
        let ends = window.records.first().zip(window.records.last());
        ends.is_some_and(|(first, last)| (first.seq..=last.seq).contains(&record.seq))
            && oracle::is_judged(record, window)
    })
}

/// Carries out the scenarios in order, those of the OOM reaper together: it takes its victims in
/// an order of its own, two seconds after all of them died.
fn observe(
    scenarios: &[Scenario],
    windows: &mut Vec<Window>,
    watch: &mut Watch,
    say: &mut dyn FnMut(&Progress),
) -> Result<()> {
    if scenarios.is_empty() {
        return Ok(());
    }
    let mut session = Session::open()?;
    let by_reaper = |scenario: &Scenario| scenario.trigger.kind.is_oom();
    for group in scenarios.chunk_by(|a, b| by_reaper(a) && by_reaper(b)) {
        let oom = group.iter().any(by_reaper);
        for scenario in group {
            say(&Progress::Start {
                scenario: scenario.name(),
                deadline_ms: if oom {
                    OOM_DEADLINE_MS
                } else {
                    SCENARIO_DEADLINE_MS
                },
            });
        }
        let window = match session.window(group) {
            Ok(window) => Box::new(window),
            Err(WindowError::Scenario(window)) => window,
            Err(WindowError::Session(error)) => return Err(error),
        };
        watch.catch_up(|record| is_judged(record, Some(&window)));
        say(&Progress::Window {
            window: window.clone(),
        });
        windows.push(*window);
    }
    session.close()
}

/// One result for each scenario of the plan, as far as there are any.
fn in_plan_order(
    plan: &[Scenario],
    mut results: Vec<ScenarioResult>,
    skipped: &[(String, &'static str)],
) -> Vec<ScenarioResult> {
    let mut ordered = Vec::with_capacity(plan.len());
    for name in plan.iter().map(Scenario::name) {
        if let Some(at) = results.iter().position(|result| result.name == name) {
            ordered.push(results.swap_remove(at));
        } else if let Some((_, reason)) = skipped.iter().find(|(skipped, _)| *skipped == name) {
            ordered.push(ScenarioResult {
                name,
                verdict: Verdict::Skip {
                    reason: (*reason).into(),
                },
                observation: None,
                matched: Vec::new(),
                foreign: Vec::new(),
                bug_gone: None,
            });
        }
    }
    // Whatever nobody planned is kept: it makes the count wrong, and that is seen.
    ordered.append(&mut results);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_in_exactly_one_part() {
        let of = |part: Part| -> Vec<String> {
            let options = RunOptions {
                part,
                ..RunOptions::default()
            };
            planned(&options, Ownership::Ours)
                .iter()
                .map(Scenario::name)
                .collect()
        };
        let (together, spoiled) = (of(Part::Together), of(Part::Spoiled));
        for scenario in scenario::select(&[]) {
            let name = scenario.name();
            let (boot, lacks) = (scenario.boot(), preflight::lacks(&scenario));
            assert_eq!(together.contains(&name), boot == Boot::Shared || lacks);
            assert_eq!(spoiled.contains(&name), boot == Boot::Spoiled && !lacks);
            assert_eq!(of(Part::Alone(name.clone())), [name]);
        }
        assert!(of(Part::Alone("no-such-scenario".to_owned())).is_empty());
        let shared = planned(&RunOptions::default(), Ownership::Shared);
        assert_eq!(shared.len(), scenario::select(&[]).len());
    }
}
