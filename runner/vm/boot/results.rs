// SPDX-License-Identifier: GPL-2.0

//! Host's end of the results channel: makes a [`Boot`] of the lines of a guest, and records them.
//! Every error becomes a reason why the boot was lost.

use std::time::Duration;

use crate::model::{Boot, Event, Part, Progress};
use crate::report::recorder::Recorder;
use crate::vm::boot::listen::{self, BOOT, Ending, line_with};
use crate::vm::boot::machine::Pace;

/// Time limit between two scenarios, and from the last one to the end, without emulation.
const PAUSE: Duration = Duration::from_secs(6);
/// Addition to the deadline of a scenario, for the transfer to the host.
const GRACE: Duration = Duration::from_secs(2);

/// Lines of a guest that runs scenarios.
#[derive(Debug)]
pub struct Results<'a> {
    boot: Boot,
    recorder: &'a Recorder,
    /// Time limit of the running scenario.
    deadline: Option<Duration>,
    broken: Option<Broken>,
}

/// Error after which no more lines are taken.
#[derive(Debug)]
enum Broken {
    /// A line could not be parsed, or cannot follow on the lines before it.
    Line { why: String, line: String },
    /// The recording could not be written.
    Recorder(anyhow::Error),
}

impl listen::Conversation for Results<'_> {
    fn line(&mut self, line: &str) {
        if self.broken.is_none() {
            self.broken = self.take(line).err();
        }
    }

    fn over(&self) -> bool {
        self.boot.is_whole || self.broken.is_some()
    }

    fn patience(&self, pace: Pace) -> Duration {
        let real = if let Some(deadline) = self.deadline {
            // Scenarios mostly wait for timers of the kernel, which run in real time: the deadline
            // allows for that. A busy host gets twice the time.
            return deadline * 2 * pace.config + GRACE * pace.all();
        } else if self.boot.kernel.is_some() {
            PAUSE
        } else {
            BOOT
        };
        real * pace.all()
    }

    fn note(&self) -> Option<String> {
        let scenario = self.boot.running.as_ref()?;
        let planned = self.boot.plan.len();
        Some(format!("{} of {planned}: {scenario}", self.boot.started))
    }
}

impl<'a> Results<'a> {
    /// Creates the state of a guest that has sent nothing.
    pub fn new(part: Part, recorder: &'a Recorder) -> Self {
        Results {
            boot: Boot::new(part),
            recorder,
            deadline: None,
            broken: None,
        }
    }

    /// Adds a line to the boot, and records it.
    fn take(&mut self, line: &str) -> Result<(), Broken> {
        let broken = |why: String| Broken::Line {
            why,
            line: line.to_owned(),
        };
        let sent: Progress = serde_json::from_str(line).map_err(|e| {
            let start: String = line.chars().take(80).collect();
            broken(format!(
                "a line on the results' channel could not be read ({e}): {start}"
            ))
        })?;
        match &sent {
            Progress::Start { deadline_ms, .. } => {
                self.deadline = Some(Duration::from_millis(*deadline_ms));
            }
            Progress::Check { .. } => self.deadline = None,
            _ => {}
        }
        self.boot.take(sent.clone()).map_err(broken)?;
        let part = self.boot.part.clone();
        let event = Event::Boot { part, sent };
        self.recorder.add(&event).map_err(Broken::Recorder)
    }

    /// Returns the boot after the guest has ended, and records why it was lost, if it was.
    ///
    /// `rest` has the bytes after the last complete line, `console` and `qemu` the text of the
    /// guest's console and the messages of QEMU.
    ///
    /// # Errors
    ///
    /// The recording cannot be written.
    pub fn finish(
        mut self,
        ending: Option<Ending>,
        rest: &[u8],
        console: &str,
        qemu: &str,
    ) -> anyhow::Result<Boot> {
        let (why, unreadable) = match self.broken.take() {
            Some(Broken::Recorder(error)) => return Err(error),
            Some(Broken::Line { why, line }) => (why, Some(line)),
            None if self.boot.is_whole => return Ok(self.boot),
            None => {
                let rest = String::from_utf8_lossy(rest).into_owned();
                let why = self.why_lost(ending, &rest, console);
                (why, Some(rest).filter(|rest| !rest.is_empty()))
            }
        };
        let mut reasons = vec![why];
        if !qemu.trim().is_empty() {
            reasons.push(format!("QEMU said: {}", qemu.trim().replace('\n', "; ")));
        }
        self.boot.lost.clone_from(&reasons);
        self.recorder.add(&Event::Lost {
            part: self.boot.part.clone(),
            reasons,
            unreadable,
        })?;
        Ok(self.boot)
    }

