// SPDX-License-Identifier: GPL-2.0

//! Runs the scenarios on a kernel that was built: boots its guests, and makes one report of what
//! they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::model::{
    Boot, Event, Form, Part, Recording, Report, RunEvent, RunOptions, SCHEMA, TOOL,
};
use crate::observe::kunit;
use crate::oracle;
use crate::report::recorder::Recorder;
use crate::scenario;
use crate::scenario::Scenario;
use crate::scenario::cases::Boot as Wanted;
use crate::vm::args::Accel;
use crate::vm::boot::accel;
use crate::vm::boot::info::vm_info;
use crate::vm::boot::initramfs;
use crate::vm::boot::listen::listen;
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::qemu::{Accelerator, Machine, Time};
use crate::vm::boot::results::Results;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;
use crate::vm::host::signals;
use crate::vm::host::slots::{Slots, Work};

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct Suite<'a> {
    /// The form of the check that is demanded.
    pub expect: Option<Form>,
    /// Names of scenarios to run as shell patterns; empty means all.
    pub only: &'a [String],
    /// How the guests are run.
    pub accel: Accel,
    /// What the user adds to the guests' kernel command line.
    pub append: Option<&'a str>,
    /// The directory for the logs and the report, which is there.
    pub output: &'a Path,
}

/// Where a guest's words go.
struct Logs {
    console: PathBuf,
    qemu: PathBuf,
}

impl Logs {
    fn of(part: &Part, output: &Path) -> Self {
        let path = |name: &str, extension: &str| match part {
            Part::Together => output.join(format!("{name}.{extension}")),
            part => output.join(format!("{name}-{}.{extension}", part.name())),
        };
        Logs {
            console: path("console", "log"),
            qemu: path("qemu", "log"),
        }
    }

    /// What each is and its path, as the report has them.
    fn named(&self, part: &Part) -> Vec<(String, String)> {
        let suffix = match part {
            Part::Together => String::new(),
            part => format!(" {}", part.name()),
        };
        [("console", &self.console), ("qemu", &self.qemu)]
            .map(|(what, path)| (format!("{what}{suffix}"), path.display().to_string()))
            .to_vec()
    }
}

/// Boots the guests, as many at a time as there is room for, and keeps the report.
///
/// # Errors
///
/// There is no guest; whatever goes wrong with one is in the report.
pub fn judge(
    built: &Built,
    suite: &Suite<'_>,
    slots: &Slots,
    cache: &Cache,
    ui: &Ui,
) -> Result<Report> {
    let (accelerator, why) = accel::choose(suite.accel, built, cache, ui)?;
    ui.line("guest", &format!("{} ({why})", accelerator.name()));

    let selected = scenario::select(suite.only);
    let unit_tests = kunit::names(&kunit::planned())
        .iter()
        .any(|name| scenario::is_wanted(suite.only, name));
    let boots: Vec<_> = selected
        .iter()
        .map(|scenario| {
            let is_tried = scenario
                .needs()
                .is_none_or(|needs| built.guest.checks(needs));
            let boot = if is_tried {
                scenario.boot()
            } else {
                Wanted::Shared
            };
            (scenario.name(), boot)
        })
        .collect();
    let parts = parts(&boots, unit_tests);
    let results = suite.output.join("results.jsonl");
    let recorder = Recorder::create(&results)?;
    let run = RunEvent {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        expect: suite.expect,
        scenarios: selected.iter().map(Scenario::name).collect(),
        parts: parts.clone(),
    };
    recorder.add(&Event::Run(run.clone()))?;
    let ended = std::thread::scope(|scope| {
        let guests: Vec<_> = parts
            .iter()
            .map(|part| {
                scope.spawn(|| {
                    let _slot = slots.acquire(Work::Guest(built.guest.memory));
                    signals::check()?;
                    let begin = Instant::now();
                    let boot = boot(part, built, suite, accelerator, &recorder, cache, ui)?;
                    Ok((begin, boot))
                })
            })
            .collect();
        // All are waited for, and the first error is the run's.
        let ended: Vec<_> = guests.into_iter().map(|guest| guest.join()).collect();
        ended
            .into_iter()
            .map(|ended| ended.unwrap_or_else(|_| Err(anyhow!("the guest's thread panicked"))))
            .collect::<Result<Vec<_>>>()
    })?;

    // Without the wait for room; and the guest's own clock is not the host's.
    let begin = ended.iter().map(|(begin, _)| *begin).min();
    let took = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
    let logs = parts
        .iter()
        .flat_map(|part| Logs::of(part, suite.output).named(part));
    let mut logs: Vec<_> = logs.collect();
    logs.push(("results".to_owned(), results.display().to_string()));
    let vm = Some(vm_info(built, accelerator, why, ui, logs, suite.output));
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    recorder.add(&Event::Host {
        vm: vm.clone(),
        millis,
    })?;
    let recording = Recording {
        run,
        boots: ended.into_iter().map(|(_, boot)| boot).collect(),
        vm,
        millis: Some(millis),
    };
    let report = oracle::run::report(&recording, suite.expect);
    cache::write_report(&suite.output.join("report.json"), &report)?;
    Ok(report)
}

