// SPDX-License-Identifier: GPL-2.0

//! Operations that attach and detach targets through `control`.

use std::fs;
use std::sync::Arc;

use nix::errno::Errno;

use mn_inject::model::NotifierKind;

use crate::stress::class::Class;
use crate::stress::class::MayReturn;
use crate::stress::request::AttachRequest;
use crate::stress::target::Target;
use crate::stress::victims::Victim;
use crate::stress::worker::{On, Worker};

/// Maximum number of targets at a time: each has a log, and each slows down every notifier call of
/// its process.
const MOST: usize = 24;

/// Classes of the processes that notifiers may be attached to.
const CLASSES: [Class; 3] = [Class::Agreeing, Class::Plain, Class::Interval];

/// Chooses a process that may have a notifier of this kind. Returns `None` if there is none.
pub fn request(worker: &mut Worker, kind: NotifierKind) -> Option<AttachRequest> {
    let classes: Vec<_> = CLASSES
        .into_iter()
        .filter_map(|class| Some((class, class.may_return(kind)?)))
        .collect();
    let (class, may_return) = *worker.rng.any(&classes)?;
    let mut victims = worker.world.victims_of(class);
    // Attach to a zombie only now and then.
    if !worker.rng.one_in(8) {
        victims.retain(|victim| !victim.is_dead());
    }
    let victim = worker.rng.any(&victims)?;
    Some(AttachRequest {
        kind,
        victim: Some(victim.clone()),
        pid: victim.pid.as_raw(),
        may_return,
    })
}

fn attach_as(worker: &mut Worker, request: &AttachRequest) -> Option<Arc<Target>> {
    let target = worker.attach(request)?;
    worker.world.add_target(target.clone());
    Some(target)
}

fn is_full(worker: &Worker) -> bool {
    worker.world.targets().len() >= MOST
}

/// Attaches a notifier of this kind to some process.
pub fn attach(worker: &mut Worker, kind: NotifierKind) -> bool {
    let request = request(worker, kind);
    !is_full(worker) && request.is_some_and(|request| attach_as(worker, &request).is_some())
}

/// Attaches two notifiers to the same process.
pub fn attach_twice(worker: &mut Worker) -> bool {
    let first = *worker.rng.pick(&NotifierKind::ALL);
    let second = *worker.rng.pick(&NotifierKind::ALL);
    let Some(request) = request(worker, first) else {
        return false;
    };
    let class = request.victim.as_ref().map(|victim| victim.class);
    let Some(may_return) = class.and_then(|class| class.may_return(second)) else {
        return false;
    };
    if is_full(worker) || attach_as(worker, &request).is_none() {
        return false;
    }
    let again = AttachRequest {
        kind: second,
        may_return,
        ..request
    };
    attach_as(worker, &again).is_some()
}

/// Attaches with a name that is in use, which returns -EEXIST.
pub fn attach_name_in_use(worker: &mut Worker) -> bool {
    let Some(request) = request(worker, NotifierKind::Plain) else {
        return false;
    };
    let Some(target) = worker.attach(&request) else {
        return false;
    };
    // The target is not in the world, so no other worker detaches it. Unloading the module does,
    // but then the name is free in the next one.
    if let Some(victim) = request.victim.as_deref()
        && worker.rng.one_in(8)
    {
        // The keeper may do so at any time.
        kill(worker, victim);
    }
    let moment = worker.moment();
    let line = format!("attach {} name={}", request.pid, target.name);
    let result = worker.write_control(&line);
    match (result, request.victim.as_deref()) {
        (None | Some(Err(Errno::EEXIST)), _) => {}
        // The module looks up the process before the name.
        (Some(Err(Errno::ESRCH)), Some(victim)) => worker.is_ending(victim),
        (Some(result), _) if !worker.has_raced(On::Target(&target), moment) => {
            let name = &target.name;
            worker.finding(format_args!("attach to {name}, in use, came to {result:?}"));
        }
        _ => {}
    }
    worker.detach(&target);
    result == Some(Err(Errno::EEXIST))
}

/// Attaches to process ids without an address space, which returns -ESRCH.
pub fn attach_no_process(worker: &mut Worker) -> bool {
    // Process 2 is kthreadd, except in a container.
    let kernel_thread = fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n");
    let pids: &[&str] = if kernel_thread {
        &["0", "-1", "2147483647", "2"]
    } else {
        &["0", "-1", "2147483647"]
    };
    let pid = worker.rng.pick(pids);
    let kind = *worker
        .rng
        .pick(&["", " kind=plain-end", " range=1000-2000 kind=interval"]);
    let name = worker.world.new_name();
    worker.refused_line(&format!("attach {pid} name={name}{kind}"), Errno::ESRCH)
}

/// Writes an invalid line.
pub fn write_nonsense(worker: &mut Worker) -> bool {
    const LINES: &[(&str, Errno)] = &[
        ("\n", Errno::EINVAL),
        ("attach", Errno::EINVAL),
        ("attach 1 name=", Errno::EINVAL),
        ("attach 1 name=.hidden", Errno::EINVAL),
        ("attach 1 name=a/b", Errno::EINVAL),
        ("attach 1 kind=fancy", Errno::EINVAL),
        ("attach 1 kind=interval", Errno::EINVAL),
        ("attach 1 kind=plain range=2000-1000", Errno::EINVAL),
        ("attach 1 kind=interval range=2000-1000", Errno::EINVAL),
        ("attach 1 name=a name=b", Errno::EINVAL),
        ("attach 1 times=1 times=2", Errno::EINVAL),
        ("attach 1 times=-2", Errno::ERANGE),
        ("attach 2147483648", Errno::ERANGE),
        ("attach one", Errno::EINVAL),
        ("detach", Errno::EINVAL),
        ("detach a b", Errno::EINVAL),
        ("detach nobody-has-this-name", Errno::ENOENT),
    ];
    let (line, errno) = *worker.rng.pick(LINES);
    worker.refused_line(line, errno)
}

/// Attaches to a process that the stress must not disturb: itself, or process 1. The target
/// returns 0 only.
pub fn attach_other(worker: &mut Worker, pid: u32) -> bool {
    let kind = *worker.rng.pick(&NotifierKind::ALL);
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    let request = AttachRequest {
        kind,
        victim: None,
        pid,
        may_return: MayReturn::Success,
    };
    !is_full(worker) && attach_as(worker, &request).is_some()
}

/// Attaches to a process that was killed immediately before.
pub fn attach_dying(worker: &mut Worker) -> bool {
    let Some(request) = request(worker, NotifierKind::PlainEnd) else {
        return false;
    };
    if let Some(victim) = request.victim.as_deref() {
        kill(worker, victim);
    }
    !is_full(worker) && attach_as(worker, &request).is_some()
}

fn kill(worker: &Worker, victim: &Victim) {
    if let Err(error) = victim.kill() {
        worker.finding(format_args!("{error:#}"));
    }
}

/// Detaches some target.
pub fn detach(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    match worker.rng.any(&targets) {
        Some(target) => worker.detach(target),
        None => false,
    }
}
