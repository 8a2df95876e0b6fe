// SPDX-License-Identifier: GPL-2.0

//! The recording of a run: what the runners of all of its boots sent, and nothing that anyone
//! concluded from it.
//!
//! It goes two ways. A guest sends [`Progress`] lines to its host, as a runner on a machine hands
//! them to its own process. `results.jsonl` keeps them as [`Event`] lines, in which those of all
//! boots stand together; `mn-inject judge` makes the same [`Recording`] of it again.

use serde::{Deserialize, Serialize};

use crate::kmsg::Complaint;
use crate::model::form::Form;
use crate::model::observation::Window;
use crate::model::options::{Ownership, Part};
use crate::model::report::{SCHEMA, UnitTest, VmInfo};
use crate::os::kernel::KernelInfo;

/// A scenario that a boot is to run, with what the report says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The scenario's name.
    pub name: String,
    /// Name of its trigger.
    pub trigger: String,
    /// How the injector is set, in a word; absent for a case of the contract, which sets several.
    pub setting: Option<String>,
    /// Numbers of the rules of the contract that it is about.
    pub rules: Vec<u8>,
    /// Why it cannot run on this machine, where it cannot; constant text.
    pub skip: Option<String>,
}

/// One line on the channel between the guest and the host, in the order of a boot.
///
/// A boot is complete only if it ends with [`Progress::End`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress", deny_unknown_fields)]
pub enum Progress {
    /// The runner is up.
    Begin {
        /// The kernel it runs on.
        kernel: KernelInfo,
        /// Whose machine that is.
        machine: Ownership,
        /// The scenarios, in the order of the table.
        plan: Vec<Planned>,
        /// The results of the unit tests, which have run as the module was loaded.
        unit_tests: Vec<UnitTest>,
    },
    /// A scenario starts.
    Start {
        /// Its name.
        scenario: String,
        /// The longest it may take, in milliseconds.
        deadline_ms: u64,
    },
    /// The record of some of the scenarios, with every record of the kernel's log in between.
    Window {
        /// It.
        window: Box<Window>,
    },
    /// The scenarios are over; now the module is unloaded, and the kernel is asked whether all is
    /// well.
    Check {
        /// Why not all of them have run, where they have not.
        cut_short: Option<String>,
    },
    /// The answer of the kernel.
    Aftermath(Aftermath),
    /// The boot is over, and everything was sent.
    End,
}

/// What the kernel complained about outside of the windows, from before the module was loaded until
/// after it was unloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aftermath {
    /// The complaints that count on such a machine.
    pub complaints: Vec<Complaint>,
    /// Why there may be more that is not well. One sentence each.
    pub doubts: Vec<String>,
}

/// One line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", deny_unknown_fields)]
pub enum Event {
    /// The first line.
    Run(RunEvent),
    /// A line that the runner of a boot sent.
    Boot {
        /// Which boot.
        part: Part,
        /// It.
        sent: Progress,
    },
    /// A boot that did not come to its end.
    Lost {
        /// Which boot.
        part: Part,
        /// Why; never empty.
        reasons: Vec<String>,
        /// The line that could not be read, or the beginning of one, where that is the reason.
        unreadable: Option<String>,
    },
    /// The last line.
    Host {
        /// The virtual machine; absent on real hardware.
        vm: Option<VmInfo>,
        /// How long the run took, in milliseconds: in a VM, the host's from the first QEMU's start
        /// to the last one's end.
        millis: u64,
    },
}

/// What a run is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEvent {
    /// Version of the format of this file: that of the report, which has the same observations.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The form of the check that is demanded.
    pub expect: Option<Form>,
    /// The names of all scenarios that were selected, in the order of the table.
    pub scenarios: Vec<String>,
    /// The boots that the run takes.
    pub parts: Vec<Part>,
}

/// One boot, as far as its runner has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// What it was for.
    pub part: Part,
    /// The kernel; absent where its runner never began.
    pub kernel: Option<KernelInfo>,
    /// Whose machine it was.
    pub machine: Ownership,
    /// The scenarios it was to run.
    pub plan: Vec<Planned>,
    /// The unit tests.
    pub unit_tests: Vec<UnitTest>,
    /// The scenarios that have started.
    pub started: usize,
    /// The scenario that runs.
    pub running: Option<String>,
    /// What was seen.
    pub windows: Vec<Window>,
    /// Whether the scenarios are over.
    pub is_checking: bool,
    /// Why not all scenarios have run.
    pub cut_short: Option<String>,
    /// The answer of the kernel at the end.
    pub aftermath: Option<Aftermath>,
    /// Whether everything was sent.
    pub is_whole: bool,
    /// Why it did not come to its end, as its host has it.
    pub lost: Vec<String>,
}

