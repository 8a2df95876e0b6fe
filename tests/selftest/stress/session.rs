// SPDX-License-Identifier: GPL-2.0

//! Targets that live as long as the device is open.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use nix::errno::Errno;

use mn_inject::os::wait::Limit;

use crate::stress::attach;
use crate::stress::errno::{Call, is_allowed};
use crate::stress::parse;
use crate::stress::victim::Role;
use crate::stress::victims::Helper;
use crate::stress::worker::{Worker, errno_of, path, read_once, write_once};
use crate::stress::world::{Kind, Target};

/// No session has more targets than that.
const MOST: usize = 4;

/// How long the end of a session may take.
const ENDING: Duration = Duration::from_secs(20);

const KINDS: [Kind; 4] = [Kind::Plain, Kind::PlainEnd, Kind::Interval, Kind::TwoPass];

/// The device, open in this process.
#[derive(Debug)]
pub struct Session {
    device: File,
    targets: Vec<Arc<Target>>,
}

/// Opens the device.
pub fn open(worker: &mut Worker) -> bool {
    if worker.session.is_some() || worker.world.no_sessions.load(SeqCst) {
        return false;
    }
    let moment = worker.world.presence.moment();
    match OpenOptions::new()
        .read(true)
        .write(true)
        .open(crate::stress::DEVICE)
    {
        Ok(device) => {
            worker.session = Some(Session {
                device,
                targets: Vec::new(),
            });
            true
        }
        Err(error) => {
            let upset = worker.world.presence.is_upset_since(moment);
            let errno = errno_of(&error);
            if !is_allowed(Call::OpenDevice, errno, upset) {
                worker.finding(format_args!("{} failed with {errno}", Call::OpenDevice));
            }
            false
        }
    }
}

/// Attaches somebody through it.
pub fn attach(worker: &mut Worker) -> bool {
    let kind = KINDS[worker.rng.usize(..KINDS.len())];
    let Some(wish) = attach::wish(worker, kind) else {
        return false;
    };
    let Some(mut session) = worker.session.take() else {
        return false;
    };
    let mut done = false;
    if session.targets.len() < MOST {
        // As long as the device is open the module stays.
        let moment = worker.world.presence.moment();
        let (line, target) = worker.attach_line(&wish, moment);
        let result = write_once(&mut session.device, &line);
        if let Some(target) = worker.attached(&wish, target, result, false) {
            worker.world.add_target(target.clone());
            session.targets.push(target);
            done = true;
        }
    }
    worker.session = Some(session);
    done
}

/// Detaches somebody through it.
pub fn detach(worker: &mut Worker) -> bool {
    let Some(session) = &mut worker.session else {
        return false;
    };
    let Some(target) = session.targets.pop() else {
        return false;
    };
    target.begin_detach();
    worker.world.remove_target(&target);
    let line = format!("detach {}", target.name);
    match write_once(&mut session.device, &line) {
        Ok(()) => true,
        Err(errno) => {
            if !is_allowed(Call::Detach, errno, target.is_contested()) {
                worker.finding(format_args!("{line:?} > device failed with {errno}"));
            }
            false
        }
    }
}

/// Reads which targets it has.
pub fn list(worker: &mut Worker) -> bool {
    let Some(session) = &worker.session else {
        return false;
    };
    let listed = match read_once(&session.device) {
        Ok(text) => match parse::list(&text) {
            Ok(names) => names,
            Err(error) => {
                worker.finding(format_args!("the device: {error:#}"));
                return false;
            }
        },
        Err(errno) => {
            worker.finding(format_args!("{} failed with {errno}", Call::ReadDevice));
            return false;
        }
    };
    // Whoever was detached by somebody else is not there any more; nobody else is.
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

/// Closes the device, and looks that all its targets go.
pub fn close(worker: &mut Worker) -> bool {
    let Some(session) = worker.session.take() else {
        return false;
    };
    let names = going(worker, &session.targets);
    drop(session);
    are_gone(worker, &names, "the device was closed");
    true
}

/// The targets of a session are about to go with it: those that nobody else is detaching.
fn going(worker: &Worker, targets: &[Arc<Target>]) -> Vec<String> {
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

/// Looks that these go, now that nobody has their session. A process that another worker is
/// starting at this moment has it for a little longer, until it becomes its program.
fn are_gone(worker: &Worker, names: &[String], why: &str) {
    let mut limit = Limit::new(ENDING);
    for name in names {
        while path(name, "counters").exists() {
            if limit.is_over() {
                worker.finding(format_args!("{name} is still there after {why}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Closes one of two descriptors of a session: it lives on.
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

/// Lets another process have a session, and kills it.
pub fn killed(worker: &mut Worker) -> bool {
    if worker.world.no_sessions.load(SeqCst) {
        return false;
    }
    match try_killed(worker) {
        Ok(done) => done,
        Err(error) => {
            worker.finding(format_args!("a session of another process: {error:#}"));
            false
        }
    }
}

fn try_killed(worker: &mut Worker) -> anyhow::Result<bool> {
    let moment = worker.world.presence.moment();
    let by_signal = worker.rng.bool();
    let mut helper = Helper::start(Role::Session)?;
    let answer = helper.answer()?;
    if answer != "open 0" {
        let errno = answer
            .strip_prefix("open ")
            .and_then(|errno| errno.parse().ok())
            .map_or(Errno::UnknownErrno, Errno::from_raw);
        let upset = worker.world.presence.is_upset_since(moment);
        if !is_allowed(Call::OpenDevice, errno, upset) {
            worker.finding(format_args!("{} failed with {errno}", Call::OpenDevice));
        }
        return Ok(false);
    }
    // As long as the helper has the device open the module stays.
    let moment = worker.world.presence.moment();
    let mut targets = Vec::new();
    for _ in 0..worker.rng.usize(1..=MOST) {
        let kind = KINDS[worker.rng.usize(..KINDS.len())];
        let Some(wish) = attach::wish(worker, kind) else {
            break;
        };
        let (line, target) = worker.attach_line(&wish, moment);
        helper.say(&line)?;
        let answer = helper.answer()?;
        let result = match answer.strip_prefix("wrote ").map(str::parse) {
            Some(Ok(0)) => Ok(()),
            Some(Ok(errno)) => Err(Errno::from_raw(errno)),
            _ => anyhow::bail!("the answer was {answer:?}"),
        };
        if let Some(target) = worker.attached(&wish, target, result, false) {
            worker.world.add_target(target.clone());
            targets.push(target);
        }
    }
    let names = going(worker, &targets);
    if by_signal {
        helper.kill()?;
    } else {
        helper.input = None;
    }
    helper.wait(ENDING)?;
    are_gone(worker, &names, "the owner of its session ended");
    Ok(true)
}
