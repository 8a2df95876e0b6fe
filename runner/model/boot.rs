// SPDX-License-Identifier: GPL-2.0

//! One boot of a run, from the lines that its runner sent.

use crate::model::events::{Aftermath, Planned, Progress};
use crate::model::observation::Window;
use crate::model::options::{Ownership, Part};
use crate::model::report::UnitTest;
use crate::os::kernel::KernelInfo;

/// One boot, as far as its lines are known.
///
/// Every field but `part` and `lost` comes from the lines that the runner of the boot sent, which
/// [`Boot::take()`] takes one by one. The host adds `lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// The part of the run that it was booted for.
    pub part: Part,
    /// The kernel; absent until [`Progress::Begin`].
    pub kernel: Option<KernelInfo>,
    /// Whether other programs use the machine.
    pub machine: Ownership,
    /// The scenarios that it is to run, and those that it skips.
    pub plan: Vec<Planned>,
    /// Results of the module's unit tests.
    pub unit_tests: Vec<UnitTest>,
    /// Number of scenarios that have started.
    pub started: usize,
    /// Name of the scenario that started last; absent once the scenarios are over.
    pub running: Option<String>,
    /// The windows, in the order of the kernel's log.
    pub windows: Vec<Window>,
    /// Whether the scenarios are over.
    pub is_checking: bool,
    /// Why not all planned scenarios ran; absent where all did.
    pub cut_short: Option<String>,
    /// State of the kernel after the scenarios; absent until [`Progress::Aftermath`].
    pub aftermath: Option<Aftermath>,
    /// Whether the last line, [`Progress::End`], was sent.
    pub is_whole: bool,
    /// Why the boot did not come to its end, as the host saw it; empty where it did.
    pub lost: Vec<String>,
}

impl Boot {
    /// Creates a boot that has not begun.
    pub fn new(part: Part) -> Self {
        Boot {
            part,
            ..Boot::default()
        }
    }

    /// Adds the next line that the runner sent.
    ///
    /// # Errors
    ///
    /// The line cannot follow on those before it; the sentence says why. The line is not added, and
    /// everything that was added before stays.
    pub fn take(&mut self, sent: Progress) -> Result<(), String> {
        if self.is_whole {
            return Err("the guest went on after its last line".to_owned());
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
                return Err("the guest did not begin with its plan".to_owned());
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
                return Err("the guest sent the state of its kernel at the wrong time".to_owned());
            }
            Progress::Aftermath(aftermath) => self.aftermath = Some(aftermath),
            Progress::End if self.aftermath.is_none() => {
                return Err("the guest ended without the state of its kernel".to_owned());
            }
            Progress::End => self.is_whole = true,
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// First line of a boot that plans the scenario `a`.
    pub(in crate::model) fn begin() -> Progress {
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

    /// All lines of a boot.
    pub(in crate::model) fn whole() -> Vec<Progress> {
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
    fn only_the_last_line_makes_a_boot_whole() {
        let all = whole();
        for length in 0..all.len() {
            assert!(!take(&all[..length]).unwrap().is_whole, "{length}");
        }
        assert!(take(&all).unwrap().is_whole);
    }

    #[test]
    fn a_line_in_the_wrong_place_is_an_error() {
        let check = || Progress::Check { cut_short: None };
        let aftermath = || Progress::Aftermath(Aftermath::default());
        for (sent, why) in [
            (vec![start("a")], "begin with its plan"),
            (vec![begin(), begin()], "began twice"),
            (vec![begin(), start("b")], "not planned"),
            (vec![begin(), check(), start("a")], "not planned"),
            (vec![begin(), check(), check()], "scenarios twice"),
            (vec![begin(), aftermath()], "wrong time"),
            (
                vec![begin(), check(), aftermath(), aftermath()],
                "wrong time",
            ),
            (vec![begin(), check(), Progress::End], "without the state"),
        ] {
            let wrong = take(&sent).unwrap_err();
            assert!(wrong.contains(why), "{wrong}");
        }
        let mut sent = whole();
        sent.push(begin());
        assert!(take(&sent).unwrap_err().contains("went on"));
    }
}
