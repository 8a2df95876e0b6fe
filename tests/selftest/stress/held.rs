// SPDX-License-Identifier: GPL-2.0

//! Files of the module's that are held open while targets are detached and the module is unloaded.

use std::fs::File;
use std::sync::Arc;

use crate::stress::choice;
use crate::stress::worker::{Worker, root};
use crate::stress::world::{Moment, Target};

/// No worker holds more than that.
const MOST: usize = 8;

/// A file that is held open.
#[derive(Debug)]
pub struct Held {
    file: File,
    name: &'static str,
    of: Of,
}

/// Whose file it is.
#[derive(Debug)]
enum Of {
    /// The module's, opened then.
    Module(Moment),
    Target {
        target: Arc<Target>,
        /// What can be written to it; [`None`]: it can be read.
        value: Option<&'static str>,
    },
}

/// The files that are held for reading, and those for writing with what is written.
const READ: [&str; 4] = ["counters", "log", "settings", "state"];
const WRITTEN: [(&str, &str); 4] = [
    ("range", "all"),
    ("probability", "50"),
    ("actions/UNMAP/error", "0"),
    ("events", "UNMAP,CLEAR"),
];

/// Opens one more.
pub fn hold(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = choice::one(&targets, &mut worker.rng).cloned();
    let read = choice::one(&READ, &mut worker.rng).copied();
    let written = choice::one(&WRITTEN, &mut worker.rng).copied();
    let way = worker.rng.u32(..4);
    if worker.held.len() >= MOST {
        worker.held.remove(0);
    }
    let held = match (way, target, read, written) {
        (0, ..) | (_, None, ..) => {
            let moment = worker.world.presence.moment();
            let name = ["control", "total", "help"][worker.rng.usize(..3)];
            worker
                .open_root(&root(name), false, moment)
                .map(|file| Held {
                    file,
                    name,
                    of: Of::Module(moment),
                })
        }
        (1, Some(target), _, Some((name, value))) => {
            worker.open_target(&target, name, true).map(|file| Held {
                file,
                name,
                of: Of::Target {
                    target,
                    value: Some(value),
                },
            })
        }
        (_, Some(target), Some(name), _) => {
            worker.open_target(&target, name, false).map(|file| Held {
                file,
                name,
                of: Of::Target {
                    target,
                    value: None,
                },
            })
        }
        _ => None,
    };
    let done = held.is_some();
    worker.held.extend(held);
    done
}

/// Reads or writes one, whatever has become of its target.
pub fn use_one(worker: &mut Worker) -> bool {
    let drawn = worker.rng.usize(..MOST);
    if worker.held.is_empty() {
        return false;
    }
    let index = drawn % worker.held.len();
    let mut held = worker.held.swap_remove(index);
    match &held.of {
        Of::Module(moment) => {
            worker.read_open_root(&held.file, held.name, *moment);
        }
        Of::Target {
            target,
            value: Some(value),
        } => {
            worker.set_open(target, held.name, &mut held.file, value);
        }
        Of::Target {
            target,
            value: None,
        } => {
            worker.read_open(target, held.name, &held.file);
        }
    }
    worker.held.push(held);
    true
}

/// Closes one.
pub fn let_go(worker: &mut Worker) -> bool {
    let drawn = worker.rng.usize(..MOST);
    if worker.held.is_empty() {
        return false;
    }
    worker.held.swap_remove(drawn % worker.held.len());
    true
}
