// SPDX-License-Identifier: GPL-2.0

//! The report of a run.

use serde::{Deserialize, Serialize};

use crate::kmsg::Complaint;
use crate::model::form::{Form, Recognised};
use crate::model::observation::Observation;
use crate::model::verdict::{Matched, Verdict};
use crate::os::kernel::KernelInfo;

/// One scenario's part of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioResult {
    /// The scenario's name, `[a-z0-9-]` only.
    pub name: String,
    /// Name of its trigger.
    pub trigger: String,
    /// How the injector is set, in a word; absent for a case of the contract.
    pub setting: Option<String>,
    /// Numbers of the rules of the contract that it is about.
    pub rules: Vec<u8>,
    /// The answer.
    pub verdict: Verdict,
    /// What was recorded; absent where the scenario was skipped.
    pub observation: Option<Observation>,
    /// The messages that were due and seen.
    pub matched: Vec<Matched>,
    /// Lines of other drivers that complain about a notifier of theirs, as they were read.
    pub foreign: Vec<String>,
    /// A known bug that is not there any more: the scenario passed.
    pub bug_gone: Option<String>,
}

impl ScenarioResult {
    /// One without evidence, of which only the name is known.
    pub fn new(name: String, verdict: Verdict) -> Self {
        ScenarioResult {
            name,
            trigger: String::new(),
            setting: None,
            rules: Vec::new(),
            verdict,
            observation: None,
            matched: Vec::new(),
            foreign: Vec::new(),
            bug_gone: None,
        }
    }
}

/// The answer about one of the module's own unit tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitTest {
    /// `kunit-`, the suite, `-`, and the case.
    pub name: String,
    /// The answer.
    pub verdict: Verdict,
}

/// Facts about the virtual machine; absent on real hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmInfo {
    /// Package and exact version of the kernel source, or the user's tree.
    pub source: String,
    /// Whether that is a version that this program was tested with; a user's tree never is.
    pub tested: bool,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// The patches in the order in which they were applied, as `NAME (sha256:...)`.
    pub patches: Vec<String>,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why that accelerator, where there was a choice.
    pub accelerator_reason: String,
    /// Milliseconds per stage, in the order in which they ran: (stage, milliseconds).
    pub stages: Vec<(String, u64)>,
    /// Paths of the logs that were kept: (what, path).
    pub logs: Vec<(String, String)>,
}

impl VmInfo {
    /// The path of that log.
    pub fn log(&self, what: &str) -> Option<&str> {
        let log = self.logs.iter().find(|(name, _)| name == what);
        log.map(|(_, path)| path.as_str())
    }
}

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of this format; see `docs/report.md`. Raised with every change that a reader
    /// could notice.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The kernel under test; absent where it never answered.
    pub kernel: Option<KernelInfo>,
    /// The virtual machine; absent on real hardware.
    pub vm: Option<VmInfo>,
    /// The form of the check that was recognised.
    pub form: Recognised,
    /// The form that was demanded.
    pub expect: Option<Form>,
    /// How many scenarios were planned, and how many unit tests there are.
    pub planned: usize,
    /// The verdict on the form itself, then one entry per scenario that was planned, in that
    /// order. Fewer than `planned` means that the run was cut short.
    pub form_verdict: Verdict,
    /// The scenarios' results.
    pub scenarios: Vec<ScenarioResult>,
    /// The results of the module's unit tests, where the kernel runs them.
    pub unit_tests: Vec<UnitTest>,
    /// What the kernel complained about from before the module was loaded until after it was
    /// unloaded. Each is in `trouble`, too.
    pub complaints: Vec<Complaint>,
    /// Why the run as a whole cannot be trusted, where it cannot (panic, hang, truncation);
    /// not empty makes the whole run "no verdict".
    pub trouble: Vec<String>,
    /// How long the run took, in milliseconds: in a VM, the host's from the first QEMU's start to
    /// the last one's end.
    pub millis: u64,
}

/// `mn-inject` and its version, as reports have it.
pub const TOOL: &str = concat!("mn-inject ", env!("CARGO_PKG_VERSION"));

impl Report {
    /// The verdict on the form and those on the scenarios, each with its name.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let scenarios = self.scenarios.iter();
        let scenarios = scenarios.map(|result| (result.name.as_str(), &result.verdict));
        std::iter::once((Recognised::RESULT, &self.form_verdict)).chain(scenarios)
    }
}

/// The current [`Report::schema`].
pub const SCHEMA: u32 = 7;
