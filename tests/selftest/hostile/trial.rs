// SPDX-License-Identifier: GPL-2.0

//! One run, as a user types it, and its report.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use tempfile::TempDir;

use mn_inject::model::Ownership;
use mn_inject::model::Report;
use mn_inject::os::limit::Limit;
use mn_inject::os::wait::{WaitError, Waiter};

use crate::hostile::condition::{Condition, Disturber};
use crate::task::HostileOptions;

/// Time limit for a run, under any condition.
const LIMIT: Duration = Duration::from_secs(900);

/// Time between two reports of progress.
pub(crate) const SAY_EVERY: Duration = Duration::from_secs(1);

/// Starts runs and reads their reports.
pub(crate) struct Trials<'a> {
    options: &'a HostileOptions,
    machine: Ownership,
    pub(crate) waiter: &'a Waiter,
    say: &'a mut dyn FnMut(&str),
    dir: TempDir,
}

/// The result of a disturbed run.
pub(crate) struct Disturbed {
    pub(crate) report: Report,
    /// Number of acts of the condition.
    pub(crate) acts: u64,
    /// Finding of the disturbing process.
    pub(crate) finding: Option<String>,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(
        options: &'a HostileOptions,
        machine: Ownership,
        waiter: &'a Waiter,
        say: &'a mut dyn FnMut(&str),
    ) -> Result<Self> {
        Ok(Trials {
            options,
            machine,
            waiter,
            say,
            dir: tempfile::tempdir().context("cannot make a directory for the reports")?,
        })
    }

    pub(crate) fn say(&mut self, what: &str) {
        (self.say)(what);
    }

    /// Lines that the last run wrote to stderr.
    pub(crate) fn said(&self) -> String {
        let said = std::fs::read(self.dir.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// Starts a run of the scenarios of the options, or of `only`. Returns its process id and the
    /// path of its report.
    pub(crate) fn start(&self, module: Option<&Path>, only: &[&str]) -> Result<(Pid, PathBuf)> {
        let output = self.dir.path().join("output");
        if output.exists() {
            std::fs::remove_dir_all(&output)
                .with_context(|| format!("cannot remove {}", output.display()))?;
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg("run").arg("--output").arg(&output);
        if let Some(module) = module {
            command.arg("--module").arg(module);
        }
        if self.machine == Ownership::Ours {
            command.arg("--disposable");
        }
        let of_options = self.options.only.iter().map(String::as_str);
        for pattern in of_options
            .filter(|_| only.is_empty())
            .chain(only.iter().copied())
        {
            command.arg("--only").arg(pattern);
        }
        let said = self.dir.path().join("stderr");
        let said =
            File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .context("cannot start a run (this program again)")?;
        let pid = Pid::from_raw(child.id().try_into().context("no process id")?);
        Ok((pid, output.join("report.json")))
    }

    /// Waits for the end of a run. Returns `None` if it has not ended within the limit, which does
    /// not run while this process cannot look.
    pub(crate) fn ended_within(
        &mut self,
        what: &str,
        run: Pid,
        limit: Duration,
    ) -> Result<Option<WaitStatus>> {
        let mut limit = Limit::new(limit);
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                (self.say)(what);
                next = Instant::now() + SAY_EVERY;
            }
            match self.waiter.child(run, "the end of the run", limit.slice()) {
                Ok(WaitStatus::Stopped(..) | WaitStatus::Continued(..)) => {}
                Ok(status) => return Ok(Some(status)),
                Err(WaitError::Deadline { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if limit.is_over() {
                return Ok(None);
            }
        }
    }

    /// Waits for the end of a run, and reads its report.
    pub(crate) fn finish(&mut self, what: &str, run: Pid, path: &Path) -> Result<Report> {
        let Some(status) = self.ended_within(what, run, LIMIT)? else {
            bail!("{what}: the run did not end within {LIMIT:?}");
        };
        let WaitStatus::Exited(_, code) = status else {
            bail!("{what}: the run ended with {status:?}");
        };
        let text = std::fs::read(path).with_context(|| {
            let said = self.said();
            format!("{what}: the run ended with {code} and left no report; it said: {said}")
        })?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("{what}: cannot read the report of the run"))?;
        let exit = report.exit() as i32;
        if code != exit {
            bail!("{what}: the run ended with {code}, and its report means {exit}");
        }
        Ok(report)
    }

    /// Makes an undisturbed run.
    pub(crate) fn undisturbed(&mut self, module: Option<&Path>) -> Result<Report> {
        let (run, path) = self.start(module, &[])?;
        self.finish("undisturbed", run, &path)
    }

    /// Makes a run under a condition.
    pub(crate) fn disturbed(&mut self, condition: &Condition) -> Result<Disturbed> {
        (self.say)(condition.name);
        let mut disturber = Disturber::start(condition, self.options.seed, self.waiter)?;
        let (run, path) = self.start(None, &[])?;
        disturber.disturb(run)?;
        let report = self.finish(condition.name, run, &path);
        let (acts, finding) = match disturber.end(self.waiter)? {
            Ok(acts) => (acts, None),
            Err(wrong) => (0, Some(format!("{}: {wrong}", condition.name))),
        };
        Ok(Disturbed {
            report: report?,
            acts,
            finding,
        })
    }
}
