// SPDX-License-Identifier: GPL-2.0

//! The host's end of the results' channel: what the guest says becomes a report, and whatever
//! goes wrong becomes "no verdict".

use std::time::Duration;

use crate::model::{Expect, KernelInfo, Progress, Report, SCHEMA, UnitTest, Verdict, Window};
use crate::oracle;
use crate::scenario::known_bugs;
use crate::vm::boot::listen;
use crate::vm::boot::listen::{Ending, Pace, line_with};

/// From the start of QEMU to [`Progress::Begin`], on a real machine.
const BOOT: Duration = Duration::from_secs(12);
/// Between two scenarios, and from the last one to the end, on a real machine.
const PAUSE: Duration = Duration::from_secs(6);
/// What is added to the deadline of a scenario for the way to the host.
const GRACE: Duration = Duration::from_secs(2);

/// What the guest has said so far.
#[derive(Debug, Default)]
pub struct Conversation {
    kernel: Option<KernelInfo>,
    plan: Vec<String>,
    unit_tests: Vec<UnitTest>,
    begun: bool,
    scenario: Option<(String, Duration)>,
    started: usize,
    /// The scenarios are over.
    checking: bool,
    windows: Vec<Window>,
    report: Option<Box<Report>>,
    ended: bool,
    /// The first thing that was wrong with what it said.
    broken: Option<String>,
}

impl listen::Conversation for Conversation {
    fn line(&mut self, line: &str) {
        if self.broken.is_some() {
            return;
        }
        let progress = match serde_json::from_str::<Progress>(line) {
            Ok(progress) => progress,
            Err(e) => {
                let start: String = line.chars().take(80).collect();
                self.broken = Some(format!(
                    "a line on the results' channel could not be read ({e}): {start}"
                ));
                return;
            }
        };
        self.broken = self.take(progress).err();
    }

    fn over(&self) -> bool {
        self.ended || self.broken.is_some()
    }

    fn patience(&self, pace: Pace) -> Duration {
        let real = if let Some((_, deadline)) = &self.scenario {
            // Scenarios mostly wait for the kernel's own timers, which run in real time: the
            // runner, who knows that, set the deadline, and a busy host is given twice of it.
            return *deadline * 2 * pace.config + GRACE * pace.all();
        } else if self.begun {
            PAUSE
        } else {
            BOOT
        };
        real * pace.all()
    }

    fn note(&self) -> Option<String> {
        let (scenario, _) = self.scenario.as_ref()?;
        let planned = self.plan.len();
        Some(format!("{} of {planned}: {scenario}", self.started))
    }
}

impl Conversation {
    fn take(&mut self, progress: Progress) -> Result<(), String> {
        if self.ended {
            return Err("the guest went on after it said that it had ended".to_owned());
        }
        match progress {
            Progress::Begin {
                kernel,
                plan,
                unit_tests,
            } => {
                if self.begun {
                    return Err("the guest began twice".to_owned());
                }
                self.begun = true;
                self.kernel = Some(kernel);
                self.plan = plan;
                self.unit_tests = unit_tests;
            }
            _ if !self.begun => return Err("the guest did not say how it began".to_owned()),
            Progress::Start {
                scenario,
                deadline_ms,
            } => {
                if !self.plan.contains(&scenario) {
                    return Err(format!(
                        "the guest started {scenario}, which it had not planned"
                    ));
                }
                self.started += 1;
                self.scenario = Some((scenario, Duration::from_millis(deadline_ms)));
            }
            Progress::Window { window } => self.windows.push(*window),
            Progress::Check => {
                self.scenario = None;
                self.checking = true;
            }
            Progress::Report { report } => {
                if self.report.is_some() {
                    return Err("the guest reported twice".to_owned());
                }
                self.scenario = None;
                self.report = Some(report);
            }
            Progress::End => {
                if self.report.is_none() {
                    return Err("the guest ended without a report".to_owned());
                }
                self.ended = true;
            }
        }
        Ok(())
    }

    /// How many results are to come.
    fn planned(&self) -> usize {
        self.plan.len() + self.unit_tests.len()
    }

