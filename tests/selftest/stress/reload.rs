// SPDX-License-Identifier: GPL-2.0

//! The worker that unloads and loads the module while all others use it.

use std::ffi::CStr;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use mn_inject::injector::load;
use mn_inject::injector::load::unload;
use mn_inject::model::NotifierKind;

use crate::stress::attach;
use crate::stress::errno::{Call, is_allowed};
use crate::stress::worker::Worker;

/// How often it was unloaded and loaded.
pub const RELOADS: &str = "reloads";
/// How often with notifiers on processes that were at work.
pub const WITH_TARGETS: &str = "reloads with targets attached";
/// How often with files of the module open.
pub const WITH_FILES: &str = "reloads with files open";
/// How often an open session prevented it.
pub const REFUSED: &str = "unloading refused";

/// How long sessions may take to be closed.
const SESSIONS: Duration = Duration::from_secs(60);

/// How long it may take until somebody is there to be attached to.
const SOMEBODY: Duration = Duration::from_secs(10);

/// Time between two attempts to attach or to unload.
const PAUSE: Duration = Duration::from_millis(5);

/// Loads the module.
pub fn load(path: &Path, parameters: &CStr) -> Result<()> {
    load::load(path, parameters).with_context(|| format!("cannot load {}", path.display()))
}

/// Waits for some time, longer where a reload takes long, or until all are to end.
fn rest(worker: &mut Worker, last: Duration) {
    let until = Instant::now() + Duration::from_millis(worker.rng.within(500..6000)) + last;
    worker.heartbeat.step("wait");
    while Instant::now() < until && !worker.world.is_stopping() {
        worker.heartbeat.still();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One step: a reload, after a rest unless there is a number of them to do. All end with the last.
///
/// `took` is how long the last one took.
pub fn step(worker: &mut Worker, module: &Path, wanted: Option<u64>, took: &mut Duration) {
    worker.rng = worker.choices.step();
    match wanted {
        None => rest(worker, *took),
        Some(wanted) if worker.world.counts.of(RELOADS) >= wanted => worker.world.stop(),
        Some(_) => {}
    }
    if worker.world.is_stopping() {
        return;
    }
    worker.heartbeat.step("reload");
    // Something of our own, so that there is a target and an open file each time, and wait until it
    // has seen a call.
    let until = Instant::now() + SOMEBODY;
    let target = loop {
        let request = attach::request(worker, NotifierKind::PlainEnd);
        match request.and_then(|request| worker.attach(&request)) {
            // All may be dying, or be missing just now.
            None if Instant::now() < until => std::thread::sleep(PAUSE),
            target => break target,
        }
    };
    let mut file = None;
    if let Some(target) = &target {
        worker.set(target, "delay_us", "200");
        file = worker.open_target(target, "counters", false);
        let until = Instant::now() + Duration::from_millis(500);
        while worker
            .counters(target)
            .is_some_and(|counters| counters.calls == 0)
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for target in worker.world.targets() {
        worker.counters(&target);
    }
    let small = [c"log_kib=4", c"log_kib=16", c"log_kib=64", c""];
    let parameters = *worker.rng.pick(&small);

    let busy = target.is_some() || !worker.world.targets().is_empty();
    let begin = Instant::now();
    let reloaded = reload(worker, module, parameters);
    *took = begin.elapsed();
    if reloaded {
        worker.world.counts.one(RELOADS);
        if busy {
            worker.world.counts.one(WITH_TARGETS);
        }
    }
    let Some(target) = target else {
        return;
    };
    if !reloaded {
        worker.detach(&target);
    } else if let Some(file) = file {
        worker.world.counts.one(WITH_FILES);
        if worker.read_open(&target, "counters", &file).is_some() {
            worker.finding("a file of a module that is gone could be read");
        }
    }
}

/// Unloads and loads. False where it could not be unloaded.
fn reload(worker: &mut Worker, module: &Path, parameters: &CStr) -> bool {
    let world = worker.world.clone();
    let until = Instant::now() + SESSIONS;
    let done = loop {
        let unloaded = world.module.change(|state| {
            let result = unload();
            if result.is_ok() {
                state.unloaded();
                if let Err(error) = load(module, parameters) {
                    worker.finding(format_args!("{error:#}"));
                    // Nothing works without it.
                    world.stop();
                }
            }
            result
        });
        match unloaded {
            Ok(()) => break true,
            Err(errno) if is_allowed(Call::Unload, errno, true) => {
                world.counts.one(REFUSED);
                world.no_sessions.store(true, SeqCst);
            }
            Err(errno) => {
                worker.finding(format_args!("{} failed with {errno}", Call::Unload));
                break false;
            }
        }
        if Instant::now() >= until {
            worker.finding("the module is in use although all sessions are closed");
            break false;
        }
        worker.heartbeat.still();
        std::thread::sleep(PAUSE);
    };
    world.no_sessions.store(false, SeqCst);
    world.forget_unloaded();
    done
}
