// SPDX-License-Identifier: GPL-2.0

//! The kernels whose lines are rendered.

use mn_inject::model::Form;

/// A kernel, by its check of failed starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Info line, and a pr_warn in blockable context.
    Seed,
    /// Info line, and a WARN unless the failure is `-EAGAIN` in non-blockable context.
    Mainline,
    /// Info line only.
    NoCheck,
    /// `if (!blockable) pr_warn`.
    Inverted,
    /// The mainline form with `ret`, which is still 0, in place of `_ret`.
    WrongVariable,
    /// The complaints of both forms.
    Both,
}

impl Kernel {
    /// The form that a correct kernel is held to.
    pub fn form(self) -> Option<Form> {
        match self {
            Kernel::Seed => Some(Form::Seed),
            _ => Some(Form::Mainline),
        }
    }
}

/// A kernel, and the optional parts of its lines.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub kernel: Kernel,
    /// `caller=`.
    pub callers: bool,
    /// `[cond]` in the header of a WARN.
    pub detailed: bool,
    /// The header of 6.12, which has no comm.
    pub old_header: bool,
}

impl Style {
    /// The lines of a kernel of today with `CONFIG_PRINTK_CALLER`.
    pub fn of(kernel: Kernel) -> Self {
        Style {
            kernel,
            callers: true,
            detailed: false,
            old_header: false,
        }
    }
}
