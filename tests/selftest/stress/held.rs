// SPDX-License-Identifier: GPL-2.0

//! Files of the module that are held open while targets are detached and the module is unloaded.

use mn_inject::injector::files;

use crate::stress::open::{Held, Of};
use crate::stress::worker::Worker;

/// Maximum number of open files of a worker.
const MOST: usize = 8;

/// Files that are held open for reading, and files for writing with the value to write.
const READ: [&str; 4] = ["counters", "log", "settings", "state"];
const WRITTEN: [(&str, &str); 4] = [
    ("range", "all"),
    ("probability", "50"),
    ("actions/MMU_NOTIFY_UNMAP/error", "0"),
    ("events", "UNMAP,CLEAR"),
];

/// Opens one more file. If there are too many, closes the first one.
pub fn hold(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    let target = worker.rng.any(&targets).cloned();
    let read = *worker.rng.pick(&READ);
    let written = *worker.rng.pick(&WRITTEN);
    let way = worker.rng.below(4);
    if worker.held.len() >= MOST {
        worker.held.remove(0);
    }
    let held = match (way, target) {
        (0, _) | (_, None) => {
            let moment = worker.moment();
            let name = *worker.rng.pick(&["control", "total", "help"]);
            let file = worker.open_root(&files::path(name), false);
            file.map(|file| (file, name, Of::Module(moment)))
        }
        (1, Some(target)) => {
            let (name, value) = written;
            let file = worker.open_target(&target, name, true);
            let value = Some(value);
            file.map(|file| (file, name, Of::Target { target, value }))
        }
        (_, Some(target)) => {
            let file = worker.open_target(&target, read, false);
            let value = None;
            file.map(|file| (file, read, Of::Target { target, value }))
        }
    };
    let done = held.is_some();
    worker
        .held
        .extend(held.map(|(file, name, of)| Held { file, name, of }));
    done
}

/// Reads or writes one of the open files, even if its target is gone.
pub fn use_one(worker: &mut Worker) -> bool {
    let drawn = worker.rng.below(MOST);
    if worker.held.is_empty() {
        return false;
    }
    let index = drawn % worker.held.len();
    let held = worker.held.swap_remove(index);
    match &held.of {
        Of::Module(moment) => {
            worker.read_open_root(&held.file, held.name, *moment);
        }
        Of::Target {
            target,
            value: Some(value),
        } => {
            worker.set_open(target, held.name, &held.file, value);
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

/// Closes one of the open files.
pub fn close(worker: &mut Worker) -> bool {
    let drawn = worker.rng.below(MOST);
    if worker.held.is_empty() {
        return false;
    }
    worker.held.swap_remove(drawn % worker.held.len());
    true
}
