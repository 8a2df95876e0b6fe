// SPDX-License-Identifier: GPL-2.0

//! The worker that starts the victims and kills them at random. After the death of a victim, when
//! its address space is gone and no callback runs any more, it checks the counters of its targets.

use std::sync::Arc;
use std::time::Duration;

use mn_inject::os::limit::Limit;

use crate::stress::choice::Operation;
use crate::stress::class::Class;
use crate::stress::role::Role;
use crate::stress::target::Target;
use crate::stress::victims::Victim;
use crate::stress::worker::{On, Worker};

/// Classes of victims.
const CLASSES: [Class; 3] = [Class::Agreeing, Class::Plain, Class::Interval];

/// Number of victims of each class. Together they have more threads than there are processors, so
/// that they are preempted everywhere, but not so many that the workers make no progress.
fn victims_per_class() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

/// Length of the operation "wait".
const PAUSE: Duration = Duration::from_millis(40);

/// Operations of the keeper. Each returns whether it was carried out.
pub const TABLE: &[Operation<Worker, bool>] = &[
    Operation {
        name: "start a victim",
        weight: 0,
        act: |_| false,
    },
    Operation {
        name: "wait",
        weight: 30,
        act: |_| {
            std::thread::sleep(PAUSE);
            true
        },
    },
    Operation {
        name: "kill a victim",
        weight: 2,
        act: |worker| {
            let victims = worker.world.victims();
            let Some(victim) = worker.rng.any(&victims) else {
                return false;
            };
            let victim = victim.clone();
            if worker.rng.one_in(2) {
                bury(worker, &victim);
            } else if let Err(error) = victim.kill() {
                worker.finding(format_args!("{error:#}"));
            }
            true
        },
    },
    Operation {
        name: "bury the dead",
        weight: 6,
        act: |worker| {
            // Only now and then, so that other workers attach to zombies.
            let mut victims = worker.world.victims();
            victims.retain(|victim| victim.is_dead());
            for victim in &victims {
                bury(worker, victim);
            }
            !victims.is_empty()
        },
    },
];

/// Starts the control process, to which no worker attaches. It is started by this thread because
/// every victim dies with the thread that started it (`PR_SET_PDEATHSIG`).
pub fn begin(worker: &mut Worker) {
    match Victim::start(Role::Control, Class::Untouched, worker.rng.bits()) {
        Ok(victim) => {
            // It cannot fail: this is the only call.
            let _ = worker.world.control.set(Arc::new(victim));
        }
        Err(error) => worker.finding(format_args!("{error:#}")),
    }
}

/// Starts victims until there are enough of each class.
pub fn fill(worker: &mut Worker) {
    for class in CLASSES {
        let living = worker
            .world
            .victims_of(class)
            .iter()
            .filter(|victim| !victim.is_dead())
            .count();
        for _ in living..victims_per_class() {
            worker.heartbeat.step("start a victim");
            match Victim::start(Role::Busy, class, worker.rng.bits()) {
                Ok(victim) => {
                    worker.world.counts.one("start a victim");
                    worker.world.add_victim(Arc::new(victim));
                }
                Err(error) => worker.finding(format_args!("{error:#}")),
            }
        }
    }
}

/// Starts missing victims, and carries out one operation.
pub fn step(worker: &mut Worker) {
    let (operation, rng) = worker.choices.next(TABLE);
    worker.rng = rng;
    fill(worker);
    let Some(operation) = operation else {
        return;
    };
    worker.heartbeat.step(operation.name);
    if (operation.act)(worker) {
        worker.world.counts.one(operation.name);
    }
}

/// Kills a victim, removes it from the world, and checks its targets.
fn bury(worker: &mut Worker, victim: &Arc<Victim>) {
    let world = worker.world.clone();
    world.remove_victim(victim);
    if let Err(error) = victim.end(world.patience) {
        worker.finding(format_args!("{error:#}"));
        return;
    }
    if let Some(status) = victim.odd_end() {
        worker.finding(format_args!("a victim ended with {status:?}"));
    }
    if let Err(error) = victim.harvest(&world.counts, world.patience) {
        worker.finding(format_args!("{error:#}"));
    }
    for target in world.targets() {
        if target
            .victim
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, victim))
        {
            check_dead(worker, &target);
            // Some stay for other workers to use, or for the unload of the module to detach.
            if worker.rng.one_in(2) {
                worker.detach(&target);
            }
        }
    }
}

/// Waits until the address space of a dead process is gone, and reads the counters. If all
/// notifiers of the process return 0, checks that every start of an invalidation had its end. After
/// a failed start in blockable context, the kernel calls the ends twice.
fn check_dead(worker: &Worker, target: &Target) {
    let moment = worker.moment();
    let mut limit = Limit::new(worker.world.patience);
    loop {
        worker.heartbeat.still();
        match worker.read(target, "state").as_deref() {
            // It is being detached.
            None => return,
            Some("gone\n") => break,
            Some(_) if !limit.is_over() => std::thread::sleep(Duration::from_millis(5)),
            Some(state) => {
                let name = &target.name;
                worker.finding(format_args!(
                    "{name}: its process is dead, but is {state:?}"
                ));
                return;
            }
        }
    }
    let agreeing = target
        .victim
        .as_ref()
        .is_some_and(|victim| victim.class == Class::Agreeing);
    if let Some(counters) = worker.counters(target)
        && agreeing
        && target.kind.has_ends()
    {
        worker.world.counts.one("pairs looked at");
        if !counters.is_paired() && !worker.has_raced(On::Target(target), moment) {
            let (name, kind) = (&target.name, target.kind);
            worker.finding(format_args!(
                "{name} ({kind}) is dead and not paired: {counters:?}"
            ));
        }
    }
}

/// Ends all victims.
pub fn end(worker: &mut Worker) {
    worker.heartbeat.step("ending");
    for victim in worker.world.victims() {
        bury(worker, &victim);
    }
    if let Some(control) = worker.world.control.get() {
        if control.is_dead() {
            worker.finding("the process that nobody attached to has ended");
        }
        let result = control
            .harvest(&worker.world.counts, worker.world.patience)
            .and_then(|()| control.end(worker.world.patience));
        if let Err(error) = result {
            worker.finding(format_args!("{error:#}"));
        }
    }
}
