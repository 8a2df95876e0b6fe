// SPDX-License-Identifier: GPL-2.0

//! Not there yet.

use crate::exercise::{Exercise, FuzzOptions};

/// Says that it is not there yet.
pub fn run(options: &FuzzOptions, say: &mut dyn FnMut(&str)) -> Exercise {
    let _ = (options, say);
    Exercise {
        trouble: vec!["not there yet".to_owned()],
        ..Exercise::default()
    }
}
