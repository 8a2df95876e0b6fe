// SPDX-License-Identifier: GPL-2.0

//! Measures all variants, round by round.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use nix::unistd::Pid;

use mn_inject::injector::load::demand_file;
use mn_inject::injector::{LoadedModule, control_file, line, target_file};
use mn_inject::os::wait::Waiter;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::bench::judge::{figures, median, missed};
use crate::bench::process::{Measured, STEP};
use crate::bench::variant::{Notifier, VARIANTS, Variant};
use crate::bench::{NULL_NAME, memory};
use crate::exercise::Exercise;
use crate::task::BenchOptions;

/// Calls of which a round takes the median: an interrupt falls into fewer than half of them.
const CALLS: usize = 101;

/// Processes of which a round takes the median, where pages are freed.
const PROCESSES: usize = 3;

/// Number of targets after which the progress is told.
const SAY_EVERY: usize = 50;

/// Targets on one process, attached by this one. The module detaches what is left when it is
/// unloaded.
pub(super) struct Targets {
    prefix: &'static str,
    pid: Pid,
    count: usize,
}

impl Targets {
    /// No target so far. `prefix` is the first part of their names.
    pub(super) fn new(prefix: &'static str, pid: Pid) -> Self {
        Targets {
            prefix,
            pid,
            count: 0,
        }
    }

    fn name(&self, index: usize) -> String {
        format!("{}-{index}", self.prefix)
    }

    /// The line that attaches the next target, which must be written by the caller.
    pub(super) fn next(&mut self, kind: &str) -> String {
        let name = self.name(self.count);
        self.count += 1;
        format!("attach {} name={name} kind={kind}", self.pid)
    }

    fn attach(&mut self, kind: &str) -> Result<()> {
        let line = self.next(kind);
        write(&control_file(), &line)
    }

    /// Detaches all.
    pub(super) fn detach(self, say: &mut dyn FnMut(&str)) -> Result<()> {
        (0..self.count).try_for_each(|index| {
            if index % SAY_EVERY == SAY_EVERY - 1 {
                say(&format!("{} of {} targets are detached", index, self.count));
            }
            let line = format!("detach {}", self.name(index));
            write(&control_file(), &line)
        })
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    line::write_to(path, text)
        .map(drop)
        .with_context(|| format!("{text:?} > {} failed", path.display()))
}

/// The module with the notifier that does nothing. Unloaded when dropped.
struct Null;

impl Null {
    /// Checks, before anything is measured, that the file is this module, and that it can be loaded.
    fn check(path: &Path) -> Result<()> {
        let name = NULL_NAME.to_string_lossy();
        demand_file(path, &name).context("--null")?;
        if Path::new("/sys/module").join(&*name).exists() {
            bail!(
                "{name} is loaded already, and bench loads it itself: unload it first (rmmod {name})"
            );
        }
        Ok(())
    }

    fn load(path: &Path, pid: Pid) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let parameters = CString::new(format!("pid={pid}"))?;
        finit_module(&file, &parameters, ModuleInitFlags::empty()).with_context(|| {
            format!(
                "the kernel does not take module {}: see the last lines of dmesg for why",
                path.display()
            )
        })?;
        Ok(Null)
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        if let Err(errno) = delete_module(NULL_NAME, DeleteModuleFlags::O_NONBLOCK) {
            eprintln!("mn-selftest: cannot unload {NULL_NAME:?}: {errno}");
        }
    }
}

/// The environment of the measurements.
struct Bench<'a> {
    waiter: Waiter,
    /// Module with the notifier that does nothing.
    null: &'a Path,
    rounds: u64,
    calls: u64,
}

impl Bench<'_> {
    /// The median of the calls of a process with the notifier of that variant.
    fn measure(&mut self, variant: &Variant) -> Result<u64> {
        let mut measured = Measured::start(&self.waiter)?;
        let mut targets = Targets::new("bench", measured.pid());
        let mut null = None;
        match variant.notifier {
            Notifier::None => {}
            Notifier::Null => null = Some(Null::load(self.null, measured.pid())?),
            Notifier::Target { kind, settings } => {
                targets.attach(kind)?;
                if !settings.is_empty() {
                    write(&target_file(&targets.name(0), "settings"), settings)?;
                }
            }
        }
        let took = measured.measure(variant.is_filled, CALLS, &self.waiter)?;
        targets.detach(&mut |_| ())?;
        drop(null);
        self.calls += took.len() as u64;
        Ok(median(&took))
    }

    /// Measures all variants once.
    fn round(&mut self, number: u64, say: &mut dyn FnMut(&str)) -> Result<Vec<u64>> {
        let other = Subject::start(Operation::Hold, &self.waiter, STEP)?;
        let mut elsewhere = Targets::new("elsewhere", other.pid());
        let mut medians = Vec::new();
        for variant in VARIANTS {
            while elsewhere.count < variant.elsewhere {
                if elsewhere.count.is_multiple_of(SAY_EVERY) {
                    say(&format!("{} targets are attached", elsewhere.count));
                }
                elsewhere.attach("plain")?;
            }
            let what = format!("round {number} of {}: {}", self.rounds, variant.name);
            say(&what);
            // The number of instructions that free pages differs from process to process.
            let processes = if variant.is_filled { PROCESSES } else { 1 };
            let measured: Result<Vec<_>> = (0..processes).map(|_| self.measure(variant)).collect();
            medians.push(median(&measured.context(what)?));
        }
        elsewhere.detach(say)?;
        other.finish(&self.waiter, STEP)?;
        Ok(medians)
    }
}

/// Measures, and reports the goals that are missed as findings.
///
/// # Errors
///
/// Something could not be measured.
pub fn run(
    options: &BenchOptions,
    module: &Path,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let Some(null) = options.null.as_deref() else {
        bail!("nothing was said of the module with a notifier that does nothing");
    };
    Null::check(null)?;
    let mut bench = Bench {
        waiter: Waiter::new().context("cannot block signals")?,
        null,
        rounds: options.rounds,
        calls: 0,
    };
    // A thousand targets with small logs.
    let loaded = LoadedModule::load(module, c"log_kib=4")?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let round = bench.round(number, say)?;
        rounds.push(match options.instruction_ns {
            Some(ns) => round.iter().map(|took| took / u64::from(ns)).collect(),
            None => round,
        });
    }
    drop(loaded);
    let unit = match options.instruction_ns {
        Some(_) => "instructions",
        None => "nanoseconds",
    };
    let figures = figures(VARIANTS, &rounds, unit);
    exercise.findings.extend(missed(VARIANTS, &figures));
    exercise.figures.extend(figures);
    exercise
        .figures
        .extend(memory::figures(module, &bench.waiter, say)?);
    exercise
        .operations
        .push(("calls measured".to_owned(), bench.calls));
    Ok(())
}
