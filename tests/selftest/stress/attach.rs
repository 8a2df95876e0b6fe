// SPDX-License-Identifier: GPL-2.0

//! Attaching and detaching through `control`.

use std::fs;
use std::sync::Arc;

use nix::errno::Errno;

use crate::stress::choice;
use crate::stress::victims::{Class, Victim};
use crate::stress::worker::{Wish, Worker};
use crate::stress::world::{Harm, Kind, Target};

/// No more targets than that at a time: each has a log, and each makes every call of its process
/// slower.
const MOST: usize = 24;

/// The classes whose processes may be attached to.
const CLASSES: [Class; 3] = [Class::Agreeing, Class::Plain, Class::Interval];

/// Somebody to whom a notifier of that kind may be attached, and how.
pub fn wish(worker: &mut Worker, kind: Kind) -> Option<Wish> {
    let drawn = worker.rng.usize(..);
    let classes: Vec<_> = CLASSES
        .into_iter()
        .filter_map(|class| Some((class, class.harm(kind)?)))
        .collect();
    let (class, harm) = *classes.get(drawn % classes.len().max(1))?;
    let mut victims = worker.world.victims_of(class);
    // The dead are rather for now and then.
    if !choice::once_in(8, &mut worker.rng) {
        victims.retain(|victim| !victim.is_dead());
    }
    let victim = choice::one(&victims, &mut worker.rng)?;
    Some(Wish {
        kind,
        victim: Some(victim.clone()),
        pid: victim.pid.as_raw(),
        harm,
    })
}

fn attach_as(worker: &mut Worker, wish: &Wish) -> Option<Arc<Target>> {
    let target = worker.attach(wish)?;
    worker.world.add_target(target.clone());
    Some(target)
}

fn is_full(worker: &Worker) -> bool {
    worker.world.targets().len() >= MOST
}

/// Attaches a notifier of that kind to somebody.
pub fn attach(worker: &mut Worker, kind: Kind) -> bool {
    let wish = wish(worker, kind);
    !is_full(worker) && wish.is_some_and(|wish| attach_as(worker, &wish).is_some())
}

/// Attaches two notifiers to the same process.
pub fn attach_twice(worker: &mut Worker) -> bool {
    let kinds = [Kind::Plain, Kind::PlainEnd, Kind::Interval, Kind::TwoPass];
    let first = kinds[worker.rng.usize(..4)];
    let second = kinds[worker.rng.usize(..4)];
    let Some(wish) = wish(worker, first) else {
        return false;
    };
    let Some(harm) = wish.victim.as_ref().and_then(|v| v.class.harm(second)) else {
        return false;
    };
    if is_full(worker) || attach_as(worker, &wish).is_none() {
        return false;
    }
    let again = Wish {
        kind: second,
        harm,
        ..wish
    };
    attach_as(worker, &again).is_some()
}

/// Attaches under a name that is in use.
pub fn attach_name_in_use(worker: &mut Worker) -> bool {
    let Some(wish) = wish(worker, Kind::Plain) else {
        return false;
    };
    let Some(target) = worker.attach(&wish) else {
        return false;
    };
    // Not in the world: nobody but us detaches it. The module may, by going, but then the name is
    // free in the next one.
    if let Some(victim) = wish.victim.as_deref()
        && choice::once_in(8, &mut worker.rng)
    {
        // As somebody else may do at any time.
        kill(worker, victim);
    }
    let moment = worker.world.presence.moment();
    let line = format!("attach {} name={}", wish.pid, target.name);
    let result = worker.write_control(&line, moment);
    match (result, wish.victim.as_deref()) {
        (None | Some(Err(Errno::EEXIST)), _) => {}
        // The process is looked for before the name.
        (Some(Err(Errno::ESRCH)), Some(victim)) => worker.is_ending(victim),
        (Some(result), _) if !worker.world.is_upset(&target, moment) => {
            let name = &target.name;
            worker.finding(format_args!("attach to {name}, in use, came to {result:?}"));
        }
        _ => {}
    }
    worker.detach(&target);
    result == Some(Err(Errno::EEXIST))
}

/// Attaches to whom it is not possible.
pub fn attach_nobody(worker: &mut Worker) -> bool {
    // Process 2 starts all kernel threads, where it is that and not somebody in a container.
    let kernel_thread = fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n");
    let pids: &[&str] = if kernel_thread {
        &["0", "-1", "2147483647", "2"]
    } else {
        &["0", "-1", "2147483647"]
    };
    let pid = pids[worker.rng.usize(..pids.len())];
    let kind = ["", " kind=plain-end", " range=1000-2000 kind=interval"][worker.rng.usize(..3)];
    let name = worker.world.new_name();
    worker.say(&format!("attach {pid} name={name}{kind}"), Errno::ESRCH)
}

/// Writes lines that mean nothing.
pub fn say_nonsense(worker: &mut Worker) -> bool {
    const LINES: &[(&str, Errno)] = &[
        ("\n", Errno::EINVAL),
        ("attach", Errno::EINVAL),
        ("attach 1 name=", Errno::EINVAL),
        ("attach 1 name=.hidden", Errno::EINVAL),
        ("attach 1 name=a/b", Errno::EINVAL),
        ("attach 1 kind=fancy", Errno::EINVAL),
        ("attach 1 kind=interval", Errno::EINVAL),
        ("attach 1 kind=plain range=1000-2000", Errno::EINVAL),
        ("attach 1 kind=interval range=2000-1000", Errno::EINVAL),
        ("attach 1 name=a name=b", Errno::EINVAL),
        ("attach 2147483648", Errno::ERANGE),
        ("attach one", Errno::EINVAL),
        ("detach", Errno::EINVAL),
        ("detach a b", Errno::EINVAL),
        ("detach nobody-has-this-name", Errno::ENOENT),
    ];
    let (line, errno) = LINES[worker.rng.usize(..LINES.len())];
    worker.say(line, errno)
}

/// Attaches to a process that is not ours to harm: ourselves, or the first of all.
pub fn attach_other(worker: &mut Worker, pid: u32) -> bool {
    let kinds = [Kind::Plain, Kind::PlainEnd, Kind::Interval, Kind::TwoPass];
    let kind = kinds[worker.rng.usize(..4)];
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    let wish = Wish {
        kind,
        victim: None,
        pid,
        harm: Harm::Nothing,
    };
    !is_full(worker) && attach_as(worker, &wish).is_some()
}

/// Attaches to a process that is being killed at this very moment.
pub fn attach_dying(worker: &mut Worker) -> bool {
    let Some(wish) = wish(worker, Kind::PlainEnd) else {
        return false;
    };
    if let Some(victim) = wish.victim.as_deref() {
        kill(worker, victim);
    }
    !is_full(worker) && attach_as(worker, &wish).is_some()
}

fn kill(worker: &Worker, victim: &Victim) {
    if let Err(error) = victim.kill() {
        worker.finding(format_args!("{error:#}"));
    }
}

/// Detaches some target.
pub fn detach(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    match choice::one(&targets, &mut worker.rng) {
        Some(target) => worker.detach(target),
        None => false,
    }
}
