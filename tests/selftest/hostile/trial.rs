// SPDX-License-Identifier: GPL-2.0

//! One run, as a user types it, and what it says.

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
use mn_inject::os::wait::{WaitError, Waiter};

use crate::hostile::condition::{Condition, Disturber};
use crate::task::HostileOptions;

/// How long a run may take, whoever disturbs it.
const LIMIT: Duration = Duration::from_secs(900);

/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Makes runs.
pub(crate) struct Trials<'a> {
    options: &'a HostileOptions,
    machine: Ownership,
    pub(crate) waiter: &'a Waiter,
    say: &'a mut dyn FnMut(&str),
    dir: TempDir,
}

/// What came of a run that was disturbed.
pub(crate) struct Disturbed {
    pub(crate) report: Report,
    /// How often it was.
    pub(crate) acts: u64,
    /// What whoever disturbed it found wrong.
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

    /// Starts a run of the scenarios of the options, or of `only`. Its report goes to the second
    /// that is returned.
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

    /// Waits for the end of a run; nothing where it does not come within that time.
    pub(crate) fn ended_within(
        &mut self,
        what: &str,
        run: Pid,
        limit: Duration,
    ) -> Result<Option<WaitStatus>> {
        let until = Instant::now() + limit;
        loop {
            (self.say)(what);
            let left = until.saturating_duration_since(Instant::now());
            let slice = left.min(SAY_EVERY);
            match self.waiter.child(run, "the end of the run", slice) {
                Ok(WaitStatus::Stopped(..) | WaitStatus::Continued(..)) => {}
                Ok(status) => return Ok(Some(status)),
                Err(WaitError::Deadline { .. }) if Instant::now() < until => {}
                Err(WaitError::Deadline { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
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
            let said = std::fs::read(self.dir.path().join("stderr")).unwrap_or_default();
            format!(
                "{what}: the run ended with {code} and left no report; it said: {}",
                String::from_utf8_lossy(&said).trim()
            )
        })?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("{what}: cannot read the report of the run"))?;
        let exit = report.exit() as i32;
        if code != exit {
            bail!("{what}: the run ended with {code}, and its report means {exit}");
        }
        Ok(report)
    }

    /// A run that nobody disturbs.
    pub(crate) fn undisturbed(&mut self, module: Option<&Path>) -> Result<Report> {
        let (run, path) = self.start(module, &[])?;
        self.finish("undisturbed", run, &path)
    }

    /// A run under a condition.
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
