// SPDX-License-Identifier: GPL-2.0

//! The verdicts of a run that was disturbed, held against those of one that was not.

use mn_inject::model::exit::Exit;
use mn_inject::model::{Report, Verdict};
use mn_inject::report;

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
pub(crate) fn without_verdict(report: &Report) -> Vec<String> {
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
pub(crate) struct Compared {
    /// Scenarios with the same verdict.
    pub(crate) same: u64,
    /// Scenarios without a verdict.
    pub(crate) open: u64,
    /// Any other change.
    pub(crate) findings: Vec<String>,
}

pub(crate) fn compare(condition: &str, baseline: &Report, report: &Report) -> Compared {
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

#[cfg(test)]
mod tests {
    use super::*;
    use mn_inject::model::{Finding, FindingKind, Form, Recognised, SCHEMA, ScenarioResult};

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
}
