// SPDX-License-Identifier: GPL-2.0

//! The worker that starts the victims, kills them at random, and looks at what their notifiers saw
//! once they are dead: nothing runs in an address space then that nobody has any more.

use std::sync::Arc;
use std::time::Duration;

use mn_inject::os::limit::Limit;

use crate::stress::choice::Operation;
use crate::stress::class::Class;
use crate::stress::role::Role;
use crate::stress::target::Target;
use crate::stress::victims::Victim;
use crate::stress::worker::{On, Worker};

/// The classes of victims.
const CLASSES: [Class; 3] = [Class::Agreeing, Class::Plain, Class::Interval];

/// How many victims there are of each class: more than the processors can serve, so that they are
/// interrupted in the middle of everything, but not so many that nobody else gets anywhere.
fn crowd() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

/// Time between two steps.
const PAUSE: Duration = Duration::from_millis(40);

/// What it does. Each says whether it was carried out.
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
            // Only now and then, so that others meet the zombies.
            let mut victims = worker.world.victims();
            victims.retain(|victim| victim.is_dead());
            for victim in &victims {
                bury(worker, victim);
            }
            !victims.is_empty()
        },
    },
];

/// Starts the one that nobody attaches to. Like all victims it dies with the thread that started it,
/// which is why the main thread does not.
pub fn begin(worker: &mut Worker) {
    match Victim::start(Role::Control, Class::Untouched, worker.rng.bits()) {
        Ok(victim) => {
            // It is the first and only one.
            let _ = worker.world.control.set(Arc::new(victim));
        }
        Err(error) => worker.finding(format_args!("{error:#}")),
    }
}

/// Starts whoever is missing.
pub fn fill(worker: &mut Worker) {
    for class in CLASSES {
        let living = worker
            .world
            .victims_of(class)
            .iter()
            .filter(|victim| !victim.is_dead())
            .count();
        for _ in living..crowd() {
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

/// One step.
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

/// Takes a victim out of the world, and looks at its targets.
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
            look_at_dead(worker, &target);
            // Some stay for others to work on, or for the module to take with it.
            if worker.rng.one_in(2) {
                worker.detach(&target);
            }
        }
    }
}

/// Waits until nobody has the address space any more, and looks that every start had its end. Where
/// a start was refused in blockable context the kernel calls the ends twice, so only those are
/// looked at of whom nobody refuses.
fn look_at_dead(worker: &Worker, target: &Target) {
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
