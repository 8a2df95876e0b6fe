// SPDX-License-Identifier: GPL-2.0

//! Carries out the scenarios on the running kernel, and sends what is seen: inside the guest and on
//! real hardware alike.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::injector::{LoadedModule, demand_absent};
use crate::kmsg::Record;
use crate::model::{
    Aftermath, Expect, Ownership, Part, Planned, Progress, RunOptions, UnitTest, Window,
};
use crate::observe::complaints::{Watch, Watched};
use crate::observe::kunit;
use crate::observe::preflight;
use crate::observe::teardown;
use crate::observe::{Session, WindowError};
use crate::os::kernel;
use crate::report::format::Format;
use crate::scenario;
use crate::scenario::Scenario;
use crate::scenario::cases::Boot;
use crate::trigger::guard::Guard;

/// What to run and how to say it: the same on real hardware and in a VM.
#[derive(Clone, Debug, Default, Args)]
pub struct SuiteArgs {
    /// The form of the check that the kernel must have
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub expect: Expect,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Host milliseconds that one scenario may take before somebody outside may call it hung. The
/// waits inside are shorter.
const SCENARIO_DEADLINE_MS: u64 = 15_000;

/// As above, for all scenarios of the OOM reaper together.
const OOM_DEADLINE_MS: u64 = 60_000;

/// Runs the scenarios with the module of that file, or with one that is loaded already, and sends
/// what is seen: from [`Progress::Begin`] to [`Progress::End`]. Nothing is judged here.
///
/// # Errors
///
/// The module cannot be loaded; nothing was sent then. Every other error is sent.
pub fn run(
    options: &RunOptions,
    module: Option<&Path>,
    machine: Ownership,
    send: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut watch = Watch::begin(machine);
    // Where the runner is the first process, nothing outlives it.
    let mut guard = match machine {
        Ownership::Ours => None,
        Ownership::Shared => Some(Guard::start()?),
    };
    let module = module
        .map(|path| {
            // In this order, or the guard could unload a module that another process has loaded.
            demand_absent()?;
            if let Some(guard) = &mut guard {
                guard.guard_module()?;
            }
            LoadedModule::load(path, c"breach=1")
        })
        .transpose()?;
    let scenarios = planned(options, machine);
    let why_not = preflight::why_not();
    let why_skip = |scenario: &Scenario| {
        why_not.or_else(|| preflight::why_skip(scenario, options, module.is_some()))
    };
    let plan: Vec<Planned> = scenarios
        .iter()
        .map(|s| described(s, why_skip(s)))
        .collect();
    let unit_tests = match why_not {
        None if options.part == Part::Together => wanted_unit_tests(options),
        _ => Vec::new(),
    };
    let runnable: Vec<Scenario> = scenarios
        .into_iter()
        .zip(&plan)
        .filter(|(_, planned)| planned.skip.is_none())
        .map(|(scenario, _)| scenario)
        .collect();
    send(Progress::Begin {
        kernel: kernel::info(),
        machine,
        plan,
        unit_tests,
    });

    let mut left = Left::default();
    let cut_short = match why_not {
        None => observe(&runnable, &mut watch, &mut left, send).err(),
        Some(_) => None,
    };
    send(Progress::Check {
        cut_short: cut_short.map(|error| format!("{error:#}")),
    });
    let watched = match why_not {
        None => {
            let in_window = |record: &Record| left.is_in_last_window(record);
            let is_spoiled = options.part != Part::Together && left.windows > 0;
            if is_spoiled || left.is_stuck {
                teardown::leave(watch, module, is_spoiled, in_window)
            } else {
                teardown::unload(watch, module, in_window)
            }
        }
        // Nothing was done, and perhaps nothing could be watched.
        Some(_) => Watched::default(),
    };
    drop(guard);
    send(Progress::Aftermath(Aftermath {
        complaints: watched.complaints,
        doubts: watched.doubts,
    }));
    send(Progress::End);
    Ok(())
}

/// A scenario as the recording has it.
fn described(scenario: &Scenario, skip: Option<&'static str>) -> Planned {
    Planned {
        name: scenario.name(),
        trigger: scenario.trigger.name.to_owned(),
        setting: scenario.setting_name(),
        rules: scenario.rules().to_vec(),
        skip: skip.map(str::to_owned),
    }
}

/// What the windows so far have left behind.
#[derive(Default)]
struct Left {
    windows: usize,
    /// Whether a task waits in the module forever.
    is_stuck: bool,
    /// The first and the last record of the last window.
    last: Option<(u64, u64)>,
}

impl Left {
    fn add(&mut self, window: &Window) {
        self.windows += 1;
        self.is_stuck |= window.observations.iter().any(|o| o.remains.is_stuck());
        let ends = window.records.first().zip(window.records.last());
        self.last = ends.map(|(first, last)| (first.seq, last.seq));
    }

    /// Whether the window has the record: its complaints are looked for there.
    fn is_in_last_window(&self, record: &Record) -> bool {
        self.last
            .is_some_and(|(first, last)| (first..=last).contains(&record.seq))
    }
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

/// Carries out the scenarios in order, those of the OOM reaper together: it takes its victims in
/// an order of its own, two seconds after all of them died.
fn observe(
    scenarios: &[Scenario],
    watch: &mut Watch,
    left: &mut Left,
    send: &mut dyn FnMut(Progress),
) -> Result<()> {
    if scenarios.is_empty() {
        return Ok(());
    }
    let mut session = Session::open()?;
    let by_reaper = |scenario: &Scenario| scenario.trigger.kind.is_oom();
    for group in scenarios.chunk_by(|a, b| by_reaper(a) && by_reaper(b)) {
        let oom = group.iter().any(by_reaper);
        for scenario in group {
            send(Progress::Start {
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
        left.add(&window);
        watch.catch_up(|record| left.is_in_last_window(record));
        send(Progress::Window { window });
    }
    session.close()
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