/// The boots that a run takes, of the names of its scenarios and which boot each wants. The unit
/// tests run on the shared one.
fn parts(scenarios: &[(String, Wanted)], unit_tests: bool) -> Vec<Part> {
    let has = |wanted: Wanted| scenarios.iter().any(|(_, boot)| *boot == wanted);
    let together = (unit_tests || has(Wanted::Shared)).then_some(Part::Together);
    let spoiled = has(Wanted::Spoiled).then_some(Part::Spoiled);
    let own = scenarios.iter().filter(|(_, boot)| *boot == Wanted::Own);
    together
        .into_iter()
        .chain(spoiled)
        .chain(own.map(|(name, _)| Part::Alone(name.clone())))
        .collect()
}

/// Boots one guest, and records what it sends until its end.
fn boot(
    part: &Part,
    built: &Built,
    suite: &Suite<'_>,
    accelerator: Accelerator,
    recorder: &Recorder,
    cache: &Cache,
    ui: &Ui,
) -> Result<Boot> {
    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::Suite(RunOptions {
            only: suite.only.to_vec(),
            part: part.clone(),
            disposable: true,
            allow_panic_on_warn: false,
        }),
    };
    let initramfs = initramfs::write(temp.path(), &options, Some(&built.module), None)?;
    let logs = Logs::of(part, suite.output);
    let machine = Machine {
        built,
        initramfs: &initramfs,
        append: suite.append,
        accelerator,
        time: Time::Virtual,
        console: Some(logs.console.clone()),
        log: logs.qemu.clone(),
    };
    let (what, suffix) = match part {
        Part::Together => ("the scenarios".to_owned(), String::new()),
        part => (part.name().to_owned(), format!(" {}", part.name())),
    };
    let task = ui.begin("guest", &format!("running {what}"));
    let mut results = Results::new(part.clone(), recorder);
    let heard = listen(&machine, &mut results, None, &task)?;
    let console = fs::read(&logs.console).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let qemu = fs::read_to_string(&machine.log).unwrap_or_default();
    let boot = results.finish(heard.ending, &heard.rest, &console, &qemu)?;
    if boot.lost.is_empty() {
        task.done(&format!("finished{suffix}"));
        return Ok(boot);
    }
    task.done(&format!("no verdict{suffix}: {}", boot.lost.join("; ")));
    ui.text(&format!(
        "[guest] the console's last lines, of {}:\n{}",
        logs.console.display(),
        stage::tail(&console)
    ));
    Ok(boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_made_for_whoever_wants_it() {
        let wants = |boots: &[Wanted], unit_tests| {
            let scenarios: Vec<_> = boots
                .iter()
                .zip('a'..)
                .map(|(boot, name)| (name.to_string(), *boot))
                .collect();
            parts(&scenarios, unit_tests)
        };
        let alone = |name: &str| Part::Alone(name.to_owned());
        let all = [
            Wanted::Own,
            Wanted::Spoiled,
            Wanted::Shared,
            Wanted::Own,
            Wanted::Spoiled,
        ];
        let (together, spoiled) = (Part::Together, Part::Spoiled);
        assert_eq!(
            wants(&all, true),
            [together.clone(), spoiled.clone(), alone("a"), alone("d")]
        );
        assert_eq!(wants(&all[..1], false), [alone("a")]);
        assert_eq!(wants(&all[..1], true), [together.clone(), alone("a")]);
        assert_eq!(wants(&all[4..], false), [spoiled]);
        assert_eq!(wants(&all[2..3], false), [together]);
        assert!(wants(&[], false).is_empty());
    }

    #[test]
    fn no_two_guests_write_the_same_file() {
        let output = Path::new("/o");
        let together = Logs::of(&Part::Together, output).named(&Part::Together);
        let part = Part::Alone("a-b".to_owned());
        let alone = Logs::of(&part, output).named(&part);
        let has = |logs: &[(String, String)], what: &str, path: &str| {
            logs.contains(&(what.to_owned(), path.to_owned()))
        };
        assert!(has(&together, "console", "/o/console.log"), "{together:?}");
        assert!(
            has(&alone, "console a-b", "/o/console-a-b.log"),
            "{alone:?}"
        );
        assert!(together.iter().all(|log| !alone.contains(log)));
    }
}
