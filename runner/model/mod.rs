// SPDX-License-Identifier: GPL-2.0

//! The types that all parts of the program share.
//!
//! Data flows one way: a scenario is triggered; the module's log and `/dev/kmsg` are read into a
//! [`Window`]; a [`Recording`] holds the windows of all boots of a run; the oracle turns it into a
//! [`Report`], which is printed. Nothing here does I/O.

mod boot;
mod coverage;
mod events;
pub mod exit;
mod expectation;
mod form;
pub mod matrix;
mod message;
mod notifier;
mod observation;
mod options;
mod recording;
mod report;
mod step;
mod tally;
mod verdict;

pub use crate::kmsg::Complaint;
pub use crate::os::kernel::KernelInfo;
pub use boot::Boot;
pub use coverage::{Coverage, Site, SiteCoverage};
pub use events::{Aftermath, Event, LOCKDEP_OFF, Planned, Progress, RunEvent};
pub use expectation::{Count, End, Expectation, Extent, PagesFate, ReaperMessage};
pub use form::{Form, Recognised};
pub use message::KernelMessage;
pub use notifier::{Arming, Context, FollowUp, Injection, Notifier, NotifierEvent, NotifierKind};
pub use observation::{
    AttachedNotifier, CALLBACK_SYMBOL, Call, Counters, Initiator, Later, MODULE_NAME, Observation,
    PAIRED_SYMBOL, Pages, Remains, Window,
};
pub use options::{Half, Ownership, Part, RunOptions};
pub use recording::Recording;
pub use report::{Report, SCHEMA, ScenarioResult, TOOL, UnitTest, VmInfo};
pub use step::{Between, ExitCallback, Registration, Seen, Step, StepKind, Way};
pub use tally::{Counts, Tally};
pub use verdict::{Finding, FindingKind, Matched, Verdict};
