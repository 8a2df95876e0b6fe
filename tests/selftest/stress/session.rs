// SPDX-License-Identifier: GPL-2.0

//! Operations on sessions: targets that are attached as long as the device is open.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use nix::errno::Errno;

use mn_inject::injector::formats::targets;
use mn_inject::injector::{DEVICE, detach_line, target_file};
use mn_inject::model::NotifierKind;
use mn_inject::os::limit::Limit;

use crate::stress::attach;
use crate::stress::errno::Call;
use crate::stress::files::{errno, read_once, write_once};
use crate::stress::helper::Helper;
use crate::stress::open::Session;
use crate::stress::role::Role;
use crate::stress::target::Target;
use crate::stress::worker::{On, Worker};

/// Maximum number of targets of a session.
const MOST: usize = 4;

/// Time limit for the end of a session.
const ENDING: Duration = Duration::from_secs(20);

/// Opens a session.
pub fn open(worker: &mut Worker) -> bool {
    if worker.session.is_some() || worker.world.no_sessions.load(SeqCst) {
        return false;
    }
    let device = worker.call(Call::OpenDevice, On::Module, DEVICE, || {
        errno(OpenOptions::new().read(true).write(true).open(DEVICE))
    });
    worker.session = device.map(|device| Session {
        device,
        targets: Vec::new(),
    });
    worker.session.is_some()
}

/// Attaches a target through the session.
pub fn attach(worker: &mut Worker) -> bool {
    let kind = *worker.rng.pick(&NotifierKind::ALL);
    let Some(request) = attach::request(worker, kind) else {
        return false;
    };
    let Some(mut session) = worker.session.take() else {
        return false;
    };
    let mut done = false;
    if session.targets.len() < MOST {
        // The module cannot be unloaded while the device is open.
        let moment = worker.moment();
        let (line, target) = worker.attach_line(&request, moment);
        let result = write_once(&session.device, &line);
        if let Some(target) = worker.attached(&request, target, result, false) {
            worker.world.add_target(target.clone());
            session.targets.push(target);
            done = true;
        }
    }
    worker.session = Some(session);
    done
}

/// Detaches a target through the session.
pub fn detach(worker: &mut Worker) -> bool {
    let Some(target) = worker.session.as_mut().and_then(|it| it.targets.pop()) else {
        return false;
    };
    let Some(session) = &worker.session else {
        return false;
    };
    target.begin_detach();
    worker.world.remove_target(&target);
    let on = On::DetachedBySession(&target);
    let what = format_args!("{} > device", target.name);
    let detached = worker.call(Call::Detach, on, what, || {
        write_once(&session.device, detach_line(&target.name))
    });
    detached.is_some()
}

/// Reads the list of the session's targets, and checks it.
pub fn list(worker: &mut Worker) -> bool {
    let Some(session) = &worker.session else {
        return false;
    };
    let Some(text) = worker.call(Call::ReadDevice, On::Session, DEVICE, || {
        read_once(&session.device)
    }) else {
        return false;
    };
    let listed: Vec<_> = match targets(&text) {
        Ok(targets) => targets.into_iter().map(|target| target.name).collect(),
        Err(error) => {
            worker.finding(format_args!("the device: {error:#}"));
            return false;
        }
    };
    // Only targets that another worker detaches may be missing, and no others may be listed.
    let missing = session
        .targets
        .iter()
        .find(|target| !target.is_detaching() && !listed.contains(&target.name))
        .map(|target| target.name.clone());
    let strange = listed
        .iter()
        .find(|name| session.targets.iter().all(|target| target.name != **name))
        .cloned();
    if let Some(name) = missing {
        worker.finding(format_args!("{name} is not in its session: {listed:?}"));
    } else if let Some(name) = strange {
        worker.finding(format_args!("{name} is in a session that is not its own"));
    }
    true
}

/// Closes the session, and checks that all its targets are detached.
pub fn close(worker: &mut Worker) -> bool {
    let Some(session) = worker.session.take() else {
        return false;
    };
    let names = begin_detach_all(worker, &session.targets);
    drop(session);
    wait_detached(worker, &names, "the device was closed");
    true
}

/// Prepares the targets of a session for its end. Returns the names of those that no other worker
/// is detaching.
fn begin_detach_all(worker: &Worker, targets: &[Arc<Target>]) -> Vec<String> {
    let mut names = Vec::new();
    for target in targets {
        worker.counters(target);
        if target.begin_detach() {
            names.push(target.name.clone());
        }
        worker.world.remove_target(target);
    }
    names
}

/// Waits until the targets of a closed session are detached. A process that another worker is
/// starting at this moment may hold the session open until it has called execve(2).
fn wait_detached(worker: &Worker, names: &[String], why: &str) {
    let mut limit = Limit::new(ENDING);
    for name in names {
        while target_file(name, "counters").exists() {
            if limit.is_over() {
                worker.finding(format_args!("{name} is still there after {why}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Duplicates the descriptor of the session and closes the old one: the session stays open.
pub fn duplicate(worker: &mut Worker) -> bool {
    let Some(session) = &mut worker.session else {
        return false;
    };
    match session.device.try_clone() {
        Ok(copy) => {
            let old = std::mem::replace(&mut session.device, copy);
            drop(OwnedFd::from(old));
            true
        }
        Err(error) => {
            worker.finding(format_args!("dup: {error}"));
            false
        }
    }
}

/// Opens a session in another process, attaches targets through it, and ends the process.
pub fn end_owner(worker: &mut Worker) -> bool {
    if worker.world.no_sessions.load(SeqCst) {
        return false;
    }
    match try_end_owner(worker) {
        Ok(done) => done,
        Err(error) => {
            worker.finding(format_args!("a session of another process: {error:#}"));
            false
        }
    }
}

fn try_end_owner(worker: &mut Worker) -> anyhow::Result<bool> {
    let moment = worker.moment();
    let by_signal = worker.rng.one_in(2);
    let mut helper = Helper::start(Role::Session)?;
    let answer = helper.answer()?;
    if answer != "open 0" {
        let errno = answer
            .strip_prefix("open ")
            .and_then(|errno| errno.parse().ok())
            .map_or(Errno::UnknownErrno, Errno::from_raw);
        let (call, on) = (Call::OpenDevice, On::Module);
        worker.judged(call, on, moment, DEVICE, Err::<(), _>(errno));
        return Ok(false);
    }
    // The module cannot be unloaded while the helper holds the device open.
    let moment = worker.moment();
    let mut attached = Vec::new();
    for _ in 0..=worker.rng.below(MOST) {
        let kind = *worker.rng.pick(&NotifierKind::ALL);
        let Some(request) = attach::request(worker, kind) else {
            break;
        };
        let (line, target) = worker.attach_line(&request, moment);
        helper.say(&line)?;
        let answer = helper.answer()?;
        let result = match answer.strip_prefix("wrote ").map(str::parse) {
            Some(Ok(0)) => Ok(()),
            Some(Ok(errno)) => Err(Errno::from_raw(errno)),
            _ => anyhow::bail!("the answer was {answer:?}"),
        };
        if let Some(target) = worker.attached(&request, target, result, false) {
            worker.world.add_target(target.clone());
            attached.push(target);
        }
    }
    let names = begin_detach_all(worker, &attached);
    if by_signal {
        helper.kill()?;
    } else {
        helper.input = None;
    }
    helper.wait(ENDING, || worker.heartbeat.still())?;
    wait_detached(worker, &names, "the owner of its session ended");
    Ok(true)
}