    /// The report: the guest's own where it is whole, or else one that says what is wrong.
    /// `rest` is what came after the last whole line.
    pub fn finish(
        self,
        ending: Option<Ending>,
        rest: &[u8],
        console: &str,
        expect: Expect,
    ) -> Report {
        let trouble = self.trouble(ending, rest, console);
        let planned = self.planned();
        let mut report = match self.report {
            Some(report) => *report,
            // What was seen up to then is judged, so that one sees how far it came.
            None => {
                let mut judgement = oracle::judge(&self.windows, expect);
                let release = self.kernel.as_ref().map_or("", |kernel| &kernel.release);
                for result in &mut judgement.results {
                    known_bugs::mark(result, release);
                }
                Report {
                    schema: SCHEMA,
                    tool: format!("mn-inject {}", env!("CARGO_PKG_VERSION")),
                    kernel: self.kernel,
                    vm: None,
                    form: judgement.form,
                    expect,
                    planned,
                    form_verdict: Verdict::NoVerdict {
                        reasons: vec!["the run did not come to its end".to_owned()],
                    },
                    scenarios: judgement.results,
                    unit_tests: self.unit_tests,
                    complaints: Vec::new(),
                    trouble: Vec::new(),
                    millis: 0,
                }
            }
        };
        report.trouble.extend(trouble);
        report
    }

