// SPDX-License-Identifier: GPL-2.0

//! Kills a run at random moments, and checks that nothing of it is left over.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use mn_inject::injector;
use mn_inject::injector::LoadedModule;
use mn_inject::model::Report;
use mn_inject::model::exit::Exit;
use mn_inject::observe::CGROUP_PREFIX;
use mn_inject::os::cgroup;
use mn_inject::os::limit::Limit;

use crate::exercise::Exercise;
use crate::hostile::compare::{compare, without_verdict};
use crate::hostile::trial::{SAY_EVERY, Trials};
use crate::random::Rng;
use crate::task::HostileOptions;

/// Time limit for the end of all processes of a killed run.
const GONE: Duration = Duration::from_secs(60);

/// Scenarios of the run after a kill: each way to make a notifier fail.
const NEXT: &[&str] = &["munmap-whole-eagain", "mrelease-eagain", "r04-all-agree"];

/// Kills runs and checks what they leave over. In turns, the run loads the module itself, and then
/// must not leave it loaded, or the module is loaded before the run.
pub(crate) fn run(
    options: &HostileOptions,
    module: &Path,
    baseline: &Report,
    trials: &mut Trials<'_>,
    exercise: &mut Exercise,
) -> Result<()> {
    if options.kills == 0 {
        return Ok(());
    }
    // Processes that outlive a killed run become children of this one, which waits for them.
    prctl::set_child_subreaper(true).context("PR_SET_CHILD_SUBREAPER failed")?;
    let mut rng = Rng::new(options.seed);
    let mut kills = Kills::default();
    // The next run leaves out the scenarios that fail on this kernel anyway.
    let next: Vec<&str> = NEXT
        .iter()
        .copied()
        .filter(|name| passes(baseline, name))
        .collect();
    while kills.killed < options.kills {
        let what = format!("kill {} of {}", kills.killed + 1, options.kills);
        let moment = Duration::from_millis(baseline.millis).mul_f64(rng.fraction());
        let finding = match kills.one(module, trials, &what, moment)? {
            None => passes_again(module, trials, &what, &next)?,
            finding => finding,
        };
        if let Some(finding) = finding {
            let when = when(&what, moment);
            exercise.findings.push(format!("{when}: {finding}"));
            break;
        }
    }
    for (name, count) in [
        ("runs killed", kills.killed),
        ("runs that were over before", kills.ended),
    ] {
        exercise.operations.push((name.to_owned(), count));
    }
    compare_afterwards(module, baseline, trials, exercise)
}

/// Counts of the operations.
#[derive(Debug, Default)]
struct Kills {
    killed: u64,
    /// Runs that came to their end before.
    ended: u64,
}

impl Kills {
    /// Starts a run and kills it at that moment. Returns what it has left, where it has left
    /// something.
    fn one(
        &mut self,
        module: &Path,
        trials: &mut Trials<'_>,
        what: &str,
        moment: Duration,
    ) -> Result<Option<String>> {
        let loads = self.killed.is_multiple_of(2);
        let loaded = if loads {
            None
        } else {
            Some(LoadedModule::load(module, c"breach=1")?)
        };
        let (run, _) = trials.start(loads.then_some(module), &[])?;
        if trials.ended_within(what, run, moment)?.is_some() {
            self.ended += 1;
        } else {
            kill(run, Signal::SIGKILL).context("cannot kill the run")?;
            waitpid(run, None).context("cannot wait for the run")?;
            self.killed += 1;
        }
        orphans_gone(trials, &when(what, moment))?;
        let left = left_over(loaded.is_some());
        Ok((!left.is_empty()).then(|| {
            let (left, said) = (left.join(", "), trials.said());
            format!("left over: {left}; it said: {said:?}")
        }))
    }
}

fn when(what: &str, moment: Duration) -> String {
    format!("{what}, {} ms after it began", moment.as_millis())
}

/// Runs these scenarios, and says why they do not pass, where they do not.
fn passes_again(
    module: &Path,
    trials: &mut Trials<'_>,
    what: &str,
    next: &[&str],
) -> Result<Option<String>> {
    if next.is_empty() {
        return Ok(None);
    }
    let (run, path) = trials.start(Some(module), next)?;
    let report = trials.finish(what, run, &path)?;
    Ok((report.exit() != Exit::Pass).then(|| {
        format!(
            "the next run does not pass: {}",
            without_verdict(&report).join("; ")
        )
    }))
}

/// A whole run after the kills, which must come to the same verdicts as before.
fn compare_afterwards(
    module: &Path,
    baseline: &Report,
    trials: &mut Trials<'_>,
    exercise: &mut Exercise,
) -> Result<()> {
    let loaded = LoadedModule::load(module, c"breach=1")?;
    let after = trials.undisturbed(None)?;
    drop(loaded);
    let compared = compare("after the kills", baseline, &after);
    exercise.operations.push((
        "scenarios with the same verdict after the kills".to_owned(),
        compared.same,
    ));
    exercise.findings.extend(compared.findings);
    if compared.open > 0 {
        exercise.findings.push(format!(
            "after the kills there is no verdict on {} scenarios: {}",
            compared.open,
            without_verdict(&after).join("; ")
        ));
    }
    Ok(())
}

fn passes(report: &Report, name: &str) -> bool {
    let mut results = report.scenarios.iter();
    results.any(|result| result.name == name && result.verdict == mn_inject::model::Verdict::Pass)
}

/// Waits until every process of a killed run has ended: they have become children of this process.
///
/// # Errors
///
/// One is still there after [`GONE`], without the time in which this process cannot look.
fn orphans_gone(trials: &mut Trials<'_>, when: &str) -> Result<()> {
    let mut limit = Limit::new(GONE);
    let mut next = Instant::now() + SAY_EVERY;
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) => {
                if limit.is_over() {
                    bail!("{when}: a process of the run is still there after {GONE:?}");
                }
                if Instant::now() >= next {
                    trials.say(when);
                    next = Instant::now() + SAY_EVERY;
                }
                trials.waiter.child_changes(limit.slice())?;
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("cannot wait for children"),
        }
    }
}

/// Describes everything that a run has left over.
fn left_over(was_loaded: bool) -> Vec<String> {
    let mut left = Vec::new();
    if injector::is_there() != was_loaded {
        left.push(if was_loaded {
            "the module is gone".to_owned()
        } else {
            "the module is loaded".to_owned()
        });
    }
    if was_loaded {
        match fs::read_to_string(injector::control_file()) {
            Ok(targets) if targets.is_empty() => {}
            Ok(targets) => left.push(format!("targets: {}", targets.trim().replace('\n', "; "))),
            Err(error) => left.push(format!("the targets cannot be read: {error}")),
        }
    }
    match cgroup::all(CGROUP_PREFIX) {
        Ok(cgroups) => left.extend(cgroups.into_iter().map(|name| format!("cgroup {name}"))),
        Err(error) => left.push(format!("{error:#}")),
    }
    left
}
