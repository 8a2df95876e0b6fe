// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm mutants`: the suite on kernels that are wrong on purpose, and on the unmodified
//! kernels that they were made of.
//!
//! The scenarios that could notice a mutant run first, on a boot of their own. If they kill it as
//! claimed, nothing else runs on it, unless `--all` is given. For every other fate the whole suite
//! has run on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::model::exit::Exit;
use crate::model::{Form, Report, TOOL};
use crate::oracle::mutants;
use crate::oracle::mutants::{Mutant, MutantRun, MutantsReport, SCHEMA, Unmodified};
use crate::report;
use crate::scenario;
use crate::vm::args::{KernelArgs, MachineKind, VmMutantsArgs};
use crate::vm::build::kernel;
use crate::vm::commands::batch;
use crate::vm::commands::batch::{Job, Run};
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::output;
use crate::vm::host::progress::Ui;

/// Name of the directory for an unmodified kernel.
const UNMODIFIED: &str = "unmodified";
/// Name of the directory for the first of two runs, in that of the mutant.
const FIRST: &str = "first";

/// `vm mutants`
pub fn run(args: &VmMutantsArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.only).is_empty() {
        ui.text(&scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    let mutants = read_all(args)?;
    let cache = Cache::open()?;
    let output = output(args.how.output.as_deref(), &cache)?;

    let controls = controls(&mutants, args.all)?;
    let mut jobs: Vec<Job> = Vec::new();
    jobs.extend(controls.iter().map(|control| control.job(args, &output)));
    for mutant in &mutants {
        jobs.push(job(mutant, args, &output)?);
    }
    let settled = |at: usize, report: &Report| {
        let mutant = at.checked_sub(controls.len()).map(|at| &mutants[at]);
        mutant.is_some_and(|mutant| mutants::is_settled(mutant, report))
    };
    let results: Vec<Result<Vec<Report>, String>> =
        batch::run(&jobs, &settled, &args.how, &cache, ui)?
            .into_iter()
            .map(|result| result.map_err(|error| format!("{error:#}")))
            .collect();

    let (of_controls, of_mutants) = results.split_at(controls.len());
    let jobs = &jobs[controls.len()..];
    let report = MutantsReport {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        kernel: args.kernel.name.to_owned(),
        unmodified: controls
            .iter()
            .zip(of_controls)
            .map(|(control, reports)| control.result(reports))
            .collect(),
        mutants: mutants
            .iter()
            .zip(jobs)
            .zip(of_mutants)
            .map(|((mutant, job), reports)| result(mutant, job, reports))
            .collect(),
    };
    cache::write_report(&output.join("mutants.json"), &report)?;
    report::print_simple(&report, args.how.format, &mut std::io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &output.display().to_string());
    Ok(report.exit())
}

/// Runs on a mutant: first the scenarios that could notice, then all that its claim admits.
fn job(mutant: &Mutant, args: &VmMutantsArgs, output: &Path) -> Result<Job> {
    let (base, machine, config) = kernel_of(mutant)?;
    let output = output.join(&mutant.name);
    let first = first(mutant, args.all).map(|only| Run {
        only,
        output: output.join(FIRST),
    });
    let whole = Run {
        only: mutant.claim.only.clone(),
        output,
    };
    Ok(Job {
        label: mutant.name.clone(),
        kernel: KernelArgs::packaged(
            args.kernel,
            base,
            config,
            machine,
            vec![mutant.path.clone()],
        ),
        runs: first.into_iter().chain([whole]).collect(),
    })
}

fn first(mutant: &Mutant, all: bool) -> Option<Vec<String>> {
    if all { None } else { mutant.claim.first() }
}

fn result(mutant: &Mutant, job: &Job, result: &Result<Vec<Report>, String>) -> MutantRun {
    let last = last(result);
    let (fate, kills) = mutants::judge(mutant, last);
    let reports = result.as_deref().unwrap_or_default();
    MutantRun {
        name: mutant.name.clone(),
        claim: mutant.claim.clone(),
        fate,
        kills,
        complete: reports.len() == job.runs.len(),
        report: last.ok().and_then(path_of),
        millis: reports.iter().map(|report| report.millis).sum(),
    }
}

/// Report of the last run that was made.
fn last(result: &Result<Vec<Report>, String>) -> Result<&Report, &str> {
    let reports = result.as_ref().map_err(String::as_str)?;
    reports.last().ok_or("nothing was run")
}

/// Path of the report of a run.
fn path_of(report: &Report) -> Option<String> {
    report.vm.as_ref()?.log("report").map(str::to_owned)
}

/// An unmodified kernel that mutants are made of.
#[derive(Debug, PartialEq, Eq)]
struct Control {
    base: Form,
    machine: MachineKind,
    config: String,
    /// Patterns of the scenarios that run on any of its mutants; empty means all.
    only: Vec<String>,
    /// First runs of its mutants, each once. They are made on this kernel as well: a scenario that
    /// failed by itself, but not among the others, would seem to kill every mutant.
    firsts: Vec<Vec<String>>,
}

impl Control {
    fn job(&self, args: &VmMutantsArgs, output: &Path) -> Job {
        let (base, config) = (self.base.name(), &self.config);
        let machine = match self.machine {
            MachineKind::Auto | MachineKind::Qemu => "",
            MachineKind::Uml => "-uml",
        };
        let output = output.join(format!("{UNMODIFIED}-{base}-{config}{machine}"));
        let firsts = self.firsts.iter().enumerate().map(|(at, only)| Run {
            only: only.clone(),
            output: output.join(format!("{FIRST}-{:03}", at + 1)),
        });
        let whole = Run {
            only: self.only.clone(),
            output: output.clone(),
        };
        Job {
            label: format!("{base} {config}"),
            kernel: KernelArgs::packaged(args.kernel, self.base, config, self.machine, Vec::new()),
            runs: [whole].into_iter().chain(firsts).collect(),
        }
    }

    fn result(&self, result: &Result<Vec<Report>, String>) -> Unmodified {
        let (reasons, report) = match result.as_deref() {
            Ok([whole, firsts @ ..]) => {
                let of_firsts = self.firsts.iter().zip(firsts).flat_map(|(only, first)| {
                    let names = only.join(", ");
                    let reasons = mutants::why_no_control(first);
                    reasons
                        .into_iter()
                        .map(move |reason| format!("where only {names} ran: {reason}"))
                });
                let mut reasons = whole.problems();
                reasons.extend(of_firsts);
                (reasons, path_of(whole))
            }
            Ok([]) => (vec!["nothing was run".to_owned()], None),
            Err(error) => (vec![error.clone()], None),
        };
        Unmodified {
            base: self.base.name().to_owned(),
            config: self.config.clone(),
            machine: self.machine.name().to_owned(),
            reasons,
            report,
        }
    }
}

/// Reads the mutants of all paths that were given, in the order of their names. Claims that a mutant
/// does not make are completed from the command line.
fn read_all(args: &VmMutantsArgs) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for path in &args.paths {
        for file in files(path)? {
            let mut mutant = Mutant::read(&file)?;
            let claim = &mut mutant.claim;
            claim
                .base
                .get_or_insert_with(|| args.base.name().to_owned());
            claim.config.get_or_insert_with(|| args.config.clone());
            claim
                .machine
                .get_or_insert_with(|| args.how.machine.name().to_owned());
            if claim.only.is_empty() {
                claim.only.clone_from(&args.only);
            }
            mutants.push(mutant);
        }
    }
    let mut names = BTreeSet::new();
    for mutant in &mutants {
        if mutant.name.starts_with(UNMODIFIED) || !names.insert(&mutant.name) {
            bail!(
                "the mutant {}: another one has that name already; rename one of them",
                mutant.path.display()
            );
        }
    }
    Ok(mutants)
}

