// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm matrix`: the suite on many kernels, side by side.
//!
//! All kernels of one source are built in one tree and in one thread, one after the other; sources
//! are built at the same time, and a kernel that was built runs while the next one builds.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, anyhow};

use super::cache::{self, Cache};
use super::deps;
use super::kernel::{self, Built};
use super::kernels::{KERNELS, Packaged};
use super::progress::Ui;
use super::room::{Room, Work};
use super::signals::{self, Interrupted};
use super::suite::{self, Suite};
use super::{Needs, output, provide};
use crate::cli::{Base, KernelArgs, VmMatrixArgs};
use crate::exit::Exit;
use crate::matrix::{MatrixReport, MatrixRun, SCHEMA};
use crate::model::{Expect, Report};
use crate::report;
use crate::scenario;

/// One row.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    kernel: &'static Packaged,
    base: Base,
    config: &'a str,
}

impl Row<'_> {
    /// The form that its kernel must have.
    fn expect(&self) -> Expect {
        match self.base {
            Base::Seed => Expect::Seed,
            Base::Mainline => Expect::Mainline,
        }
    }

    /// What a person calls it; `several` configurations have to be told apart.
    fn label(&self, several: bool) -> String {
        let config = if several { self.config } else { "" };
        format!("{} {} {config}", self.kernel.name, self.base.name())
            .trim_end()
            .to_owned()
    }

    /// Where its logs and its report go.
    fn output(&self, all: &Path) -> PathBuf {
        all.join(format!(
            "{}-{}-{}",
            self.kernel.name,
            self.base.name(),
            self.config
        ))
    }
}

/// The rows, in the order in which they are reported: no two are the same.
fn plan(args: &VmMatrixArgs) -> Vec<Row<'_>> {
    let mut kernels = args.kernels.clone();
    if kernels.is_empty() {
        kernels.extend(KERNELS);
    }
    let mut bases = args.bases.clone();
    if bases.is_empty() {
        bases.extend([Base::Seed, Base::Mainline]);
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

/// The places of the rows of each source, in the order in which they are built.
fn lanes(rows: &[Row<'_>]) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let package = row.kernel.package;
        match lanes.iter_mut().find(|(known, _)| *known == package) {
            Some((_, lane)) => lane.push(at),
            None => lanes.push((package, vec![at])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// What all rows share.
struct Matrix<'a> {
    args: &'a VmMatrixArgs,
    rows: Vec<Row<'a>>,
    output: PathBuf,
    room: Room,
    cache: Cache,
    ui: &'a Ui,
    /// What came of each row so far.
    results: Mutex<Vec<Option<Result<Report>>>>,
}

/// `vm matrix`
pub fn run(args: &VmMatrixArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.only).is_empty() {
        ui.text(&scenario::none_matches(&args.only));
        return Ok(Exit::Usage);
    }
    for config in &args.configs {
        kernel::config(config)?;
    }
    let rows = plan(args);
    let cache = Cache::open()?;
    let output = output(args.output.as_deref(), &cache)?;
    for row in &rows {
        cache::make_dir(&row.output(&output))?;
    }
    // Once for all: two package managers at a time do not get along.
    let uses = deps::Uses {
        packaged: true,
        patches: rows.iter().any(|row| row.base == Base::Seed),
        shell: false,
    };
    deps::provide(uses, args.install_deps, ui)?;

    let results = Mutex::new(rows.iter().map(|_| None).collect());
    let matrix = Matrix {
        args,
        rows,
        output,
        room: Room::of_this_machine(),
        cache,
        ui,
        results,
    };
    let lanes = lanes(&matrix.rows);
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| matrix.work_off(lane)))
            .collect();
        join(threads);
    });
    let report = matrix.report()?;
    let text = serde_json::to_vec_pretty(&report).context("cannot write the report as JSON")?;
    cache::write_atomically(&matrix.output.join("matrix.json"), &text)?;
    report::print_matrix(&report, args.format, &mut std::io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &matrix.output.display().to_string());
    Ok(report.exit())
}

/// Waits for all of them. One that panicked has said so, and its row has no result.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        drop(thread.join());
    }
}

