// SPDX-License-Identifier: GPL-2.0

//! Carries out the scenarios of a run on the running kernel, and sends the lines of its recording.
//! The same code runs in a guest and on real hardware.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::injector;
use crate::injector::{LoadedModule, demand_absent};
use crate::kmsg::Record;
use crate::model::{
    Aftermath, Form, Half, Ownership, Part, Planned, Progress, RunOptions, UnitTest, Window,
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

/// Arguments that `run` and `vm run` have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct SuiteArgs {
    /// The form of the check that the kernel must have; without it, the one that is recognised
    #[arg(long, value_enum, value_name = "FORM")]
    pub expect: Option<Form>,
    /// Run only the scenarios whose name matches (shell pattern with * and ?; may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// The format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Longest time for one scenario, in milliseconds on the host's clock. After it the host declares the
/// guest hung. All waits inside of a scenario are shorter.
const SCENARIO_DEADLINE_MS: u64 = 15_000;

/// Longest time for all scenarios of the OOM reaper together, in milliseconds.
const OOM_DEADLINE_MS: u64 = 60_000;

/// Runs the scenarios and sends the lines from [`Progress::Begin`] to [`Progress::End`]. Nothing is
/// judged here.
///
/// `module` is loaded first and unloaded at the end; without it, the module must be loaded already.
///
/// # Errors
///
/// The guard process cannot be started, or the module cannot be loaded; then nothing was sent. Every
/// later error is sent in [`Progress::Check`].
pub fn run(
    options: &RunOptions,
    module: Option<&Path>,
    machine: Ownership,
    send: &mut dyn FnMut(Progress),
) -> Result<()> {
    let scenarios = planned(options, machine);
    let mut watch = Watch::begin(machine);
    // In a guest the runner is the first process: when it ends, so does everything else.
    let mut guard = match machine {
        Ownership::Ours => None,
        Ownership::Shared => Some(Guard::start()?),
    };
    let module = module
        .map(|path| load(path, guard.as_mut(), &scenarios, options))
        .transpose()?;
    let why_not = preflight::why_not();
    let may_break_rules = why_not.is_none() && injector::may_break_rules()?;
    let why_skip = |scenario: &Scenario| {
        why_not.or_else(|| preflight::why_skip(scenario, options, may_break_rules))
    };
    let plan: Vec<Planned> = scenarios
        .iter()
        .map(|s| described(s, why_skip(s)))
        .collect();
    let unit_tests = match (&options.part, machine) {
        (Part::UnitTests, _) | (Part::Together, Ownership::Shared) if why_not.is_none() => {
            wanted_unit_tests(options)
        }
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
            let is_spoiled = !options.part.leaves_nothing() && left.windows > 0;
            if is_spoiled || left.is_stuck {
                teardown::leave(watch, module, is_spoiled, in_window)
            } else {
                teardown::unload(watch, module, in_window)
            }
        }
        // Nothing was carried out, and the log may not be readable.
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

/// Loads the module, as one that may break rules only if a scenario that runs is about that.
fn load(
    path: &Path,
    guard: Option<&mut Guard>,
    scenarios: &[Scenario],
    options: &RunOptions,
) -> Result<LoadedModule> {
    // In this order, so that the guard never unloads a module that another process loaded.
    demand_absent()?;
    if let Some(guard) = guard {
        guard.guard_module()?;
    }
    let breaks = scenarios.iter().any(|scenario| {
        scenario.needs_breach() && preflight::why_skip(scenario, options, true).is_none()
    });
    LoadedModule::load(path, if breaks { c"breach=1" } else { c"" })
}

/// Describes a scenario for the recording.
fn described(scenario: &Scenario, skip: Option<&'static str>) -> Planned {
    Planned {
        name: scenario.name(),
        trigger: scenario.trigger.name.to_owned(),
        setting: scenario.setting_name(),
        rules: scenario.rules().to_vec(),
        skip: skip.map(str::to_owned),
    }
}

/// State that the windows so far have left behind.
#[derive(Default)]
struct Left {
    windows: usize,
    /// Whether a task is blocked in the module forever.
    is_stuck: bool,
    /// Sequence numbers of the first and the last record of the last window.
    last: Option<(u64, u64)>,
}

impl Left {
    fn add(&mut self, window: &Window) {
        self.windows += 1;
        self.is_stuck |= window.observations.iter().any(|o| o.remains.is_stuck());
        let ends = window.records.first().zip(window.records.last());
        self.last = ends.map(|(first, last)| (first.seq, last.seq));
    }

    /// Whether the last window contains the record. The oracle searches the records of windows for
    /// complaints.
    fn is_in_last_window(&self, record: &Record) -> bool {
        self.last
            .is_some_and(|(first, last)| (first..=last).contains(&record.seq))
    }
}

/// The scenarios of this part of the run. On a shared machine there is no other boot for those that
/// spoil their boot, so they are planned here, and skipped.
fn planned(options: &RunOptions, machine: Ownership) -> Vec<Scenario> {
    let mut plan = scenario::select(&options.only);
    // A scenario that this kernel cannot check is skipped, so it spoils nothing.
    let leaves_nothing = |scenario: &Scenario| {
        scenario.boot() == Boot::Shared
            || machine == Ownership::Shared
            || preflight::lacks(scenario)
    };
    plan.retain(|scenario| match &options.part {
        Part::Together | Part::Half(_) => leaves_nothing(scenario),
        Part::Spoiled => scenario.boot() == Boot::Spoiled && !preflight::lacks(scenario),
        Part::UnitTests => false,
        Part::Alone(name) => scenario.name() == *name,
    });
    if let Part::Half(half) = options.part {
        keep_half(&mut plan, half);
    }
    plan
}

/// Keeps that half of the scenarios.
fn keep_half(plan: &mut Vec<Scenario>, half: Half) {
    let mut halves = Half::BOTH.into_iter().cycle();
    plan.retain(|scenario| {
        let of = if by_reaper(scenario) {
            Some(Half::First)
        } else {
            halves.next()
        };
        of == Some(half)
    });
}

/// Whether the OOM reaper makes the calls of that scenario.
fn by_reaper(scenario: &Scenario) -> bool {
    scenario.trigger.kind.is_oom()
}

/// Results of the unit tests whose names match the patterns.
fn wanted_unit_tests(options: &RunOptions) -> Vec<UnitTest> {
    let mut tests = kunit::results(&kunit::planned());
    tests.retain(|test| scenario::is_wanted(&options.only, &test.name));
    tests
}

/// Carries out the scenarios in order, those of the OOM reaper together in one window: it reaps its
/// victims in an order of its own, two seconds after the kill (`OOM_REAPER_DELAY` in
/// mm/oom_kill.c).
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
        let halves = Half::BOTH.map(|half| of(Part::Half(half)));
        for scenario in scenario::select(&[]) {
            let name = scenario.name();
            let (boot, lacks) = (scenario.boot(), preflight::lacks(&scenario));
            assert_eq!(together.contains(&name), boot == Boot::Shared || lacks);
            let in_half = |half: &&Vec<String>| half.contains(&name);
            let count = halves.iter().filter(in_half).count();
            assert_eq!(count, usize::from(together.contains(&name)), "{name}");
            assert!(
                !by_reaper(&scenario) || !halves[1].contains(&name),
                "{name}"
            );
            assert_eq!(spoiled.contains(&name), boot == Boot::Spoiled && !lacks);
            assert_eq!(of(Part::Alone(name.clone())), [name]);
        }
        let smaller = halves.iter().map(Vec::len).min();
        assert!(smaller > Some(together.len() / 3), "{smaller:?}");
        assert!(of(Part::Alone("no-such-scenario".to_owned())).is_empty());
        let shared = planned(&RunOptions::default(), Ownership::Shared);
        assert_eq!(shared.len(), scenario::select(&[]).len());
    }
}