impl Boot {
    /// One that has not begun.
    pub fn new(part: Part) -> Self {
        Boot {
            part,
            ..Boot::default()
        }
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// The line cannot stand there. What was taken before stays.
    pub fn take(&mut self, sent: Progress) -> Result<(), String> {
        if self.is_whole {
            return Err("the guest went on after it said that it had ended".to_owned());
        }
        match sent {
            Progress::Begin { .. } if self.kernel.is_some() => {
                return Err("the guest began twice".to_owned());
            }
            Progress::Begin {
                kernel,
                machine,
                plan,
                unit_tests,
            } => {
                self.kernel = Some(kernel);
                self.machine = machine;
                self.plan = plan;
                self.unit_tests = unit_tests;
            }
            _ if self.kernel.is_none() => {
                return Err("the guest did not say how it began".to_owned());
            }
            Progress::Start { scenario, .. } => {
                let is_planned = |planned: &Planned| planned.name == scenario;
                if self.is_checking || !self.plan.iter().any(is_planned) {
                    return Err(format!(
                        "the guest started {scenario}, which it had not planned"
                    ));
                }
                self.started += 1;
                self.running = Some(scenario);
            }
            Progress::Window { .. } if self.is_checking => {
                return Err("the guest sent a window after its scenarios".to_owned());
            }
            Progress::Window { window } => self.windows.push(*window),
            Progress::Check { .. } if self.is_checking => {
                return Err("the guest ended its scenarios twice".to_owned());
            }
            Progress::Check { cut_short } => {
                self.running = None;
                self.is_checking = true;
                self.cut_short = cut_short;
            }
            Progress::Aftermath(_) if !self.is_checking || self.aftermath.is_some() => {
                return Err("the guest told of its end at the wrong time".to_owned());
            }
            Progress::Aftermath(aftermath) => self.aftermath = Some(aftermath),
            Progress::End if self.aftermath.is_none() => {
                return Err("the guest ended without telling how the kernel is".to_owned());
            }
            Progress::End => self.is_whole = true,
        }
        Ok(())
    }
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What it is about.
    pub run: RunEvent,
    /// Its boots, in the order of [`RunEvent::parts`].
    pub boots: Vec<Boot>,
    /// The virtual machine; absent on real hardware, and where the recording was cut short.
    pub vm: Option<VmInfo>,
    /// How long it took, in milliseconds; absent where the recording was cut short.
    pub millis: Option<u64>,
}

impl Recording {
    /// One in which nothing has happened yet.
    pub fn new(run: RunEvent) -> Self {
        Recording {
            boots: run.parts.iter().cloned().map(Boot::new).collect(),
            run,
            vm: None,
            millis: None,
        }
    }

    /// Reads `results.jsonl`. A line that the file ends in the middle of is left out: what it
    /// belonged to is missing then, and the report says so.
    ///
    /// # Errors
    ///
    /// It is not such a file, or one of a version that this program cannot read. The sentence says
    /// which line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = (1..).zip(text.split_inclusive('\n'));
        let first = lines.next().map_or("", |(_, line)| line);
        let mut recording = Recording::new(first_line(first)?);
        for (number, line) in lines.filter(|(_, line)| line.ends_with('\n')) {
            let event = serde_json::from_str(line).map_err(|e| format!("line {number}: {e}"))?;
            recording
                .take(event)
                .map_err(|wrong| format!("line {number}: {wrong}"))?;
        }
        Ok(recording)
    }

    /// Takes the next event.
    ///
    /// # Errors
    ///
    /// It cannot stand there.
    pub fn take(&mut self, event: Event) -> Result<(), String> {
        if self.millis.is_some() {
            return Err("the run goes on after its end".to_owned());
        }
        match event {
            Event::Run(_) => Err("the run begins twice".to_owned()),
            Event::Boot { part, sent } => self.boot(&part)?.take(sent),
            Event::Lost { part, reasons, .. } => {
                self.boot(&part)?.lost.extend(reasons);
                Ok(())
            }
            Event::Host { vm, millis } => {
                self.vm = vm;
                self.millis = Some(millis);
                Ok(())
            }
        }
    }

    fn boot(&mut self, part: &Part) -> Result<&mut Boot, String> {
        self.boots
            .iter_mut()
            .find(|boot| boot.part == *part)
            .ok_or_else(|| format!("the run has no boot \"{}\"", part.name()))
    }
}

