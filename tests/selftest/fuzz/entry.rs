// SPDX-License-Identifier: GPL-2.0

//! A target, and how it is listed.

use crate::fuzz::kind::{Kind, word};
use crate::fuzz::setting::{Values, defaults, settings_line};

/// Owner of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// None, for a target that was attached through `control`: it stays until it is detached.
    Control,
    /// The session with this number.
    Session(usize),
}

/// A process with a notifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The process id that was written.
    pub pid: i32,
    /// How the notifier is made.
    pub kind: Kind,
    /// Range of an interval notifier.
    pub range: Option<(u64, u64)>,
    /// Its owner.
    pub owner: Owner,
    /// Whether its process is there.
    pub live: bool,
    /// Settings that the line that attaches it sets.
    pub values: Values,
}

impl Entry {
    /// Its addresses, as a target's own `range` would show them.
    fn range(&self) -> String {
        match self.range {
            None | Some((0, u64::MAX)) => "all".into(),
            Some((start, end)) => format!("{start:#x}-{end:#x}"),
        }
    }

    /// Its line in the text of `control`.
    pub fn line(&self) -> String {
        let range = self.range();
        let owner = match self.owner {
            Owner::Control => "control",
            Owner::Session(_) => "session",
        };
        let state = if self.live { "live" } else { "gone" };
        format!(
            "name={} pid={} kind={} range={range} owner={owner} state={state}\n",
            self.name,
            self.pid,
            word(self.kind)
        )
    }

    /// Text that its file `settings` must have at first.
    pub fn settings_line(&self) -> String {
        let mut values = defaults();
        for (index, value) in &self.values {
            values[*index].clone_from(value);
        }
        settings_line(&values)
    }

    /// Text that its file `kind` must have.
    pub fn kind_line(&self) -> String {
        match self.range {
            None => format!("{}\n", word(self.kind)),
            Some(_) => format!("{} {}\n", word(self.kind), self.range()),
        }
    }
}

/// Change that a valid line makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Attaches this target.
    Attach(Entry),
    /// Detaches the target with this name.
    Detach(String),
}
