// SPDX-License-Identifier: GPL-2.0

//! Runs the scenarios on a kernel that was built: boots the guests, records the lines that they send,
//! and makes one report of the recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::coverage;
use crate::model::{
    Boot, Event, Form, Half, Part, Recording, Report, RunEvent, RunOptions, SCHEMA, Site, TOOL,
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
use crate::vm::boot::machine::{Accelerator, Machine, Platform, Start, Time};
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::results::Results;
use crate::vm::boot::snapshot::Snapshot;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;
use crate::vm::host::signals;
use crate::vm::host::slots::{Slots, Work};

/// Options of a run in guests.
#[derive(Clone, Debug)]
pub struct Suite<'a> {
    /// The form of the check that is demanded; [`None`] accepts any.
    pub expect: Option<Form>,
    /// Shell patterns of the names of scenarios to run; empty means all.
    pub only: &'a [String],
    /// Accelerator of the guests.
    pub accel: Accel,
    /// The user's addition to the kernel command line of the guests.
    pub append: Option<&'a str>,
    /// Directory for the logs, the recording and the report; it exists.
    pub output: &'a Path,
}

/// Least number of guests that go on from a snapshot. Two are run at a time, and to save and restore
/// a guest takes time as well.
const LEAST_RESTORED: usize = 4;

/// Least number of scenarios on one boot that are shared between two. They take longer than a boot,
/// and two guests run at a time.
const LEAST_SHARED: usize = 100;

/// Paths of the logs of a guest.
struct Logs {
    console: PathBuf,
    qemu: PathBuf,
}

impl Logs {
    fn of(part: &Part, output: &Path) -> Self {
        match part {
            Part::Together => Logs {
                console: output.join("console.log"),
                qemu: output.join("qemu.log"),
            },
            part => Self::named_after(part.name(), output),
        }
    }

    fn named_after(name: &str, output: &Path) -> Self {
        Logs {
            console: output.join(format!("console-{name}.log")),
            qemu: output.join(format!("qemu-{name}.log")),
        }
    }

    /// Name and path of each log that there is on that platform, as in the report.
    fn named(&self, part: &Part, platform: Platform) -> Vec<(String, String)> {
        let suffix = match part {
            Part::Together => String::new(),
            part => format!(" {}", part.name()),
        };
        let qemu = platform.has_log().then_some(("qemu", &self.qemu));
        std::iter::once(("console", &self.console))
            .chain(qemu)
            .map(|(what, path)| (format!("{what}{suffix}"), path.display().to_string()))
            .collect()
    }
}

/// Boots the guests, as many at a time as there is room for, judges what they recorded, and writes
/// the recording and the report to the output directory.
///
/// # Errors
///
/// A guest cannot be started, or a file cannot be written. An error in a guest is in the report.
pub fn judge(
    built: &Built,
    suite: &Suite<'_>,
    slots: &Slots,
    cache: &Cache,
    ui: &Ui,
) -> Result<Report> {
    let (platform, why) = accel::choose(suite.accel, built, cache, ui)?;
    ui.line("guest", &format!("{} ({why})", platform.name()));

    let results = suite.output.join("results.jsonl");
    let recorder = Recorder::create(&results)?;
    let run = plan(built, suite);
    recorder.add(&Event::Run(run.clone()))?;
    let mut guests = Guests {
        built,
        suite,
        platform,
        recorder: &recorder,
        snapshot: None,
        cache,
        ui,
    };
    guests.snapshot = guests.snapshot_for(&run.parts, slots)?;
    let (boots, took) = guests.boot_all(&run.parts, slots)?;
    let sites = sites(built, cache, ui);

    let mut logs: Vec<_> = run
        .parts
        .iter()
        .flat_map(|part| Logs::of(part, suite.output).named(part, platform))
        .collect();
    logs.push(("results".to_owned(), results.display().to_string()));
    let vm = Some(vm_info(built, platform, why, ui, logs, suite.output));
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    recorder.add(&Event::Host {
        vm: vm.clone(),
        millis,
        sites: sites.clone(),
    })?;
    let recording = Recording {
        run,
        boots,
        vm,
        millis: Some(millis),
        sites,
    };
    let report = oracle::run::report(&recording, suite.expect);
    cache::write_report(&suite.output.join("report.json"), &report)?;
    Ok(report)
}

