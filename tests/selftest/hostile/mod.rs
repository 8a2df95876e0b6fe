// SPDX-License-Identifier: GPL-2.0

//! Runs the scenarios while somebody disturbs them, and kills the run at random moments: under no
//! [`conditions`] may a verdict change to another one. There may be none, with the reason.
//!
//! Each run is `mn-inject run` as a user would type it. What disturbs it is another process.

pub mod condition;
mod conditions;
mod kills;
mod trial;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use mn_inject::injector::LoadedModule;
use mn_inject::model::Ownership;
use mn_inject::model::exit::Exit;
use mn_inject::model::{Report, Verdict};
use mn_inject::os::wait::Waiter;
use mn_inject::report;
use mn_inject::scenario;

use crate::exercise::Exercise;
use crate::hostile::condition::Disturber;
use crate::hostile::conditions::{CONDITIONS, Condition};
use crate::hostile::trial::Trials;
use crate::task::HostileOptions;

/// The names of all conditions.
pub fn names() -> Vec<&'static str> {
    CONDITIONS.iter().map(|condition| condition.name).collect()
}

/// Carries it out, with the module of that file.
pub fn run(
    options: &HostileOptions,
    module: &Path,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
) -> Exercise {
    let begin = Instant::now();
    let mut exercise = Exercise::default();
    if let Err(error) = carry_out(options, module, machine, say, &mut exercise) {
        exercise.trouble.push(format!("{error:#}"));
    }
    exercise.millis = begin.elapsed().as_millis() as u64;
    exercise
}

fn carry_out(
    options: &HostileOptions,
    module: &Path,
    machine: Ownership,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    if scenario::select(&options.only).is_empty() {
        bail!("{}", scenario::none_matches(&options.only));
    }
    let chosen: Vec<&Condition> = match options.condition.as_slice() {
        [] => CONDITIONS.iter().collect(),
        names => CONDITIONS
            .iter()
            .filter(|condition| names.iter().any(|name| name == condition.name))
            .collect(),
    };
    let waiter = Waiter::new().context("cannot block signals")?;
    let mut trials = Trials::new(options, machine, &waiter, say)?;

    let loaded = LoadedModule::load(module, c"breach=1")?;
    let baseline = trials.undisturbed(None)?;
    if report::exit(&baseline) == Exit::NoVerdict {
        bail!(
            "undisturbed there is no verdict on this kernel already: {}",
            without_verdict(&baseline).join("; ")
        );
    }
    exercise.operations.push((
        "scenarios undisturbed".to_owned(),
        baseline.verdicts().count() as u64,
    ));
    for condition in chosen {
        let disturbed = trials.disturbed(condition)?;
        let compared = compare(condition.name, &baseline, &disturbed.report);
        for (what, count) in [
            (condition.unit, disturbed.acts),
            ("scenarios with the same verdict", compared.same),
            ("scenarios without a verdict", compared.open),
        ] {
            let name = format!("{}: {what}", condition.name);
            exercise.operations.push((name, count));
        }
        exercise.findings.extend(compared.findings);
        exercise.findings.extend(disturbed.finding);
        if disturbed.acts == 0 {
            exercise.trouble.push(format!(
                "{}: it never came to disturb anything",
                condition.name
            ));
        }
    }
    drop(loaded);

    kills::run(options, module, &baseline, &mut trials, exercise)
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail { .. } => "fail",
        Verdict::KnownBug { .. } => "known bug",
        Verdict::NoVerdict { .. } => "no verdict",
        Verdict::Skip { .. } => "skip",
    }
}

/// A verdict with all that it says.
fn in_full(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap_or_else(|error| error.to_string())
}

/// Why there is no verdict, as far as there is none.
fn without_verdict(report: &Report) -> Vec<String> {
    let open = report
        .verdicts()
        .filter_map(|(name, verdict)| match verdict {
            Verdict::NoVerdict { reasons } => Some(format!("{name}: {}", reasons.join(", "))),
            _ => None,
        });
    report.trouble.iter().cloned().chain(open).collect()
}

/// A run under a condition, held against one without.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    same: u64,
    open: u64,
    findings: Vec<String>,
}