    /// Why a guest that sent no wrong line did not come to its end.
    fn why_lost(&self, ending: Option<Ending>, rest: &str, console: &str) -> String {
        let boot = &self.boot;
        let place = match (&boot.running, boot.kernel.is_some()) {
            (Some(name), _) => format!("in scenario {name}"),
            (None, true) if boot.aftermath.is_some() => "after its last line".to_owned(),
            (None, true) if boot.is_checking => "after its scenarios".to_owned(),
            (None, true) => "between scenarios".to_owned(),
            (None, false) => "before its runner began".to_owned(),
        };
        let panic = line_with(console, "Kernel panic - not syncing");
        let complaint = line_with(console, "mn-inject: ");
        match (ending, panic, complaint) {
            (_, _, Some(complaint)) => format!("the guest gave up {place}: {complaint}"),
            (_, Some(panic), None) => format!("the guest's kernel panicked {place}: {panic}"),
            (Some(Ending::Deadline), None, None) => {
                format!("the guest hung {place}: it said nothing until its deadline")
            }
            (_, None, None) if !rest.is_empty() => {
                format!("the guest ended {place}, in the middle of a line: the result is truncated")
            }
            (_, None, None) => format!("the guest ended too early, {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listen::Conversation as _;
    use super::*;
    use crate::model::{Aftermath, KernelInfo, Ownership, Planned};

    fn planned(name: &str) -> Planned {
        Planned {
            name: name.to_owned(),
            trigger: name.to_owned(),
            setting: None,
            rules: vec![1],
            skip: None,
        }
    }

    fn run(names: &[&str]) -> Vec<Progress> {
        let mut sent = vec![Progress::Begin {
            kernel: KernelInfo::default(),
            machine: Ownership::Ours,
            plan: names.iter().copied().map(planned).collect(),
            unit_tests: Vec::new(),
        }];
        sent.extend(names.iter().map(|name| Progress::Start {
            scenario: (*name).to_owned(),
            deadline_ms: 1000,
        }));
        sent.push(Progress::Check { cut_short: None });
        sent.push(Progress::Aftermath(Aftermath::default()));
        sent.push(Progress::End);
        sent
    }

    /// Creates a recorder, and the directory of its file.
    fn recorder() -> (tempfile::TempDir, Recorder) {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&dir.path().join("results.jsonl")).unwrap();
        (dir, recorder)
    }

    fn results_of<'a>(sent: &[Progress], recorder: &'a Recorder) -> Results<'a> {
        let mut results = Results::new(Part::Together, recorder);
        for line in sent {
            results.line(&serde_json::to_string(line).unwrap());
        }
        results
    }

    fn lost(sent: &[Progress], ending: Ending, rest: &[u8], console: &str) -> String {
        let (_dir, recorder) = recorder();
        let boot = results_of(sent, &recorder).finish(Some(ending), rest, console, "");
        boot.unwrap().lost.join("; ")
    }

    #[test]
    fn a_whole_boot_is_not_lost() {
        let (_dir, recorder) = recorder();
        let boot = results_of(&run(&["a", "b"]), &recorder).finish(None, b"", "", "QEMU warns");
        let boot = boot.unwrap();
        assert!(boot.is_whole && boot.lost.is_empty(), "{boot:?}");
    }

    #[test]
    fn a_boot_that_is_cut_short_anywhere_is_lost() {
        let sent = run(&["a", "b"]);
        for length in 0..sent.len() {
            let text = lost(&sent[..length], Ending::Closed, b"", "");
            assert!(text.contains("ended too early"), "{length}: {text}");
            let text = lost(&sent[..length], Ending::Deadline, b"", "");
            assert!(text.contains("hung"), "{length}: {text}");
            let text = lost(&sent[..length], Ending::Closed, b"{\"pro", "");
            assert!(text.contains("truncated"), "{length}: {text}");
        }
    }

    #[test]
    fn a_panic_is_reported_with_the_scenario() {
        let console = "[    1.0] x\n[    T1] Kernel panic - not syncing: test\n";
        let text = lost(&run(&["a", "b"])[..3], Ending::Closed, b"", console);
        assert!(text.contains("panicked in scenario b"), "{text}");
        assert!(text.contains("not syncing: test"), "{text}");
    }

    #[test]
    fn an_error_of_the_runner_is_quoted() {
        let console = "[    T1] mn-inject: cannot load /x\nKernel panic - not syncing: y\n";
        let text = lost(&[], Ending::Closed, b"", console);
        assert!(text.contains("gave up before its runner began"), "{text}");
        assert!(text.contains("cannot load /x"), "{text}");
    }

    #[test]
    fn an_unreadable_line_is_recorded() {
        let (dir, recorder) = recorder();
        let mut results = results_of(&run(&["a"])[..2], &recorder);
        results.line("[   12.3] printk");
        assert!(results.over());
        let boot = results.finish(Some(Ending::Closed), b"", "", "no such device");
        let lost = boot.unwrap().lost;
        assert!(lost[0].contains("could not be read"), "{lost:?}");
        assert_eq!(lost[1], "QEMU said: no such device");
        let kept = std::fs::read_to_string(dir.path().join("results.jsonl")).unwrap();
        let last = kept.lines().last().unwrap();
        assert!(
            last.contains("\"unreadable\":\"[   12.3] printk\""),
            "{last}"
        );
    }

    #[test]
    fn a_line_in_the_wrong_place_ends_the_boot() {
        let mut sent = run(&["a"]);
        sent.insert(1, sent[0].clone());
        let text = lost(&sent, Ending::Closed, b"", "");
        assert!(text.contains("began twice"), "{text}");
    }

    #[test]
    fn a_hang_after_the_scenarios_names_no_scenario() {
        let mut sent = run(&["a"]);
        sent.truncate(3);
        let pace = Pace {
            accelerator: 1,
            config: 1,
        };
        let (_dir, recorder) = recorder();
        assert_eq!(results_of(&sent, &recorder).patience(pace), PAUSE);
        let text = lost(&sent, Ending::Deadline, b"", "");
        assert!(text.contains("hung after its scenarios"), "{text}");
    }

    #[test]
    fn the_time_limit_follows_the_scenario() {
        let sent = run(&["a"]);
        let pace = |accelerator, config| Pace {
            accelerator,
            config,
        };
        let (_dir, recorder) = recorder();
        let of = |length: usize| results_of(&sent[..length], &recorder);
        assert_eq!(of(0).patience(pace(5, 2)), BOOT * 10);
        assert_eq!(of(1).patience(pace(1, 1)), PAUSE);
        let scenario = Duration::from_secs(2);
        assert_eq!(of(2).patience(pace(1, 1)), scenario + GRACE);
        assert_eq!(of(2).patience(pace(1, 3)), (scenario + GRACE) * 3);
    }
}
