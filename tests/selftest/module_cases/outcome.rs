// SPDX-License-Identifier: GPL-2.0

//! The outcome of a case.

use std::fmt::Debug;

/// The reason why a case did not end as defined.
#[derive(Debug)]
pub enum Failure {
    /// The module or the kernel behaved differently.
    Wrong(String),
    /// This machine lacks something that the case needs. The reason is a constant text.
    Skip(&'static str),
    /// The case could not be carried out, and proves nothing.
    Trouble(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Trouble(error)
    }
}

/// The outcome of a case, or of a part of one.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Demands that something holds. `what` describes the failure.
pub fn demand(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure::Wrong(what()))
    }
}

/// Demands that `seen` equals `due`. `what` names the value.
pub fn same<T: PartialEq + Debug>(what: &str, seen: T, due: T) -> Outcome {
    demand(seen == due, || {
        format!("{what}: expected {due:?}, got {seen:?}")
    })
}
