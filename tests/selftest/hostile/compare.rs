// SPDX-License-Identifier: GPL-2.0

//! Compares the verdicts of a disturbed run with those of an undisturbed one.

use mn_inject::model::exit::Exit;
use mn_inject::model::{Report, Verdict};

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail { .. } => "fail",
        Verdict::KnownBug { .. } => "known bug",
        Verdict::NoVerdict { .. } => "no verdict",
        Verdict::Skip { .. } => "skip",
    }
}

/// A verdict with all its findings or reasons.
fn in_full(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap_or_else(|error| error.to_string())
}

/// The reasons why the run, or a scenario, has no verdict.
pub(crate) fn without_verdict(report: &Report) -> Vec<String> {
    let open = report
        .verdicts()
        .filter_map(|(name, verdict)| match verdict {
            Verdict::NoVerdict { reasons } => Some(format!("{name}: {}", reasons.join(", "))),
            _ => None,
        });
    report.trouble.iter().cloned().chain(open).collect()
}

/// The comparison of a run under a condition with one without.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Number of scenarios with the same verdict.
    pub(crate) same: u64,
    /// Number of scenarios without a verdict.
    pub(crate) open: u64,
    /// All other changes.
    pub(crate) findings: Vec<String>,
}

pub(crate) fn compare(condition: &str, baseline: &Report, report: &Report) -> Compared {
    let mut compared = Compared::default();
    for (name, before) in baseline.verdicts() {
        let after = report.verdicts().find(|(other, _)| *other == name);
        match after.map(|(_, verdict)| verdict) {
            Some(after) if word(after) == word(before) => compared.same += 1,
            Some(Verdict::NoVerdict { .. }) => compared.open += 1,
            // The run could not begin; the report's trouble has the reason.
            None | Some(Verdict::Skip { .. }) if !report.trouble.is_empty() => compared.open += 1,
            after => compared.findings.push(format!(
                "{condition}: {name} was {} and became {}",
                in_full(before),
                after.map_or_else(|| "nothing".to_owned(), in_full)
            )),
        }
    }
    let (before, after) = (baseline.exit(), report.exit());
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

#[cfg(test)]
mod tests {
    use super::*;
    use mn_inject::model::{Finding, FindingKind, Recognised, SCHEMA, ScenarioResult};

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
            expect: None,
            planned: verdicts.len(),
            form_verdict: Verdict::Pass,
            scenarios: scenarios.collect(),
            unit_tests: Vec::new(),
            coverage: None,
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
    fn a_verdict_may_stay_or_be_missing() {
        let before = [Verdict::Pass, fail()];
        assert!(!wrong(&before, &run(&before, &[])));
        let compared = compare(
            "x",
            &run(&before, &[]),
            &run(&[open(&["lost"]), open(&["lost"])], &[]),
        );
        assert_eq!((compared.same, compared.open), (1, 2));
        assert_eq!(compared.findings, [] as [String; 0]);
        // Nothing ran, and there is a reason.
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
        // The finding has both in full: the undisturbed verdict may be the wrong one.
        let compared = compare("x", &run(&[fail()], &[]), &run(&[Verdict::Pass], &[]));
        let said = &compared.findings[0];
        assert!(
            said.contains("did_not_fire") && said.contains("pass"),
            "{said}"
        );
    }
}
