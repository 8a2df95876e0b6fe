// SPDX-License-Identifier: GPL-2.0

//! Report of a run. `docs/report.md` describes its JSON.

use serde::{Deserialize, Serialize};

use crate::kmsg::Complaint;
use crate::model::coverage::Coverage;
use crate::model::form::{Form, Recognised};
use crate::model::observation::Observation;
use crate::model::verdict::{Matched, Verdict};
use crate::os::kernel::KernelInfo;

/// Result of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioResult {
    /// Name of the scenario, `[a-z0-9-]` only.
    pub name: String,
    /// Name of its trigger.
    pub trigger: String,
    /// Setting of the injector, in one word; absent for a case of the contract, which has several.
    pub setting: Option<String>,
    /// Numbers of the rules of the contract that it is about.
    pub rules: Vec<u8>,
    /// The verdict.
    pub verdict: Verdict,
    /// The record; absent where the scenario was skipped.
    pub observation: Option<Observation>,
    /// Messages that were due and seen.
    pub matched: Vec<Matched>,
    /// Lines of the kernel about the notifiers of other drivers, as they were read.
    pub foreign: Vec<String>,
    /// Known bug that the kernel no longer has, as the scenario passed; absent where there is none.
    pub bug_gone: Option<String>,
}

impl ScenarioResult {
    /// Creates a result without evidence, of which only the name is known.
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

/// Result of one of the module's unit tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitTest {
    /// `kunit-SUITE-CASE`.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
}

/// Facts about the virtual machine; absent on real hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmInfo {
    /// Package and exact version of the kernel source, or the user's tree.
    pub source: String,
    /// Whether this program was tested with that version; false for a user's tree.
    pub tested: bool,
    /// The commit of the user's tree, with `-dirty` if a file that git tracks differs from it; absent
    /// if git does not track the tree.
    pub commit: Option<String>,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the kernel configuration.
    pub config: String,
    /// The options that were set on top of it, as `CONFIG_NAME=VALUE`.
    pub config_add: Vec<String>,
    /// The patches in the order in which they were applied, as `NAME (sha256:...)`.
    pub patches: Vec<String>,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why this accelerator was chosen; empty where there was no choice.
    pub accelerator_reason: String,
    /// Duration of the stages, in the order in which they ran: (stage, milliseconds).
    pub stages: Vec<(String, u64)>,
    /// Logs that were kept: (name, path).
    pub logs: Vec<(String, String)>,
}

impl VmInfo {
    /// Path of the log with this name.
    pub fn log(&self, what: &str) -> Option<&str> {
        let log = self.logs.iter().find(|(name, _)| name == what);
        log.map(|(_, path)| path.as_str())
    }
}

/// Report of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of this format; see `docs/report.md`. Raised with every change that a reader
    /// could notice.
    pub schema: u32,
    /// `mn-inject` and its version.
    pub tool: String,
    /// The kernel under test; absent where its runner never started.
    pub kernel: Option<KernelInfo>,
    /// The virtual machine; absent on real hardware.
    pub vm: Option<VmInfo>,
    /// The form of the check that was recognised.
    pub form: Recognised,
    /// The form that was demanded; absent where any form was accepted.
    pub expect: Option<Form>,
    /// Number of scenarios that were planned and of unit tests that have results.
    pub planned: usize,
    /// Verdict on the form.
    pub form_verdict: Verdict,
    /// One result for each planned scenario, in the order of the table. If there are fewer results
    /// than `planned`, the run was cut short.
    pub scenarios: Vec<ScenarioResult>,
    /// Results of the module's unit tests; empty where the kernel does not run them.
    pub unit_tests: Vec<UnitTest>,
    /// The functions of the kernel that call notifiers, and the scenarios that reached them; absent
    /// where the kernel's code is not known, or its stacks.
    pub coverage: Option<Coverage>,
    /// Complaints of the kernel, from before the module was loaded until after it was unloaded. Each
    /// is in `trouble`, too.
    pub complaints: Vec<Complaint>,
    /// Why the run as a whole proves nothing (panic, hang, truncation). If it is not empty, the whole
    /// run is "no verdict".
    pub trouble: Vec<String>,
    /// Duration of the run in milliseconds: in a VM, on the host's clock, from the start of the
    /// first QEMU to the end of the last.
    pub millis: u64,
}

/// `mn-inject` and its version, as in reports.
pub const TOOL: &str = concat!("mn-inject ", env!("CARGO_PKG_VERSION"));

impl Report {
    /// Verdict on the form, and the verdicts on the scenarios, each with its name.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let scenarios = self.scenarios.iter();
        let scenarios = scenarios.map(|result| (result.name.as_str(), &result.verdict));
        std::iter::once((Recognised::RESULT, &self.form_verdict)).chain(scenarios)
    }
}

/// The current [`Report::schema`].
pub const SCHEMA: u32 = 14;

/// The earliest version whose recordings can be judged: what is new since then may be absent.
pub const EARLIEST: u32 = 10;
