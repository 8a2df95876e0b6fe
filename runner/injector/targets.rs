// SPDX-License-Identifier: GPL-2.0

//! Targets: their names, the lines that attach and detach them, and the list of all.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::injector::files::{control_file, path, target_file};
use crate::injector::formats;
use crate::injector::formats::Target;
use crate::model::Counters;
use crate::os::kernel;

/// First part of the names of a run's targets; the pid of the run, that of the process and the
/// target's number follow.
const NAME_PREFIX: &str = "mn-inject.";

/// Name of the target, without a notifier, by which a run claims the module: names are unique.
pub(super) const CLAIM: &str = "mn-inject.run";

/// A notifier to be attached to a process.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    /// The process.
    pub pid: i32,
    /// The target's number among those of the process, which is part of its name.
    pub index: usize,
    /// The kind of notifier, by the module's name for it.
    pub kind: &'a str,
    /// The addresses of an interval notifier.
    pub range: Option<(u64, u64)>,
}

impl Attach<'_> {
    /// The target's name.
    pub fn name(&self) -> String {
        format!(
            "{NAME_PREFIX}{}-{}-{}",
            std::process::id(),
            self.pid,
            self.index
        )
    }

    /// The line that attaches it.
    pub fn line(&self) -> String {
        self.line_to(&self.pid.to_string(), "")
    }

    /// The line that attaches it to another object than the process (`@NAME` is the address space
    /// of a target), registered in another way if `how` is not empty.
    pub fn line_to(&self, object: &str, how: &str) -> String {
        let mut line = format!("attach {object} name={} kind={}", self.name(), self.kind);
        if let Some((start, end)) = self.range {
            line.push_str(&format!(" range={start:#x}-{end:#x}"));
        }
        if !how.is_empty() {
            line.push_str(&format!(" how={how}"));
        }
        line
    }
}

/// The line that detaches a target.
pub fn detach_line(name: &str) -> String {
    format!("detach {name}")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Lists all targets.
///
/// # Errors
///
/// `control` cannot be read, or is not as the module writes it.
pub fn targets() -> Result<Vec<Target>> {
    let path = control_file();
    formats::targets(&read(&path)?).with_context(|| format!("in {}", path.display()))
}

/// Log entries of all targets since the module was loaded.
///
/// # Errors
///
/// `total` cannot be read, or does not hold a number.
pub fn total_entries() -> Result<u64> {
    let path = path("total");
    let text = read(&path)?;
    formats::total(&text)
        .with_context(|| format!("{} does not hold a number: {text:?}", path.display()))
}

/// The module's counters of the target with that name.
///
/// # Errors
///
/// `counters` cannot be read, or is not as the module writes it.
pub fn counters(name: &str) -> Result<Counters> {
    let path = target_file(name, "counters");
    let counters = formats::Counters::parse(&read(&path)?)
        .with_context(|| format!("in {}", path.display()))?;
    Ok(Counters::from(&counters))
}

/// Whether the module was loaded with `breach=1`.
///
/// # Errors
///
/// `breach` cannot be read, or holds neither 0 nor 1.
pub fn may_break_rules() -> Result<bool> {
    let path = path("breach");
    formats::breach(&read(&path)?).with_context(|| format!("in {}", path.display()))
}

/// Whether that process is the run that has claimed the module. False if `control` cannot be read.
pub fn is_claimed_by(run: Pid) -> bool {
    targets().is_ok_and(|targets| {
        targets
            .iter()
            .any(|target| target.name == CLAIM && target.pid == run.as_raw())
    })
}

/// Names of the targets that killed runs have left. A target that was attached through the device
/// is not among them: it was detached when the run's files were closed.
///
/// # Errors
///
/// As [`targets`].
pub fn stale() -> Result<Vec<String>> {
    let names = targets()?.into_iter().map(|target| target.name);
    Ok(names.filter(|name| is_stale(name)).collect())
}

/// Names of the notifiers that are not of this run. Their log entries are counted in
/// [`total_entries`], too.
///
/// # Errors
///
/// As [`targets`].
pub fn notifiers_of_others() -> Result<Vec<String>> {
    Ok(of_others(targets()?, std::process::id()))
}

fn of_others(targets: Vec<Target>, run: u32) -> Vec<String> {
    let own = format!("{NAME_PREFIX}{run}-");
    let notifiers = targets.into_iter().filter(|target| target.kind.is_some());
    notifiers
        .map(|target| target.name)
        .filter(|name| !name.starts_with(&own))
        .collect()
}

/// Whether a target is, by its name, one of a run that has ended.
fn is_stale(name: &str) -> bool {
    let run = name
        .strip_prefix(NAME_PREFIX)
        .and_then(|rest| rest.split_once('-'));
    run.is_some_and(|(pid, _)| kernel::is_dead(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_target_of_a_dead_run_is_stale() {
        let alive = std::process::id();
        assert!(is_stale("mn-inject.4194305-7-1001"));
        assert!(!is_stale(&format!("mn-inject.{alive}-7-1001")));
        for others in [
            "mn-inject.run",
            "kvm",
            "x-mn-inject.4194305-7",
            "mn-inject.4194305",
        ] {
            assert!(!is_stale(others), "{others}");
        }
    }

    #[test]
    fn notifiers_of_others_are_those_of_no_process_of_this_run() {
        let text = "name=mn-inject.run pid=7 kind=none range=all owner=session state=live\n\
                    name=mn-inject.7-8-0 pid=8 kind=plain range=all owner=session state=live\n\
                    name=mn-inject.7-8-1 pid=8 kind=none range=all owner=session state=live\n\
                    name=mn-inject.77-8-0 pid=8 kind=plain range=all owner=session state=live\n\
                    name=gpu pid=9 kind=interval range=all owner=control state=gone\n";
        let targets = formats::targets(text).unwrap();
        assert_eq!(of_others(targets, 7), ["mn-inject.77-8-0", "gpu"]);
    }

    #[test]
    fn lines_are_as_the_module_takes_them() {
        let run = std::process::id();
        let attach = Attach {
            pid: 12,
            index: 3,
            kind: "interval",
            range: Some((0x1000, 0x2000)),
        };
        let name = format!("mn-inject.{run}-12-3");
        assert_eq!(attach.name(), name);
        assert_eq!(
            attach.line(),
            format!("attach 12 name={name} kind=interval range=0x1000-0x2000")
        );
        let plain = Attach {
            kind: "plain",
            range: None,
            ..attach
        };
        assert_eq!(
            plain.line_to("@holder", "locked"),
            format!("attach @holder name={name} kind=plain how=locked")
        );
        assert_eq!(detach_line(&name), format!("detach {name}"));
    }
}