/// Patches of a path: the file itself, or those in the directory.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry
            .with_context(|| format!("cannot read {}", path.display()))?
            .path();
        if file
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!(
            "there are no mutants in {}: no file ends with .patch",
            path.display()
        );
    }
    Ok(files)
}

/// The kernel of a mutant, whose claim was completed.
fn kernel_of(mutant: &Mutant) -> Result<(Form, MachineKind, &str)> {
    let claim = &mutant.claim;
    let base = match claim.base.as_deref() {
        Some("seed") => Form::Seed,
        _ => Form::Mainline,
    };
    let machine = match claim.machine.as_deref() {
        Some("uml") => MachineKind::Uml,
        _ => MachineKind::Qemu,
    };
    let config = claim.config.as_deref().unwrap_or_default();
    kernel::config(machine.arch(), config)
        .with_context(|| format!("the mutant {}", mutant.path.display()))?;
    Ok((base, machine, config))
}

/// Unmodified kernels that the mutants are made of.
fn controls(mutants: &[Mutant], all: bool) -> Result<Vec<Control>> {
    let mut controls: Vec<Control> = Vec::new();
    for mutant in mutants {
        let (base, machine, config) = kernel_of(mutant)?;
        let only = &mutant.claim.only;
        let is_same = |control: &Control| {
            (control.base, control.machine, control.config.as_str()) == (base, machine, config)
        };
        let at = controls.iter().position(is_same).unwrap_or(controls.len());
        if at == controls.len() {
            controls.push(Control {
                base,
                machine,
                config: config.to_owned(),
                only: only.clone(),
                firsts: Vec::new(),
            });
        }
        let control = &mut controls[at];
        if control.only.is_empty() || only.is_empty() {
            control.only.clear();
        } else {
            add_new(&mut control.only, only);
        }
        add_new(&mut control.firsts, first(mutant, all).as_slice());
    }
    Ok(controls)
}

