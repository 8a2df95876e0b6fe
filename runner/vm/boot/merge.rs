// SPDX-License-Identifier: GPL-2.0

//! One report of the parts of a run that had a boot each.

use std::collections::BTreeSet;

use crate::model::{KernelInfo, Part, Recognised, Report, Verdict};

/// Puts the reports of a run's parts together; `order` has the names of all scenarios that were
/// selected, in the order of the table.
///
/// Nothing is lost: a part that is in trouble is the run's trouble, and a scenario without a
/// result is missing in the count. How long it took is for the caller to say.
///
/// `None` where there is no part.
pub fn merge(mut parts: Vec<(Part, Report)>, order: &[String]) -> Option<Report> {
    if parts.len() < 2 {
        return parts.pop().map(|(_, report)| report);
    }
    let mut trouble = contradictions(&parts);
    for (part, report) in &mut parts {
        let name = part.name();
        trouble.extend(
            report
                .trouble
                .drain(..)
                .map(|text| format!("{name}: {text}")),
        );
        for complaint in &mut report.complaints {
            complaint.what = format!("{name}: {}", complaint.what);
        }
    }
    let (form, form_verdict) = form(&parts);

    let mut reports = parts.into_iter().map(|(_, report)| report);
    let mut whole = reports.next()?;
    for report in reports {
        whole.kernel = whole.kernel.or(report.kernel);
        whole.planned += report.planned;
        whole.scenarios.extend(report.scenarios);
        whole.unit_tests.extend(report.unit_tests);
        whole.complaints.extend(report.complaints);
    }
    whole.form = form;
    whole.form_verdict = form_verdict;
    whole.trouble = trouble;
    // A guest that never answered planned nothing, but it was asked to.
    whole.planned = whole.planned.max(order.len() + whole.unit_tests.len());
    // Whatever nobody selected goes last, and makes the count wrong.
    whole.scenarios.sort_by_key(|result| {
        order
            .iter()
            .position(|name| *name == result.name)
            .unwrap_or(order.len())
    });
    Some(whole)
}

/// What the parts do not agree on, though they are one kernel's.
fn contradictions(parts: &[(Part, Report)]) -> Vec<String> {
    let mut trouble = Vec::new();
    let kernels = said(parts, |report| report.kernel.as_ref().map(describe));
    if kernels.len() > 1 {
        trouble.push(format!(
            "its parts ran on different kernels: {}",
            listed(&kernels)
        ));
    }
    let forms = said(parts, |report| {
        (report.form != Recognised::Unknown).then(|| report.form.to_string())
    });
    if forms.len() > 1 {
        trouble.push(format!(
            "its parts recognised different forms of the check: {}",
            listed(&forms)
        ));
    }
    trouble
}

/// Every different answer, and the first part that gave it.
fn said(
    parts: &[(Part, Report)],
    answer: impl Fn(&Report) -> Option<String>,
) -> Vec<(&str, String)> {
    let mut known = BTreeSet::new();
    parts
        .iter()
        .filter_map(|(part, report)| Some((part.name(), answer(report)?)))
        .filter(|(_, answer)| known.insert(answer.clone()))
        .collect()
}

fn listed(answers: &[(&str, String)]) -> String {
    let each: Vec<_> = answers
        .iter()
        .map(|(part, answer)| format!("{answer} in {part}"))
        .collect();
    each.join("; ")
}

fn describe(kernel: &KernelInfo) -> String {
    let KernelInfo {
        release,
        version,
        machine,
        cmdline,
    } = kernel;
    format!("{release} {version} {machine}, booted with {cmdline:?}")
}