impl Matrix<'_> {
    /// Builds the kernels of one source, and lets each run as soon as it is there.
    fn work_off(&self, lane: &[usize]) {
        std::thread::scope(|scope| {
            let mut guests = Vec::new();
            for &at in lane {
                let (row, ui) = (self.rows[at], self.ui_of(at));
                match self.build(row, &ui) {
                    Ok(built) => guests.push(scope.spawn(move || {
                        let report = self.judge(row, &built, &ui);
                        self.end(at, report, &ui);
                    })),
                    Err(error) => self.end(at, Err(error), &ui),
                }
            }
            join(guests);
        });
    }

    fn ui_of(&self, at: usize) -> Ui {
        let several = self
            .rows
            .iter()
            .any(|row| row.config != self.rows[0].config);
        self.ui.of_run(self.rows[at].label(several))
    }

    fn build(&self, row: Row<'_>, ui: &Ui) -> Result<Built> {
        let kernel = KernelArgs {
            kernel: row.kernel,
            base: row.base,
            config: row.config.to_owned(),
            patch: Vec::new(),
            linux: None,
            install_deps: false,
        };
        let _place = self.room.enter(Work::Build);
        signals::check()?;
        provide(&kernel, Needs::default(), &self.cache, ui)
    }

    fn judge(&self, row: Row<'_>, built: &Built, ui: &Ui) -> Result<Report> {
        let output = row.output(&self.output);
        let suite = Suite {
            expect: row.expect(),
            only: &self.args.only,
            accel: self.args.accel,
            append: None,
            output: &output,
        };
        suite::judge(built, &suite, &self.room, &self.cache, ui)
    }

    /// Keeps what came of a row.
    fn end(&self, at: usize, result: Result<Report>, ui: &Ui) {
        match &result {
            Ok(_) => {}
            // Said once, and not by every row.
            Err(error) if error.is::<Interrupted>() => {}
            // The rest stands below the table.
            Err(error) => {
                let text = format!("{error:#}");
                ui.line("error", text.lines().next().unwrap_or_default());
            }
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results[at] = Some(result);
    }

    /// The report, of all rows.
    fn report(&self) -> Result<MatrixReport> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = self
            .rows
            .iter()
            .zip(results.iter_mut())
            .map(|(row, result)| {
                let result = result.take().unwrap_or_else(|| {
                    Err(anyhow!("its thread panicked; that is a bug of mn-inject's"))
                });
                row.came_to(result)
            });
        Ok(MatrixReport {
            schema: SCHEMA,
            tool: concat!("mn-inject ", env!("CARGO_PKG_VERSION")).to_owned(),
            runs: runs.collect::<Result<_>>()?,
        })
    }
}

impl Row<'_> {
    /// The row in the report.
    ///
    /// # Errors
    ///
    /// [`Interrupted`], which is the whole matrix's.
    fn came_to(&self, result: Result<Report>) -> Result<MatrixRun> {
        let (error, report) = match result {
            Ok(report) => (None, Some(report)),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => (Some(format!("{error:#}")), None),
        };
        Ok(MatrixRun {
            kernel: self.kernel.name.to_owned(),
            base: self.base.name().to_owned(),
            config: self.config.to_owned(),
            error,
            report,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, VmCommand};

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
    fn the_plan_is_all_kernels_in_both_forms() {
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
    fn each_row_demands_the_form_of_its_base_and_has_a_place_of_its_own() {
        let args = args(&[]);
        let rows = plan(&args);
        let all = Path::new("/o");
        let outputs: std::collections::HashSet<_> =
            rows.iter().map(|row| row.output(all)).collect();
        assert_eq!(outputs.len(), rows.len());
        let expected: Vec<_> = rows.iter().map(Row::expect).collect();
        let both = [Expect::Seed, Expect::Mainline];
        assert_eq!(expected, [both, both].concat());
        assert_eq!(rows[2].label(false), "7.2 seed");
    }

    #[test]
    fn what_is_built_in_one_tree_is_built_in_one_lane() {
        let all = args(&[]);
        assert_eq!(lanes(&plan(&all)), [[0, 1], [2, 3]]);
        let one = args(&["--kernel", "7.2"]);
        assert_eq!(lanes(&plan(&one)), [[0, 1]]);
    }

    #[test]
    fn a_row_that_could_not_run_says_why_and_an_interrupted_one_ends_all() {
        let args = args(&[]);
        let row = plan(&args)[0];
        let run = row.came_to(Err(anyhow!("no such file").context("[kernel] x")));
        let run = run.unwrap();
        assert_eq!(run.error.as_deref(), Some("[kernel] x: no such file"));
        assert_eq!(run.exit(), Exit::NoVerdict);
        let error = row.came_to(Err(Interrupted.into())).unwrap_err();
        assert!(error.is::<Interrupted>());
    }
}
