// SPDX-License-Identifier: GPL-2.0

//! Whole runs.

use mn_inject::model::Window;

use super::kernel::Style;
use super::plan::Plan;
use super::writer::{Origin, Writer};

/// The windows of a run.
#[derive(Clone, Debug)]
pub struct History {
    pub windows: Vec<Window>,
    /// For each window and each record.
    pub origins: Vec<Vec<Origin>>,
}

/// A run with these windows.
pub fn history(style: Style, windows: &[Vec<Plan>], noise: &[u8]) -> History {
    let mut writer = Writer::new(style, noise);
    let (windows, origins) = windows
        .iter()
        .enumerate()
        .map(|(index, plans)| writer.window(plans, 1000 + 100 * index as i32))
        .unzip();
    History { windows, origins }
}