fn compare(condition: &str, baseline: &Report, report: &Report) -> Compared {
    let mut compared = Compared::default();
    for (name, before) in baseline.verdicts() {
        let after = report.verdicts().find(|(other, _)| *other == name);
        match after.map(|(_, verdict)| verdict) {
            Some(after) if word(after) == word(before) => compared.same += 1,
            Some(Verdict::NoVerdict { .. }) => compared.open += 1,
            // What could not even begin; the report's trouble says why.
            None | Some(Verdict::Skip { .. }) if !report.trouble.is_empty() => compared.open += 1,
            after => compared.findings.push(format!(
                "{condition}: {name} was {} and became {}",
                in_full(before),
                after.map_or_else(|| "nothing".to_owned(), in_full)
            )),
        }
    }
    let (before, after) = (report::exit(baseline), report::exit(report));
    if after != before && after != Exit::NoVerdict {
        compared.findings.push(format!(
            "{condition}: the exit code was {} and became {}",
            before as u8, after as u8
        ));
    }
    if after == Exit::NoVerdict && without_verdict(report).is_empty() {
        compared.findings.push(format!(
            "{condition}: the exit code is {}, and no reason is given",
            after as u8
        ));
    }
    compared
}

/// The process's own end of [`Disturber`].
pub fn main(args: &condition::ConditionArgs) -> Result<()> {
    let condition = CONDITIONS
        .iter()
        .find(|condition| condition.name == args.name)
        .with_context(|| format!("there is no condition {:?}", args.name))?;
    Disturber::main(condition, args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mn_inject::model::{Expect, Finding, FindingKind, Recognised, SCHEMA, ScenarioResult};

    fn fail() -> Verdict {
        Verdict::Fail {
            findings: vec![Finding::new(FindingKind::DidNotFire, "x".to_owned())],
        }
    }

    fn open(reasons: &[&str]) -> Verdict {
        Verdict::NoVerdict {
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        }
    }

    fn run(verdicts: &[Verdict], trouble: &[&str]) -> Report {
        let scenarios = verdicts.iter().enumerate();
        let scenarios = scenarios
            .map(|(at, verdict)| ScenarioResult::new(format!("scenario-{at}"), verdict.clone()));
        Report {
            schema: SCHEMA,
            tool: String::new(),
            kernel: None,
            vm: None,
            form: Recognised::Seed,
            expect: Expect::Auto,
            planned: verdicts.len(),
            form_verdict: Verdict::Pass,
            scenarios: scenarios.collect(),
            unit_tests: Vec::new(),
            complaints: Vec::new(),
            trouble: trouble.iter().map(|text| (*text).to_owned()).collect(),
            millis: 1,
        }
    }

    fn wrong(baseline: &[Verdict], disturbed: &Report) -> bool {
        !compare("x", &run(baseline, &[]), disturbed)
            .findings
            .is_empty()
    }

    #[test]
    fn a_verdict_stays_or_there_is_none() {
        let before = [Verdict::Pass, fail()];
        assert!(!wrong(&before, &run(&before, &[])));
        let compared = compare(
            "x",
            &run(&before, &[]),
            &run(&[open(&["lost"]), open(&["lost"])], &[]),
        );
        assert_eq!((compared.same, compared.open), (1, 2));
        assert_eq!(compared.findings, [] as [String; 0]);
        // Nothing ran, and it says why.
        assert!(!wrong(&before, &run(&[], &["another run is at work"])));
    }

    #[test]
    fn a_verdict_that_changes_is_a_finding() {
        let before = [Verdict::Pass, fail()];
        for after in [
            run(&[fail(), fail()], &[]),
            run(&[Verdict::Pass, Verdict::Pass], &[]),
            run(&[Verdict::Pass], &[]),
        ] {
            assert!(wrong(&before, &after), "{after:?}");
        }
        // Both are said in full: it may be the first that was wrong.
        let compared = compare("x", &run(&[fail()], &[]), &run(&[Verdict::Pass], &[]));
        let said = &compared.findings[0];
        assert!(
            said.contains("did_not_fire") && said.contains("pass"),
            "{said}"
        );
    }

    #[test]
    fn every_condition_has_a_name_of_its_own() {
        let names = names();
        let unique: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