/// The functions of the kernel that call notifiers. No verdict depends on them, so an error is only said.
fn sites(built: &Built, cache: &Cache, ui: &Ui) -> Vec<Site> {
    let mut sites = coverage::of_kernel(&built.kernel).unwrap_or_else(|error| {
        ui.line("coverage", &format!("not known: {error:#}"));
        Vec::new()
    });
    let placed = built
        .text(cache)
        .and_then(|source| coverage::place(&mut sites, source.tree(), |path| source.read(path)));
    if let Err(error) = placed {
        ui.line("coverage", &format!("the lines are not known: {error:#}"));
    }
    sites
}

/// The plan of a run: its scenarios, and the boots that they need.
fn plan(built: &Built, suite: &Suite<'_>) -> RunEvent {
    let selected = scenario::select(suite.only);
    let unit_tests = built.has("KUNIT")
        && kunit::names(&kunit::planned())
            .iter()
            .any(|name| scenario::is_wanted(suite.only, name));
    let boots: Vec<_> = selected
        .iter()
        .map(|scenario| {
            let is_tried = scenario.needs().is_none_or(|needs| built.checks(needs));
            let boot = if is_tried {
                scenario.boot()
            } else {
                Wanted::Shared
            };
            (scenario.name(), boot)
        })
        .collect();
    RunEvent {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        expect: suite.expect,
        scenarios: selected.iter().map(Scenario::name).collect(),
        parts: parts(&boots, unit_tests),
    }
}

/// The boots that a run needs, from the names of its scenarios and the boot that each wants.
fn parts(scenarios: &[(String, Wanted)], unit_tests: bool) -> Vec<Part> {
    let has = |wanted: Wanted| scenarios.iter().any(|(_, boot)| *boot == wanted);
    let shared = scenarios.iter().filter(|(_, boot)| *boot == Wanted::Shared);
    let together = match shared.count() {
        0 => Vec::new(),
        LEAST_SHARED.. => Half::BOTH.map(Part::Half).to_vec(),
        _ => vec![Part::Together],
    };
    let unit_tests = unit_tests.then_some(Part::UnitTests);
    let spoiled = has(Wanted::Spoiled).then_some(Part::Spoiled);
    let own = scenarios.iter().filter(|(_, boot)| *boot == Wanted::Own);
    together
        .into_iter()
        .chain(unit_tests)
        .chain(spoiled)
        .chain(own.map(|(name, _)| Part::Alone(name.clone())))
        .collect()
}

/// Everything that the guests of a run have in common.
struct Guests<'a> {
    built: &'a Built,
    suite: &'a Suite<'a>,
    platform: Platform,
    recorder: &'a Recorder,
    /// State from which the guests go on, where they do not boot.
    snapshot: Option<Snapshot>,
    cache: &'a Cache,
    ui: &'a Ui,
}

