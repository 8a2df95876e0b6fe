// SPDX-License-Identifier: GPL-2.0

//! Patterns that match nothing.

use mn_inject::scenario;

use crate::module_cases::table;
use crate::task::Task;
use crate::{NAME, fail_nth};

/// The message for a user whose patterns match nothing.
pub fn nothing_matches(task: &Task) -> Option<String> {
    match task {
        Task::Cases(options) if table::select(&options.only).is_empty() => Some(format!(
            "{NAME}: no case matches {}; `{NAME} cases --list` shows them all",
            options.only.join(", ")
        )),
        Task::Hostile(options) if scenario::select(&options.only).is_empty() => {
            Some(scenario::none_matches(&options.only))
        }
        Task::FailNth(options) if fail_nth::names(&options.only).is_empty() => Some(format!(
            "{NAME}: no walk matches {}; these are there: {}",
            options.only.join(", "),
            fail_nth::names(&[]).join(", ")
        )),
        _ => None,
    }
}