/// Adds the elements that are not in the list yet.
fn add_new<T: Clone + PartialEq>(known: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::oracle::mutants::Claim;
    use crate::vm::args::VmCommand;

    fn args(words: &[&str]) -> VmMutantsArgs {
        let all = ["mn-inject", "vm", "mutants"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Vm(VmCommand::Mutants(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn mutant(name: &str, base: &str, only: &[&str], killed_by: &[&str]) -> Mutant {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Mutant {
            name: name.to_owned(),
            path: PathBuf::from(format!("{name}.patch")),
            claim: Claim {
                base: Some(base.to_owned()),
                config: Some("core".to_owned()),
                only: owned(only),
                killed_by: owned(killed_by),
                ..Claim::default()
            },
        }
    }

    const WHOLE: &str = "munmap-whole-eagain";
    const PART: &str = "munmap-part-eagain";

    /// Directory of each run, and its scenarios.
    fn runs(job: &Job) -> Vec<(&str, String)> {
        let runs = job.runs.iter();
        runs.map(|run| (run.output.to_str().unwrap(), run.only.join(",")))
            .collect()
    }

    #[test]
    fn a_mutant_is_run_on_its_claim_first_and_then_on_everything() {
        let claimed = mutant("wrong", "seed", &["munmap-*"], &[WHOLE]);
        let output = Path::new("/o");
        let job_of = |words: &[&str]| job(&claimed, &args(words), output).unwrap();
        assert_eq!(
            runs(&job_of(&[])),
            [
                ("/o/wrong/first", WHOLE.to_owned()),
                ("/o/wrong", "munmap-*".to_owned())
            ]
        );
        assert_eq!(
            runs(&job_of(&["--all"])),
            [("/o/wrong", "munmap-*".to_owned())]
        );
    }

    #[test]
    fn every_first_run_is_made_on_the_unmodified_kernel() {
        let mutants = [
            mutant("a", "seed", &[], &[WHOLE]),
            mutant("b", "seed", &["munmap-*"], &[PART]),
            mutant("c", "seed", &[], &[WHOLE]),
            mutant("d", "mainline", &["munmap-*"], &[WHOLE]),
            mutant("e", "mainline", &["mprotect-*"], &[]),
        ];
        let first = |at: usize| mutants[at].claim.first().unwrap().join(",");
        assert_ne!(first(0), first(1));
        let planned = controls(&mutants, false).unwrap();
        let output = Path::new("/o");
        let jobs: Vec<Job> = planned
            .iter()
            .map(|one| one.job(&args(&[]), output))
            .collect();
        assert_eq!(planned.len(), 2);
        assert_eq!(
            runs(&jobs[0]),
            [
                ("/o/unmodified-seed-core", String::new()),
                ("/o/unmodified-seed-core/first-001", first(0)),
                ("/o/unmodified-seed-core/first-002", first(1)),
            ]
        );
        assert_eq!(
            runs(&jobs[1]),
            [
                (
                    "/o/unmodified-mainline-core",
                    "munmap-*,mprotect-*".to_owned()
                ),
                ("/o/unmodified-mainline-core/first-001", first(3)),
            ]
        );
        let all = controls(&mutants, true).unwrap();
        assert!(all.iter().all(|control| control.firsts.is_empty()));
    }
}
