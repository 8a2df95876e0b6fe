// SPDX-License-Identifier: GPL-2.0

//! The two forms of the kernel's check of a failed `invalidate_range_start`.

use serde::Serialize;

/// The form of the check that a kernel is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Info line, and a pr_warn in blockable context.
    Seed,
    /// Info line, and a WARN unless the failure is `-EAGAIN` in non-blockable context.
    Mainline,
}

impl Form {
    /// Both forms.
    pub const ALL: [Form; 2] = [Form::Seed, Form::Mainline];
}
