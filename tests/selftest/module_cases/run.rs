// SPDX-License-Identifier: GPL-2.0

//! Carries out the cases, with a verdict on each.

use std::fs;

use anyhow::{Context as _, Result, bail};

use mn_inject::injector;
use mn_inject::model::MODULE_NAME;

use crate::complaints::Complaints;
use crate::exercise::{CaseResult, CaseVerdict, Exercise};
use crate::module_cases::case::Case;
use crate::module_cases::outcome::{Failure, Outcome, same};
use crate::module_cases::rig::{self, Rig};
use crate::module_cases::table::select;

/// A part of the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The cases in which the kernel must not complain.
    Quiet,
    /// The cases in which it must. They come last, because lockdep turns itself off after its first
    /// report.
    Loud,
}

/// Carries out the cases of that part whose names match one of the patterns, or all if there is no
/// pattern.
pub fn run(
    part: Part,
    only: &[String],
    rig: &Rig<'_>,
    complaints: &mut Complaints<'_>,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    for case in select(only) {
        if case.loud != (part == Part::Loud) {
            continue;
        }
        rig.waiter.check()?;
        say(&format!("case {}", case.name));
        let outcome = carry_out(case, rig)?;
        let new = if case.loud {
            complaints.of_others_since_last()
        } else {
            complaints.since_last()
        };
        exercise.cases.push(judged(case.name, outcome, new));
    }
    Ok(rig.waiter.check()?)
}

fn carry_out(case: &Case, rig: &Rig<'_>) -> Result<Outcome> {
    let name = case.name;
    if case.loud {
        announce(&format!("case {name}: the complaints that follow are due"))?;
    }
    let outcome = rig::read("control").and_then(|before| {
        (case.run)(rig)?;
        same("control", rig::read("control")?, before)
    });
    if case.loud {
        announce(&format!("case {name}: no more complaints are due"))?;
    }
    Ok(outcome)
}

/// The result of a case: a complaint of the kernel is a finding, whatever the outcome.
fn judged(name: &str, outcome: Outcome, complaints: Vec<String>) -> CaseResult {
    let (verdict, why) = match outcome {
        Ok(()) => (CaseVerdict::Ok, None),
        Err(Failure::Skip(reason)) => (CaseVerdict::Skipped, Some(reason.to_owned())),
        Err(Failure::Wrong(what)) => (CaseVerdict::Finding, Some(what)),
        Err(Failure::Trouble(error)) => (CaseVerdict::NoVerdict, Some(format!("{error:#}"))),
    };
    let verdict = if complaints.is_empty() {
        verdict
    } else {
        CaseVerdict::Finding
    };
    CaseResult {
        name: name.to_owned(),
        verdict,
        why: why.into_iter().chain(complaints).collect(),
    }
}

/// Writes a line to the kernel's log, so that its readers can tell which complaints are expected.
fn announce(what: &str) -> Result<()> {
    fs::write("/dev/kmsg", format!("mn-selftest: {what}\n")).context("cannot write to /dev/kmsg")
}

/// Demands a module that cannot break the kernel's rules (no `breach=1`): some cases, and the
/// writes of the fuzz, ask for that.
///
/// # Errors
///
/// The module is loaded with `breach=1`, or `breach` cannot be read.
pub fn demand_harmless() -> Result<()> {
    if injector::may_break_rules()? {
        bail!(
            "the module is loaded with breach=1, and what is done here would bring the machine down; load it without (rmmod {MODULE_NAME}, and once more)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_complaint_makes_any_case_a_finding() {
        let outcomes: [fn() -> Outcome; 4] = [
            || Ok(()),
            || Err(Failure::Skip("no pid namespaces")),
            || Err(Failure::Wrong("expected 1, got 2".into())),
            || Err(Failure::Trouble(anyhow!("cannot fork"))),
        ];
        let verdicts = |complaints: &[String]| {
            outcomes.map(|outcome| judged("x", outcome(), complaints.to_vec()).verdict)
        };
        assert_eq!(
            verdicts(&[]),
            [
                CaseVerdict::Ok,
                CaseVerdict::Skipped,
                CaseVerdict::Finding,
                CaseVerdict::NoVerdict
            ]
        );
        let complaint = ["the kernel complained".to_owned()];
        assert_eq!(verdicts(&complaint), [CaseVerdict::Finding; 4]);
        let case = judged("x", outcomes[3](), complaint.to_vec());
        assert_eq!(case.why, ["cannot fork", "the kernel complained"]);
    }
}