impl Guests<'_> {
    /// Boots a guest for each part, and waits for all of them, even after an error. Returns the
    /// boots, and the time from the start of the first guest to the end of the last, on the host's
    /// clock.
    fn boot_all(&self, parts: &[Part], slots: &Slots) -> Result<(Vec<Boot>, Duration)> {
        let ended: Vec<_> = std::thread::scope(|scope| {
            let guests: Vec<_> = parts
                .iter()
                .map(|part| {
                    scope.spawn(|| {
                        let _slot = slots.acquire(Work::Guest(self.built.guest.memory));
                        signals::check()?;
                        let begin = Instant::now();
                        Ok((begin, self.boot(part)?))
                    })
                })
                .collect();
            guests.into_iter().map(|guest| guest.join()).collect()
        });
        let ended = ended
            .into_iter()
            .map(|ended| ended.unwrap_or_else(|_| Err(anyhow!("the guest's thread panicked"))))
            .collect::<Result<Vec<_>>>()?;
        // The wait for a slot before the first guest does not count.
        let begin = ended.iter().map(|(begin, _)| *begin).min();
        let took = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        Ok((ended.into_iter().map(|(_, boot)| boot).collect(), took))
    }

    /// The machine that all guests have, which boots, without its initramfs.
    fn machine(&self, logs: &Logs) -> Machine<'_> {
        Machine {
            built: self.built,
            initramfs: Path::new(""),
            append: self.suite.append,
            platform: self.platform,
            time: Time::Virtual,
            start: Start::Boot,
            console: Some(logs.console.clone()),
            log: logs.qemu.clone(),
            gdb: None,
        }
    }

    /// Saves a guest that has booted, where that takes less time than to boot all of them. Without
    /// one, because of an error too, they boot, and what is wrong is seen there.
    fn snapshot_for(&self, parts: &[Part], slots: &Slots) -> Result<Option<Snapshot>> {
        if self.platform != Platform::Qemu(Accelerator::Tcg) || parts.len() < LEAST_RESTORED {
            return Ok(None);
        }
        let _slot = slots.acquire(Work::Guest(self.built.guest.memory));
        signals::check()?;
        let task = self.ui.begin("guest", "booting, for all of them");
        let logs = Logs::named_after("snapshot", self.suite.output);
        match Snapshot::take(&self.machine(&logs), self.cache) {
            Ok(snapshot) => {
                task.done("booted");
                Ok(Some(snapshot))
            }
            Err(error) if error.is::<signals::Interrupted>() => Err(error),
            Err(error) => {
                task.done(&format!("no snapshot, so each guest boots: {error:#}"));
                Ok(None)
            }
        }
    }

    /// Runs one guest, and records the lines that it sends.
    fn boot(&self, part: &Part) -> Result<Boot> {
        let mode = Mode::Suite(RunOptions {
            only: self.suite.only.to_vec(),
            part: part.clone(),
            disposable: true,
            allow_panic_on_warn: false,
        });
        let (line, temp);
        let (initramfs, start) = if let Some(snapshot) = &self.snapshot {
            line = serde_json::to_string(&mode).context("cannot write the guest's task")?;
            (snapshot.initramfs().to_owned(), snapshot.start(&line))
        } else {
            let options = GuestOptions {
                mode,
                channel: self.platform.channel(),
            };
            let modules = initramfs::modules(self.built);
            temp = self.cache.temp_dir()?;
            let initramfs = initramfs::write(temp.path(), &options, &modules, None)?;
            (initramfs, Start::Boot)
        };
        let logs = Logs::of(part, self.suite.output);
        let machine = Machine {
            initramfs: &initramfs,
            start,
            ..self.machine(&logs)
        };
        let (what, suffix) = match part {
            Part::Together => ("the scenarios".to_owned(), String::new()),
            part => (part.name().to_owned(), format!(" {}", part.name())),
        };
        let task = self.ui.begin("guest", &format!("running {what}"));
        let mut results = Results::new(part.clone(), self.recorder);
        let channel = listen(&machine, &mut results, None, &task)?;
        let console = fs::read(&logs.console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let qemu = fs::read_to_string(&machine.log).unwrap_or_default();
        let boot = results.finish(channel.ending, &channel.rest, &console, &qemu)?;
        if boot.lost.is_empty() {
            task.done(&format!("finished{suffix}"));
            return Ok(boot);
        }
        task.done(&format!("no verdict{suffix}: {}", boot.lost.join("; ")));
        self.ui.text(&format!(
            "[guest] the console's last lines, of {}:\n{}",
            logs.console.display(),
            stage::tail(&console)
        ));
        Ok(boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wanted_boot_is_made() {
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
        let tests = Part::UnitTests;
        assert_eq!(
            wants(&all, true),
            [
                together.clone(),
                tests.clone(),
                spoiled.clone(),
                alone("a"),
                alone("d")
            ]
        );
        assert_eq!(wants(&all[..1], false), [alone("a")]);
        assert_eq!(wants(&all[..1], true), [tests, alone("a")]);
        assert_eq!(wants(&all[4..], false), [spoiled]);
        assert_eq!(wants(&all[2..3], false), [together]);
        assert!(wants(&[], false).is_empty());
        let (few, many) = (
            [Wanted::Shared; LEAST_SHARED - 1],
            [Wanted::Shared; LEAST_SHARED],
        );
        assert_eq!(wants(&few, false).len(), 1);
        assert_eq!(wants(&many, false), Half::BOTH.map(Part::Half));
    }

    #[test]
    fn no_two_guests_write_the_same_file() {
        let output = Path::new("/o");
        let qemu = Platform::Qemu(Accelerator::Tcg);
        let together = Logs::of(&Part::Together, output).named(&Part::Together, qemu);
        let part = Part::Alone("a-b".to_owned());
        let alone = Logs::of(&part, output).named(&part, qemu);
        let has = |logs: &[(String, String)], what: &str, path: &str| {
            logs.contains(&(what.to_owned(), path.to_owned()))
        };
        assert!(has(&together, "console", "/o/console.log"), "{together:?}");
        assert!(
            has(&alone, "console a-b", "/o/console-a-b.log"),
            "{alone:?}"
        );
        assert!(together.iter().all(|log| !alone.contains(log)));
        let uml = Logs::of(&part, output).named(&part, Platform::Uml);
        assert_eq!(uml, alone[..1]);
    }
}
