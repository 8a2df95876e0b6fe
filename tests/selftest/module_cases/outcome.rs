// SPDX-License-Identifier: GPL-2.0

//! What comes of a case.

use std::fmt::Debug;

/// Why a case did not end as it should.
#[derive(Debug)]
pub enum Failure {
    /// The module, or the kernel, did something else than it should.
    Wrong(String),
    /// This machine has not what the case needs. The reason is always the same text.
    Skip(&'static str),
    /// The case could not be carried out, and proves nothing.
    Trouble(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Trouble(error)
    }
}

/// The end of a case, or of a part of one.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Demands that something holds, and says `what` where it does not.
pub fn demand(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure::Wrong(what()))
    }
}

/// Demands that what was seen is what was due.
pub fn same<T: PartialEq + Debug>(what: &str, seen: T, due: T) -> Outcome {
    demand(seen == due, || {
        format!("{what}: expected {due:?}, got {seen:?}")
    })
}
