// SPDX-License-Identifier: GPL-2.0

//! The guest's end: carries out a task and sends the outcome to the host. [`crate::vm`] is the
//! other end.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use mn_inject::guest::Port;
use mn_inject::model::KernelInfo;
use mn_inject::model::Ownership;
use mn_inject::os::kernel;
use mn_inject::vm::boot::protocol::MODULE;

use crate::exercise::Exercise;
use crate::perform::perform;
use crate::task::Task;

/// One line on the channel between the guest and the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestEvent {
    /// The program has started, on that kernel.
    Begin(KernelInfo),
    /// Progress.
    Say(String),
    /// The outcome; the last event.
    End(Box<Exercise>),
}

/// Carries out the task that the host has sent.
///
/// # Errors
///
/// The task cannot be read, or the channel to the host is broken.
pub fn carry_out(task: Value, port: &mut Port) -> Result<()> {
    let task: Task = serde_json::from_value(task).context("cannot read the task")?;
    port.send(&GuestEvent::Begin(kernel::info()))?;
    let mut lost = None;
    let module = Some(Path::new(MODULE));
    let done = perform(&task, module, Ownership::Ours, &mut |said| {
        if let Err(e) = port.send(&GuestEvent::Say(said.to_owned())) {
            lost.get_or_insert(e);
        }
    });
    if let Some(e) = lost {
        return Err(e).context("the results' channel to the host broke");
    }
    port.send(&GuestEvent::End(Box::new(done)))
}
