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
use mn_inject::os::limit::Limit;

use crate::stress::attach;
use crate::stress::errno::{Call, is_allowed};
use crate::stress::worker::Worker;

/// Count of reloads: the module was unloaded and loaded.
pub const RELOADS: &str = "reloads";
/// Count of reloads with targets attached to victims at work.
pub const WITH_TARGETS: &str = "reloads with targets attached";
/// Count of reloads with files of the module open.
pub const WITH_FILES: &str = "reloads with files open";
/// Count of unloads that returned -EAGAIN because a session was open.
pub const REFUSED: &str = "unloading refused";

/// Time limit for all sessions to be closed.
const SESSIONS_CLOSED: Duration = Duration::from_secs(60);

/// Time limit until a process is there to be attached to.
const FIRST_TARGET: Duration = Duration::from_secs(10);

/// Time limit for the first call of a new target.
const FIRST_CALL: Duration = Duration::from_millis(500);

/// Time between two attempts to attach or to unload.
const PAUSE: Duration = Duration::from_millis(5);

/// Loads the module.
pub fn load(path: &Path, parameters: &CStr) -> Result<()> {
    load::load(path, parameters).with_context(|| format!("cannot load {}", path.display()))
}

/// Waits for a random time plus the duration of the last reload, or until the workers are to end.
fn rest(worker: &mut Worker, last: Duration) {
    let until = Instant::now() + Duration::from_millis(worker.rng.within(500..6000)) + last;
    worker.heartbeat.step("wait");
    while Instant::now() < until && !worker.world.is_stopping() {
        worker.heartbeat.still();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reloads the module. If a number of reloads is wanted, ends the stress after the last one;
/// otherwise waits before each.
///
/// `took` is the duration of the last reload.
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
    // Attach a target, wait for its first call, and hold a file of it open, so that each reload has
    // at least these.
    let mut limit = Limit::new(FIRST_TARGET);
    let target = loop {
        let request = attach::request(worker, NotifierKind::PlainEnd);
        match request.and_then(|request| worker.attach(&request)) {
            // All victims may be dying or not started yet.
            None if !limit.is_over() => std::thread::sleep(PAUSE),
            target => break target,
        }
    };
    let mut file = None;
    if let Some(target) = &target {
        worker.set(target, "delay_us", "200");
        file = worker.open_target(target, "counters", false);
        let mut limit = Limit::new(FIRST_CALL);
        while worker
            .counters(target)
            .is_some_and(|counters| counters.calls == 0)
            && !limit.is_over()
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

/// Unloads and loads the module. Returns false if it could not be unloaded.
fn reload(worker: &mut Worker, module: &Path, parameters: &CStr) -> bool {
    let world = worker.world.clone();
    let mut limit = Limit::new(SESSIONS_CLOSED);
    let done = loop {
        let unloaded = world.module.change(|state| {
            let result = unload();
            if result.is_ok() {
                state.unloaded();
                if let Err(error) = load(module, parameters) {
                    worker.finding(format_args!("{error:#}"));
                    // No other operation works without the module.
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
        if limit.is_over() {
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
