// SPDX-License-Identifier: GPL-2.0

//! Runs suites on many kernels, side by side.
//!
//! All kernels of one source are built in one tree and in one thread, one after the other; sources
//! are built at the same time, and a kernel that was built is booted while the next one builds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use anyhow::{Result, anyhow};

use crate::model::{Form, Report};
use crate::vm::arch::Arch;
use crate::vm::args::{Accel, KernelArgs, VmManyArgs};
use crate::vm::boot::suite;
use crate::vm::boot::suite::Suite;
use crate::vm::build::kernel::Built;
use crate::vm::build::patch::Patch;
use crate::vm::build::provide::{Needs, provide};
use crate::vm::build::{check, deps};
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;
use crate::vm::host::signals;
use crate::vm::host::signals::Interrupted;
use crate::vm::host::slots::{Slots, Work};

/// One kernel and the runs on it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name in progress messages.
    pub label: String,
    /// The kernel, which must be a packaged one.
    pub kernel: KernelArgs,
    /// Runs in their order.
    pub runs: Vec<Run>,
}

/// One run of the suite.
#[derive(Clone, Debug)]
pub struct Run {
    /// Patterns of the scenarios; empty means all.
    pub only: Vec<String>,
    /// Directory for its logs and its report.
    pub output: PathBuf,
}

/// Whether a job, given by its number, is settled by the report of its latest run, so that its
/// remaining runs are left out.
pub type Settled<'a> = &'a (dyn Fn(usize, &Report) -> bool + Sync);

impl Job {
    /// The form of the check that its kernel must have.
    pub fn expect(&self) -> Option<Form> {
        Some(self.kernel.base)
    }
}

/// Numbers of the jobs of each source, in the order in which they are built: kernels one after the
/// other that differ in few files, since every file that changes is compiled again.
fn lanes(jobs: &[Job]) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let package = job.kernel.kernel.package;
        match lanes.iter_mut().find(|(known, _)| *known == package) {
            Some((_, lane)) => lane.push(at),
            None => lanes.push((package, vec![at])),
        }
    }
    let mut lanes: Vec<Vec<usize>> = lanes.into_iter().map(|(_, lane)| lane).collect();
    for lane in &mut lanes {
        lane.sort_by_cached_key(|&at| build_order(&jobs[at]));
    }
    lanes
}

/// Sorts unmodified kernels first, and the others by what is compiled for them.
fn build_order(job: &Job) -> (bool, &str, &str, &str, BTreeSet<PathBuf>) {
    let kernel = &job.kernel;
    // An error in a patch is reported when its kernel is built.
    let patches = kernel.patch.iter().flat_map(|path| Patch::read(path));
    let files = patches.flat_map(|patch| patch.files()).collect();
    let is_modified = !kernel.patch.is_empty();
    let machine = kernel.machine.name();
    (
        is_modified,
        machine,
        &kernel.config,
        kernel.base.name(),
        files,
    )
}

/// State that all jobs share.
struct Batch<'a> {
    jobs: &'a [Job],
    settled: Settled<'a>,
    accel: Accel,
    slots: Slots,
    cache: &'a Cache,
    ui: &'a Ui,
    /// Results of the jobs that have ended.
    results: Mutex<Vec<Option<Result<Vec<Report>>>>>,
}

/// Runs all jobs. Returns for each, in their order, the reports of its runs, at least one; or the
/// error that it ended with.
///
/// # Errors
///
/// [`Interrupted`], or an error before the first job.
pub fn run(
    jobs: &[Job],
    settled: Settled<'_>,
    how: &VmManyArgs,
    cache: &Cache,
    ui: &Ui,
) -> Result<Vec<Result<Vec<Report>>>> {
    for job in jobs {
        check::check(&job.kernel, cache)?;
        for run in &job.runs {
            cache::make_dir(&run.output)?;
        }
    }
    // Once for all jobs: two package managers cannot run at the same time.
    let uses = deps::Uses {
        packaged: true,
        git: jobs
            .iter()
            .any(|job| job.kernel.base == Form::Seed || !job.kernel.patch.is_empty()),
        shell: false,
        qemu: jobs
            .iter()
            .any(|job| job.kernel.machine.arch() == Arch::X86),
    };
    deps::provide(uses, how.install_deps, ui)?;

    let batch = Batch {
        jobs,
        settled,
        accel: how.accel,
        slots: Slots::of_this_machine(),
        cache,
        ui,
        results: Mutex::new(jobs.iter().map(|_| None).collect()),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes(jobs)
            .into_iter()
            .map(|lane| {
                let batch = &batch;
                scope.spawn(move || batch.work_off(&lane))
            })
            .collect();
        join(threads);
    });
    let results = batch
        .results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    results
        .into_iter()
        .map(|result| match result {
            Some(Err(error)) if error.is::<Interrupted>() => Err(error),
            Some(result) => Ok(result),
            None => Ok(Err(anyhow!(
                "its thread panicked; that is a bug of mn-inject's"
            ))),
        })
        .collect()
}