    /// What makes the result worthless.
    fn trouble(&self, ending: Option<Ending>, rest: &[u8], console: &str) -> Option<String> {
        let place = match (&self.scenario, self.begun) {
            (Some((name, _)), _) => format!("in scenario {name}"),
            (None, true) if self.report.is_some() => "after its report".to_owned(),
            (None, true) if self.checking => "after its scenarios".to_owned(),
            (None, true) => "between scenarios".to_owned(),
            (None, false) => "before its runner began".to_owned(),
        };
        if let Some(broken) = &self.broken {
            return Some(broken.clone());
        }
        if !self.ended {
            let panic = line_with(console, "Kernel panic - not syncing");
            let complaint = line_with(console, "mn-inject: ");
            return Some(match (ending, panic, complaint) {
                (_, _, Some(complaint)) => format!("the guest gave up {place}: {complaint}"),
                (_, Some(panic), None) => format!("the guest's kernel panicked {place}: {panic}"),
                (Some(Ending::Deadline), None, None) => {
                    format!("the guest hung {place}: it said nothing until its deadline")
                }
                (_, None, None) if !rest.is_empty() => {
                    format!(
                        "the guest ended {place}, in the middle of a line: the result is truncated"
                    )
                }
                (_, None, None) => format!("the guest ended too early, {place}"),
            });
        }
        let report = self.report.as_ref()?;
        let names: Vec<_> = report.scenarios.iter().map(|result| &result.name).collect();
        if report.planned != self.planned()
            || names != self.plan.iter().collect::<Vec<_>>()
            || report.unit_tests != self.unit_tests
        {
            return Some(format!(
                "the report does not match the plan: {} planned, {} reported",
                self.planned(),
                names.len() + report.unit_tests.len()
            ));
        }
        if report.schema != SCHEMA {
            return Some(format!(
                "the report has schema {}, not {SCHEMA}",
                report.schema
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Exit;
    use crate::model::{Recognised, ScenarioResult};
    use crate::vm::boot::results::listen::Conversation as _;

    fn result(name: &str) -> ScenarioResult {
        ScenarioResult {
            name: name.to_owned(),
            verdict: Verdict::Pass,
            observation: None,
            matched: Vec::new(),
            foreign: Vec::new(),
            bug_gone: None,
        }
    }

    fn run(names: &[&str]) -> Vec<Progress> {
        let plan: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut said = vec![Progress::Begin {
            kernel: KernelInfo::default(),
            plan,
            unit_tests: Vec::new(),
        }];
        said.extend(names.iter().map(|name| Progress::Start {
            scenario: (*name).to_owned(),
            deadline_ms: 1000,
        }));
        said.push(Progress::Report {
            report: Box::new(Report {
                schema: SCHEMA,
                tool: "test".to_owned(),
                kernel: None,
                vm: None,
                form: Recognised::Seed,
                expect: Expect::Auto,
                planned: names.len(),
                form_verdict: Verdict::Pass,
                scenarios: names.iter().map(|name| result(name)).collect(),
                unit_tests: Vec::new(),
                complaints: Vec::new(),
                trouble: Vec::new(),
                millis: 1,
            }),
        });
        said.push(Progress::End);
        said
    }

    fn hear(said: &[Progress]) -> Conversation {
        let mut conversation = Conversation::default();
        for progress in said {
            conversation.line(&serde_json::to_string(progress).unwrap());
        }
        conversation
    }

    fn trouble(conversation: Conversation, ending: Ending, rest: &[u8], console: &str) -> String {
        let report = conversation.finish(Some(ending), rest, console, Expect::Auto);
        assert_eq!(crate::report::exit(&report), Exit::NoVerdict);
        report.trouble.join("; ")
    }

    #[test]
    fn a_whole_run_is_a_pass() {
        let report = hear(&run(&["a", "b"])).finish(None, b"", "", Expect::Auto);
        assert!(report.trouble.is_empty());
        assert_eq!(crate::report::exit(&report), Exit::Pass);
    }

    #[test]
    fn a_run_that_is_cut_short_anywhere_is_no_verdict() {
        let said = run(&["a", "b"]);
        for length in 0..said.len() {
            let text = trouble(hear(&said[..length]), Ending::Closed, b"", "");
            assert!(text.contains("ended too early"), "{length}: {text}");
            let text = trouble(hear(&said[..length]), Ending::Deadline, b"", "");
            assert!(text.contains("hung"), "{length}: {text}");
            let text = trouble(hear(&said[..length]), Ending::Closed, b"{\"pro", "");
            assert!(text.contains("truncated"), "{length}: {text}");
        }
    }

    #[test]
    fn a_panic_is_named_with_the_scenario() {
        let said = run(&["a", "b"]);
        let console = "[    1.0] x\n[    T1] Kernel panic - not syncing: test\n";
        let text = trouble(hear(&said[..3]), Ending::Closed, b"", console);
        assert!(text.contains("panicked in scenario b"), "{text}");
        assert!(text.contains("not syncing: test"), "{text}");
    }

    #[test]
    fn a_runner_that_gave_up_is_quoted() {
        let console = "[    T1] mn-inject: cannot load /x\nKernel panic - not syncing: y\n";
        let text = trouble(Conversation::default(), Ending::Closed, b"", console);
        assert!(text.contains("gave up before its runner began"), "{text}");
        assert!(text.contains("cannot load /x"), "{text}");
    }

    #[test]
    fn nonsense_is_no_verdict() {
        let mut conversation = hear(&run(&["a"])[..2]);
        conversation.line("[   12.3] printk");
        assert!(conversation.over());
        let text = trouble(conversation, Ending::Closed, b"", "");
        assert!(text.contains("could not be read"), "{text}");
        let mut said = run(&["a"]);
        said.insert(1, said[0].clone());
        let text = trouble(hear(&said), Ending::Closed, b"", "");
        assert!(text.contains("began twice"), "{text}");
        let text = trouble(hear(&run(&["a"])[1..]), Ending::Closed, b"", "");
        assert!(text.contains("how it began"), "{text}");
    }

    #[test]
    fn a_report_must_be_what_was_planned() {
        let mut said = run(&["a", "b"]);
        for progress in &mut said {
            if let Progress::Report { report } = progress {
                report.scenarios.pop();
            }
        }
        let text = trouble(hear(&said), Ending::Closed, b"", "");
        assert!(text.contains("does not match the plan"), "{text}");
    }

    #[test]
    fn unit_tests_must_be_what_the_guest_began_with() {
        let test = UnitTest {
            name: "kunit-a-b".to_owned(),
            verdict: Verdict::Pass,
        };
        let with = |begun: bool, reported: bool| {
            let mut said = run(&["a"]);
            for progress in &mut said {
                match progress {
                    Progress::Begin { unit_tests, .. } if begun => unit_tests.push(test.clone()),
                    Progress::Report { report } if reported => {
                        report.unit_tests.push(test.clone());
                        report.planned += 1;
                    }
                    _ => {}
                }
            }
            hear(&said)
        };
        let report = with(true, true).finish(None, b"", "", Expect::Auto);
        assert_eq!(crate::report::exit(&report), Exit::Pass);
        for conversation in [with(true, false), with(false, true)] {
            let text = trouble(conversation, Ending::Closed, b"", "");
            assert!(text.contains("does not match the plan"), "{text}");
        }
    }

    #[test]
    fn what_hangs_after_the_scenarios_is_no_scenario() {
        let mut said = run(&["a"]);
        said.truncate(2);
        said.push(Progress::Check);
        let conversation = hear(&said);
        let pace = Pace {
            accelerator: 1,
            config: 1,
        };
        assert_eq!(conversation.patience(pace), PAUSE);
        let text = trouble(conversation, Ending::Deadline, b"", "");
        assert!(text.contains("hung after its scenarios"), "{text}");
    }

    #[test]
    fn patience_follows_the_scenario() {
        let said = run(&["a"]);
        let pace = |accelerator, config| Pace {
            accelerator,
            config,
        };
        let boot = Conversation::default().patience(pace(5, 2));
        assert_eq!(boot, BOOT * 10);
        assert_eq!(hear(&said[..1]).patience(pace(1, 1)), PAUSE);
        let scenario = Duration::from_secs(2);
        assert_eq!(hear(&said[..2]).patience(pace(1, 1)), scenario + GRACE);
        let slow = hear(&said[..2]).patience(pace(1, 3));
        assert_eq!(slow, (scenario + GRACE) * 3);
    }
}
