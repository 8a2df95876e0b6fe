// SPDX-License-Identifier: GPL-2.0

//! Not there yet.

use std::path::Path;

use crate::exercise::{Exercise, StressOptions};

/// Says that it is not there yet.
pub fn run(options: &StressOptions, module: &Path, say: &mut dyn FnMut(&str)) -> Exercise {
    let _ = (options, module, say);
    Exercise {
        trouble: vec!["not there yet".to_owned()],
        ..Exercise::default()
    }
}
