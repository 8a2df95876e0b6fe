// SPDX-License-Identifier: GPL-2.0

//! `vm matrix`: runs the scenarios on several kernels, each with and without the seed patch.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::model::exit::Exit;
use crate::model::matrix::{MatrixReport, MatrixRun, SCHEMA};
use crate::model::{Form, Report, TOOL};
use crate::report;
use crate::scenario;
use crate::vm::args::{KernelArgs, VmMatrixArgs};
use crate::vm::build::kernel;
use crate::vm::commands::batch;
use crate::vm::commands::batch::{Job, Run};
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::output;
use crate::vm::host::progress::Ui;
use crate::vm::kernels::{KERNELS, Packaged};

/// A row of the matrix: one kernel.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    kernel: &'static Packaged,
    base: Form,
    config: &'a str,
}

impl Row<'_> {
    /// Name for the user. It has the configuration only if there are `several`.
    fn label(&self, several: bool) -> String {
        let config = if several { self.config } else { "" };
        format!("{} {} {config}", self.kernel.name, self.base.name())
            .trim_end()
            .to_owned()
    }

    /// Output directory, below that of the command.
    fn output(&self, all: &Path) -> PathBuf {
        all.join(format!(
            "{}-{}-{}",
            self.kernel.name,
            self.base.name(),
            self.config
        ))
    }
}

/// Rows in the order of the report, without duplicates.
fn plan(args: &VmMatrixArgs) -> Vec<Row<'_>> {
    let mut kernels = args.kernels.clone();
    if kernels.is_empty() {
        kernels.extend(KERNELS);
    }
    let mut bases = args.bases.clone();
    if bases.is_empty() {
        bases.extend([Form::Seed, Form::Mainline]);
    }
    let mut rows: Vec<Row<'_>> = Vec::new();
    for kernel in kernels {
        for &base in &bases {
            for config in &args.configs {
                let same = |row: &Row<'_>| {
                    row.kernel.name == kernel.name && row.base == base && row.config == config
                };
                if !rows.iter().any(same) {
                    rows.push(Row {
                        kernel,
                        base,
                        config,
                    });
                }
            }
        }
    }
    rows
}

/// `vm matrix`
pub fn run(args: &VmMatrixArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.only).is_empty() {
        ui.text(&scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    for config in &args.configs {
        kernel::config(args.how.machine.arch(), config)?;
    }
    let rows = plan(args);
    let cache = Cache::open()?;
    let output = output(args.how.output.as_deref(), &cache)?;
    let several = rows.iter().any(|row| row.config != rows[0].config);
    let jobs: Vec<Job> = rows
        .iter()
        .map(|row| row.job(args, &output, several))
        .collect();
    let results = batch::run(&jobs, &|_, _| true, &args.how, &cache, ui)?;
    let report = MatrixReport {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        runs: rows
            .iter()
            .zip(results)
            .map(|(row, result)| row.result(result))
            .collect(),
    };
    cache::write_report(&output.join("matrix.json"), &report)?;
    report::print_simple(&report, args.how.format, &mut std::io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &output.display().to_string());
    Ok(report.exit())
}

impl Row<'_> {
    /// Job that builds and runs this kernel.
    fn job(&self, args: &VmMatrixArgs, output: &Path, several: bool) -> Job {
        Job {
            label: self.label(several),
            kernel: KernelArgs::packaged(
                self.kernel,
                self.base,
                self.config,
                args.how.machine,
                Vec::new(),
            ),
            runs: vec![Run {
                only: args.only.clone(),
                output: self.output(output),
            }],
        }
    }

    /// Row of the report.
    fn result(&self, result: Result<Vec<Report>>) -> MatrixRun {
        let (error, report) = match result {
            Ok(mut reports) => (None, reports.pop()),
            Err(error) => (Some(format!("{error:#}")), None),
        };
        MatrixRun {
            kernel: self.kernel.name.to_owned(),
            base: self.base.name().to_owned(),
            config: self.config.to_owned(),
            error,
            report,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::vm::args::VmCommand;

    fn args(words: &[&str]) -> VmMatrixArgs {
        let all = ["mn-inject", "vm", "matrix"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Vm(VmCommand::Matrix(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn labels(args: &VmMatrixArgs) -> Vec<String> {
        plan(args).iter().map(|row| row.label(true)).collect()
    }

    #[test]
    fn by_default_all_kernels_run_with_both_bases() {
        assert_eq!(
            labels(&args(&[])),
            [
                "7.3 seed core",
                "7.3 mainline core",
                "7.2 seed core",
                "7.2 mainline core"
            ]
        );
        let some = [
            "--kernel", "7.2", "--base", "mainline", "--config", "debug", "--config", "core",
            "--kernel", "7.2",
        ];
        assert_eq!(
            labels(&args(&some)),
            ["7.2 mainline debug", "7.2 mainline core"]
        );
    }

    #[test]
    fn each_row_has_an_output_directory_of_its_own() {
        let args = args(&[]);
        let rows = plan(&args);
        let all = Path::new("/o");
        let outputs: std::collections::HashSet<_> =
            rows.iter().map(|row| row.output(all)).collect();
        assert_eq!(outputs.len(), rows.len());
        assert_eq!(rows[2].label(false), "7.2 seed");
    }

    #[test]
    fn a_row_that_could_not_run_has_the_reason() {
        let args = args(&[]);
        let error = anyhow::anyhow!("no such file").context("[kernel] x");
        let run = plan(&args)[0].result(Err(error));
        assert_eq!(run.error.as_deref(), Some("[kernel] x: no such file"));
        assert_eq!(run.exit(), Exit::NoVerdict);
    }
}
