// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm mutants`: the suite on kernels that are wrong on purpose, and on those that they
//! were made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::model::exit::Exit;
use crate::model::{Report, TOOL};
use crate::oracle::mutants;
use crate::oracle::mutants::{Mutant, MutantRun, MutantsReport, SCHEMA, Unmodified};
use crate::report;
use crate::scenario;
use crate::vm::args::{Base, KernelArgs, VmMutantsArgs};
use crate::vm::build::kernel;
use crate::vm::commands::batch;
use crate::vm::commands::batch::Job;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::output;
use crate::vm::host::progress::Ui;

/// The name of the folder for a kernel as it is.
const UNMODIFIED: &str = "unmodified";

/// `vm mutants`
pub fn run(args: &VmMutantsArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.only).is_empty() {
        ui.text(&scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    let mutants = read_all(args)?;
    let cache = Cache::open()?;
    let output = output(args.how.output.as_deref(), &cache)?;

    let unmodified: Vec<(Base, String, Vec<String>)> = kernels(&mutants)?;
    let mut jobs = Vec::new();
    for (base, config, only) in &unmodified {
        let label = format!("{} {config}", base.name());
        let place = output.join(format!("{UNMODIFIED}-{}-{config}", base.name()));
        jobs.push(job(args, label, *base, config, Vec::new(), only, place));
    }
    for mutant in &mutants {
        let (base, config) = kernel_of(mutant)?;
        jobs.push(job(
            args,
            mutant.name.clone(),
            base,
            config,
            vec![mutant.path.clone()],
            &mutant.claim.only,
            output.join(&mutant.name),
        ));
    }
    let results: Vec<Result<Report, String>> =
        batch::run(&jobs, args.how.accel, args.how.install_deps, &cache, ui)?
            .into_iter()
            .map(|result| result.map_err(|error| format!("{error:#}")))
            .collect();

    let (of_unmodified, of_mutants) = results.split_at(unmodified.len());
    let report = MutantsReport {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        kernel: args.kernel.name.to_owned(),
        unmodified: unmodified
            .into_iter()
            .zip(of_unmodified)
            .map(|((base, config, _), result)| Unmodified {
                base: base.name().to_owned(),
                config,
                reasons: mutants::why_no_pass(result),
                report: path_of(result),
            })
            .collect(),
        mutants: mutants
            .into_iter()
            .zip(of_mutants)
            .map(|(mutant, result)| came_to(mutant, result))
            .collect(),
    };
    cache::write_report(&output.join("mutants.json"), &report)?;
    report::print_simple(&report, args.how.format, &mut std::io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &output.display().to_string());
    Ok(report.exit())
}

fn came_to(mutant: Mutant, result: &Result<Report, String>) -> MutantRun {
    let (fate, kills) = mutants::judge(&mutant, result);
    MutantRun {
        name: mutant.name,
        claim: mutant.claim,
        fate,
        kills,
        report: path_of(result),
        millis: result.as_ref().map_or(0, |report| report.millis),
    }
}

/// Where the report of a run is.
fn path_of(result: &Result<Report, String>) -> Option<String> {
    let vm = result.as_ref().ok()?.vm.as_ref()?;
    vm.log("report").map(str::to_owned)
}

fn job(
    args: &VmMutantsArgs,
    label: String,
    base: Base,
    config: &str,
    patch: Vec<PathBuf>,
    only: &[String],
    output: PathBuf,
) -> Job {
    Job {
        label,
        kernel: KernelArgs::packaged(args.kernel, base, config, patch),
        only: only.to_vec(),
        output,
    }
}

/// The mutants of all paths that were given, in the order of their names, each complete: what it
/// does not say of itself is what the command line says.
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

/// The patches that a path stands for: itself, or those in that folder.
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

fn kernel_of(mutant: &Mutant) -> Result<(Base, &str)> {
    let claim = &mutant.claim;
    let base = match claim.base.as_deref() {
        Some("seed") => Base::Seed,
        _ => Base::Mainline,
    };
    let config = claim.config.as_deref().unwrap_or_default();
    kernel::config(config).with_context(|| format!("the mutant {}", mutant.path.display()))?;
    Ok((base, config))
}

/// The kernels that the mutants are made of, each with the scenarios that run on one of them at
/// least; none means all.
fn kernels(mutants: &[Mutant]) -> Result<Vec<(Base, String, Vec<String>)>> {
    let mut kernels: Vec<(Base, String, Vec<String>)> = Vec::new();
    for mutant in mutants {
        let (base, config) = kernel_of(mutant)?;
        let only = &mutant.claim.only;
        match kernels
            .iter_mut()
            .find(|(known, of, _)| *known == base && of == config)
        {
            Some((_, _, patterns)) if patterns.is_empty() || only.is_empty() => patterns.clear(),
            Some((_, _, patterns)) => {
                let new: Vec<_> = only
                    .iter()
                    .filter(|o| !patterns.contains(o))
                    .cloned()
                    .collect();
                patterns.extend(new);
            }
            None => kernels.push((base, config.to_owned(), only.clone())),
        }
    }
    Ok(kernels)
}
