// SPDX-License-Identifier: GPL-2.0

//! Carries out the scenarios on the running kernel. Inside the guest and on real hardware alike.

use std::time::Instant;

use crate::kernel;
use crate::model::{Progress, Report, RunOptions, SCHEMA, ScenarioResult, Verdict, Window};
use crate::oracle;
use crate::preflight;
use crate::scenario::{self, Scenario};
use crate::session::{Session, WindowError};

/// Host milliseconds that one scenario may take before somebody outside may call it hung. The
/// waits inside are shorter.
const SCENARIO_DEADLINE_MS: u64 = 15_000;

/// As above, for all scenarios of the OOM reaper together.
const OOM_DEADLINE_MS: u64 = 60_000;

/// Runs the scenarios, tells `say` of the beginning and of every scenario's start, and returns
/// the report. Every error is in the report.
pub fn run(options: &RunOptions, say: &mut dyn FnMut(&Progress)) -> Report {
    let begin = Instant::now();
    let kernel = kernel::info();
    let plan = scenario::select(&options.only);
    say(&Progress::Begin {
        kernel: kernel.clone(),
        plan: plan.iter().map(Scenario::name).collect(),
    });

    let mut skipped = Vec::new();
    let mut windows = Vec::new();
    let mut trouble = Vec::new();
    match preflight::why_not() {
        Some(reason) => skipped.extend(plan.iter().map(|scenario| (scenario.name(), reason))),
        None => {
            let mut runnable = Vec::new();
            for scenario in &plan {
                match preflight::why_skip(scenario, options) {
                    Some(reason) => skipped.push((scenario.name(), reason)),
                    None => runnable.push(*scenario),
                }
            }
            if let Err(error) = observe(&runnable, &mut windows, say) {
                trouble.push(format!("the run was cut short: {error:#}"));
            }
        }
    }

    let judgement = oracle::judge(&windows, options.expect);
    Report {
        schema: SCHEMA,
        tool: concat!("mn-inject ", env!("CARGO_PKG_VERSION")).into(),
        kernel: Some(kernel),
        vm: None,
        form: judgement.form,
        expect: options.expect,
        planned: plan.len(),
        form_verdict: judgement.form_verdict,
        scenarios: in_plan_order(&plan, judgement.results, &skipped),
        trouble,
        millis: begin.elapsed().as_millis() as u64,
    }
}

/// Carries out the scenarios in order, those of the OOM reaper together: it takes its victims in
/// an order of its own, two seconds after all of them died.
fn observe(
    scenarios: &[Scenario],
    windows: &mut Vec<Window>,
    say: &mut dyn FnMut(&Progress),
) -> anyhow::Result<()> {
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
            });
        }
    }
    // Whatever nobody planned is kept: it makes the count wrong, and that is seen.
    ordered.append(&mut results);
    ordered
}