/// The first line, of a version that can be read.
fn first_line(line: &str) -> Result<RunEvent, String> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: Option<u32>,
    }
    let not_one = |e| format!("line 1: this is no results.jsonl of mn-inject: {e}");
    let Versioned { schema } = serde_json::from_str(line).map_err(not_one)?;
    match schema {
        None => Err(format!(
            "line 1: the file does not say the version of its format, as those from before version \
             7 do not; this mn-inject reads version {SCHEMA}"
        )),
        Some(SCHEMA) => match serde_json::from_str(line).map_err(not_one)? {
            Event::Run(run) => Ok(run),
            _ => Err("line 1: the run does not begin there".to_owned()),
        },
        Some(other) => Err(format!(
            "line 1: the file has version {other} of the format; this mn-inject reads version \
             {SCHEMA}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(parts: &[Part]) -> RunEvent {
        RunEvent {
            schema: SCHEMA,
            tool: "test".to_owned(),
            expect: None,
            scenarios: vec!["a".to_owned()],
            parts: parts.to_vec(),
        }
    }

    fn begin() -> Progress {
        Progress::Begin {
            kernel: KernelInfo::default(),
            machine: Ownership::Ours,
            plan: vec![Planned {
                name: "a".to_owned(),
                trigger: "a".to_owned(),
                setting: None,
                rules: vec![1],
                skip: None,
            }],
            unit_tests: Vec::new(),
        }
    }

    fn start(name: &str) -> Progress {
        Progress::Start {
            scenario: name.to_owned(),
            deadline_ms: 1,
        }
    }

    fn whole() -> Vec<Progress> {
        vec![
            begin(),
            start("a"),
            Progress::Check { cut_short: None },
            Progress::Aftermath(Aftermath::default()),
            Progress::End,
        ]
    }

    fn take(sent: &[Progress]) -> Result<Boot, String> {
        let mut boot = Boot::new(Part::Together);
        for line in sent {
            boot.take(line.clone())?;
        }
        Ok(boot)
    }

    #[test]
    fn a_boot_is_whole_with_its_last_line_only() {
        let all = whole();
        for length in 0..all.len() {
            assert!(!take(&all[..length]).unwrap().is_whole, "{length}");
        }
        assert!(take(&all).unwrap().is_whole);
    }

    #[test]
    fn a_line_in_the_wrong_place_is_refused() {
        let check = || Progress::Check { cut_short: None };
        let aftermath = || Progress::Aftermath(Aftermath::default());
        for (sent, why) in [
            (vec![start("a")], "how it began"),
            (vec![begin(), begin()], "began twice"),
            (vec![begin(), start("b")], "not planned"),
            (vec![begin(), check(), start("a")], "not planned"),
            (vec![begin(), check(), check()], "scenarios twice"),
            (vec![begin(), aftermath()], "wrong time"),
            (
                vec![begin(), check(), aftermath(), aftermath()],
                "wrong time",
            ),
            (vec![begin(), check(), Progress::End], "without telling"),
        ] {
            let wrong = take(&sent).unwrap_err();
            assert!(wrong.contains(why), "{wrong}");
        }
        let mut sent = whole();
        sent.push(begin());
        assert!(take(&sent).unwrap_err().contains("went on"));
    }

    fn file(events: &[Event]) -> String {
        let line = |event| serde_json::to_string(event).unwrap() + "\n";
        events.iter().map(line).collect()
    }

    fn events() -> Vec<Event> {
        let part = Part::Spoiled;
        let boot = |sent| Event::Boot {
            part: part.clone(),
            sent,
        };
        let mut events = vec![Event::Run(run(&[Part::Together, part.clone()]))];
        events.extend(whole().into_iter().map(boot));
        events.push(Event::Lost {
            part: Part::Together,
            reasons: vec!["the guest hung".to_owned()],
            unreadable: None,
        });
        events.push(Event::Host {
            vm: None,
            millis: 7,
        });
        events
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let recording = Recording::read(&file(&events())).unwrap();
        assert_eq!(recording.millis, Some(7));
        assert_eq!(recording.boots[0].lost, ["the guest hung"]);
        assert!(recording.boots[1].is_whole);
    }

    #[test]
    fn a_file_that_is_cut_short_has_what_stands_before() {
        let text = file(&events());
        let cut = &text[..text.len() - 3];
        let recording = Recording::read(cut).unwrap();
        assert_eq!(recording.millis, None);
        assert!(recording.boots[1].is_whole);
    }

    #[test]
    fn another_file_is_refused_with_the_reason() {
        let of = |text: &str| Recording::read(text).unwrap_err();
        assert!(of("").contains("no results.jsonl"));
        assert!(of("[   12.3] printk\n").contains("no results.jsonl"));
        assert!(of("{\"progress\":\"begin\"}\n").contains("before version 7"));
        let newer = file(&events()).replacen(
            &format!("\"schema\":{SCHEMA}"),
            &format!("\"schema\":{}", SCHEMA + 1),
            1,
        );
        assert!(of(&newer).contains("reads version"), "{}", of(&newer));
        let mut twice = events();
        twice.insert(1, twice[0].clone());
        assert_eq!(of(&file(&twice)), "line 2: the run begins twice");
        let mut stranger = events();
        stranger[1] = Event::Boot {
            part: Part::Alone("b".to_owned()),
            sent: begin(),
        };
        assert!(of(&file(&stranger)).contains("line 2: the run has no boot \"b\""));
    }
}