/// Waits for all threads. A panic was printed, and leaves its job without a result.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        drop(thread.join());
    }
}

impl Batch<'_> {
    /// Builds the kernels of one source, and boots each as soon as it is built.
    fn work_off(&self, lane: &[usize]) {
        std::thread::scope(|scope| {
            let mut guests = Vec::new();
            for &at in lane {
                let ui = self.ui.of_run(self.jobs[at].label.clone());
                match self.build(&self.jobs[at], &ui) {
                    Ok(built) => guests.push(scope.spawn(move || {
                        let reports = self.judge(at, &built, &ui);
                        self.end(at, reports, &ui);
                    })),
                    Err(error) => self.end(at, Err(error), &ui),
                }
            }
            join(guests);
        });
    }

    fn build(&self, job: &Job, ui: &Ui) -> Result<Built> {
        let _slot = self.slots.acquire(Work::Build);
        signals::check()?;
        provide(&job.kernel, Needs::default(), self.cache, ui)
    }

    fn judge(&self, at: usize, built: &Built, ui: &Ui) -> Result<Vec<Report>> {
        let job = &self.jobs[at];
        let mut reports = Vec::new();
        for run in &job.runs {
            let suite = Suite {
                expect: job.expect(),
                only: &run.only,
                accel: self.accel,
                append: None,
                output: &run.output,
            };
            let report = suite::judge(built, &suite, &self.slots, self.cache, ui)?;
            let settled = (self.settled)(at, &report);
            reports.push(report);
            if settled {
                break;
            }
        }
        Ok(reports)
    }

    /// Keeps the result of a job.
    fn end(&self, at: usize, result: Result<Vec<Report>>, ui: &Ui) {
        match &result {
            Ok(_) => {}
            // Printed once, and not for every job.
            Err(error) if error.is::<Interrupted>() => {}
            // The rest is below the table.
            Err(error) => {
                let text = format!("{error:#}");
                ui.line("error", text.lines().next().unwrap_or_default());
            }
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results[at] = Some(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::args::MachineKind;
    use crate::vm::kernels::KERNELS;

    fn job(kernel: usize, base: Form) -> Job {
        Job {
            label: String::new(),
            kernel: KernelArgs::packaged(
                &KERNELS[kernel],
                base,
                "core",
                MachineKind::Auto,
                Vec::new(),
            ),
            runs: Vec::new(),
        }
    }

    #[test]
    fn kernels_of_one_source_are_built_in_one_lane() {
        let jobs = [
            job(0, Form::Seed),
            job(1, Form::Seed),
            job(0, Form::Mainline),
        ];
        assert_eq!(lanes(&jobs), [vec![2, 0], vec![1]]);
        assert!(lanes(&[]).is_empty());
    }

    #[test]
    fn kernels_with_the_same_changed_files_are_built_one_after_the_other() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
        let with = |config: &str, name: &str| {
            let patch = vec![root.join(name)];
            Job {
                kernel: KernelArgs::packaged(
                    &KERNELS[0],
                    Form::Mainline,
                    config,
                    MachineKind::Auto,
                    patch,
                ),
                ..job(0, Form::Mainline)
            }
        };
        let jobs = [
            with("debug", "zap-open-coded.patch"),
            with("core", "check-missing.patch"),
            with("core", "range-short.patch"),
            with("core", "check-once.patch"),
            with("core", "no-such.patch"),
            with("core", "event-wrong.patch"),
            job(0, Form::Mainline),
        ];
        assert_eq!(lanes(&jobs), [vec![6, 4, 2, 5, 1, 3, 0]]);
    }

    #[test]
    fn each_job_demands_the_form_of_its_base() {
        assert_eq!(job(0, Form::Seed).expect(), Some(Form::Seed));
        assert_eq!(job(0, Form::Mainline).expect(), Some(Form::Mainline));
    }
}