/// The form that was recognised first, and what that part says of it. Where none was recognised,
/// the answer that is worst to leave out.
fn form(parts: &[(Part, Report)]) -> (Recognised, Verdict) {
    let reports = || parts.iter().map(|(_, report)| report);
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Fail { .. } | Verdict::KnownBug { .. } => 0,
        Verdict::NoVerdict { .. } => 1,
        Verdict::Pass => 2,
        Verdict::Skip { .. } => 3,
    };
    let telling = reports()
        .find(|report| report.form != Recognised::Unknown)
        .or_else(|| reports().min_by_key(|report| rank(&report.form_verdict)));
    match telling {
        Some(report) => (report.form, report.form_verdict.clone()),
        None => (
            Recognised::Unknown,
            Verdict::Skip {
                reason: "nothing ran".to_owned(),
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Exit;
    use crate::model::{Complaint, Expect, SCHEMA, ScenarioResult, UnitTest};

    fn report(names: &[&str], form: Recognised) -> Report {
        Report {
            schema: SCHEMA,
            tool: "test".to_owned(),
            kernel: Some(KernelInfo::default()),
            vm: None,
            form,
            expect: Expect::Auto,
            planned: names.len(),
            form_verdict: match form {
                Recognised::Unknown => Verdict::Skip {
                    reason: "nothing failed".to_owned(),
                },
                _ => Verdict::Pass,
            },
            scenarios: names
                .iter()
                .map(|name| ScenarioResult {
                    name: (*name).to_owned(),
                    verdict: Verdict::Pass,
                    observation: None,
                    matched: Vec::new(),
                    foreign: Vec::new(),
                    bug_gone: None,
                })
                .collect(),
            unit_tests: Vec::new(),
            complaints: Vec::new(),
            trouble: Vec::new(),
            millis: 1,
        }
    }

    fn alone(name: &str, form: Recognised) -> (Part, Report) {
        (Part::Alone(name.to_owned()), report(&[name], form))
    }

    fn order() -> Vec<String> {
        ["a", "b", "c", "d"].map(str::to_owned).to_vec()
    }

    fn parts() -> Vec<(Part, Report)> {
        let mut together = report(&["a", "c"], Recognised::Seed);
        together.planned += 1;
        together.unit_tests.push(UnitTest {
            name: "kunit-x-y".to_owned(),
            verdict: Verdict::Pass,
        });
        vec![
            (Part::Together, together),
            alone("d", Recognised::Unknown),
            alone("b", Recognised::Seed),
        ]
    }

    fn merged(parts: Vec<(Part, Report)>) -> Report {
        merge(parts, &order()).unwrap()
    }

    fn fail() -> Verdict {
        Verdict::Fail {
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_results_of_all_parts_are_there_in_the_order_of_the_table() {
        let whole = merged(parts());
        let names: Vec<_> = whole.scenarios.iter().map(|result| &result.name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!((whole.planned, whole.unit_tests.len()), (5, 1));
        assert_eq!(
            (whole.form, &whole.form_verdict),
            (Recognised::Seed, &Verdict::Pass)
        );
        assert_eq!(whole.trouble, [""; 0]);
        assert_eq!(crate::report::exit(&whole), Exit::Pass);
    }

    /// Whichever part is missing, or has nothing to say, the run is no pass.
    #[test]
    fn a_part_that_is_lost_is_missed() {
        for lost in 0..parts().len() {
            let mut fewer = parts();
            fewer.remove(lost);
            assert_eq!(
                crate::report::exit(&merged(fewer)),
                Exit::NoVerdict,
                "{lost}"
            );

            let mut silent = parts();
            silent[lost].1 = Report {
                planned: 0,
                kernel: None,
                ..report(&[], Recognised::Unknown)
            };
            assert_eq!(
                crate::report::exit(&merged(silent)),
                Exit::NoVerdict,
                "{lost}"
            );

            let mut failed = parts();
            failed[lost].1.scenarios[0].verdict = fail();
            assert_eq!(crate::report::exit(&merged(failed)), Exit::Fail, "{lost}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_part_is_said_with_its_name() {
        let mut parts = parts();
        parts[0].1.trouble.push("the guest hung".to_owned());
        parts[1].1.trouble.push("the guest panicked".to_owned());
        parts[1].1.complaints.push(Complaint {
            what: "KASAN".to_owned(),
            kmsg_seq: Some(3),
            lines: vec!["x".to_owned()],
        });
        let whole = merged(parts);
        assert_eq!(
            whole.trouble,
            ["together: the guest hung", "d: the guest panicked"]
        );
        assert_eq!(whole.complaints[0].what, "d: KASAN");
        assert_eq!(crate::report::exit(&whole), Exit::NoVerdict);
    }

    #[test]
    fn parts_that_contradict_each_other_are_trouble() {
        let mut forms = parts();
        forms[2].1.form = Recognised::Mainline;
        let whole = merged(forms);
        assert_eq!(whole.form, Recognised::Seed);
        assert!(whole.trouble[0].contains("mainline (info + WARN_ON) in b"));

        let mut kernels = parts();
        kernels[1].1.kernel = Some(KernelInfo {
            release: "7.2.0".to_owned(),
            ..KernelInfo::default()
        });
        let whole = merged(kernels);
        assert!(whole.trouble[0].contains("7.2.0"), "{:?}", whole.trouble);
        assert_eq!(crate::report::exit(&whole), Exit::NoVerdict);
    }

    #[test]
    fn the_form_is_judged_where_it_was_recognised() {
        // Only what has a boot of its own makes anything fail.
        let mut parts = parts();
        parts[0].1.form = Recognised::Unknown;
        parts[0].1.form_verdict = Verdict::Skip {
            reason: "nothing failed".to_owned(),
        };
        parts[2].1.form = Recognised::InfoOnly;
        parts[2].1.form_verdict = fail();
        let whole = merged(parts);
        assert_eq!(
            (whole.form, whole.form_verdict),
            (Recognised::InfoOnly, fail())
        );

        let whole = merged(vec![
            alone("a", Recognised::Unknown),
            alone("b", Recognised::Unknown),
            alone("c", Recognised::Unknown),
            alone("d", Recognised::Unknown),
        ]);
        assert_eq!(whole.form, Recognised::Unknown);
        assert!(matches!(whole.form_verdict, Verdict::Skip { .. }));
        assert_eq!(crate::report::exit(&whole), Exit::Pass);
    }

    #[test]
    fn a_single_part_is_the_run() {
        let mut one = report(&["a"], Recognised::Seed);
        one.trouble.push("the guest hung".to_owned());
        let whole = merge(vec![(Part::Together, one.clone())], &order());
        assert_eq!(whole, Some(one));
        assert_eq!(merge(Vec::new(), &order()), None);
    }
}
