// SPDX-License-Identifier: GPL-2.0

//! Workers that use the module's interface, all at once.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mn_inject::model::NotifierKind;

use crate::stress::choice::Operation;
use crate::stress::worker::Worker;
use crate::stress::{attach, held, knobs, reads, session};

/// Pause of a worker after an operation that could not be carried out.
const PAUSE: Duration = Duration::from_millis(2);

/// Operations of these workers. Each returns whether it was carried out.
pub const TABLE: &[Operation<Worker, bool>] = &[
    Operation {
        name: "attach plain",
        weight: 6,
        act: |worker| attach::attach(worker, NotifierKind::Plain),
    },
    Operation {
        name: "attach plain-end",
        weight: 6,
        act: |worker| attach::attach(worker, NotifierKind::PlainEnd),
    },
    Operation {
        name: "attach plain-young",
        weight: 3,
        act: |worker| attach::attach(worker, NotifierKind::PlainYoung),
    },
    Operation {
        name: "attach secondary-tlbs",
        weight: 3,
        act: |worker| attach::attach(worker, NotifierKind::SecondaryTlbs),
    },
    Operation {
        name: "attach mirror",
        weight: 3,
        act: |worker| attach::attach(worker, NotifierKind::Mirror),
    },
    Operation {
        name: "attach interval",
        weight: 6,
        act: |worker| attach::attach(worker, NotifierKind::Interval),
    },
    Operation {
        name: "attach interval-two-pass",
        weight: 6,
        act: |worker| attach::attach(worker, NotifierKind::IntervalTwoPass),
    },
    Operation {
        name: "attach twice",
        weight: 4,
        act: attach::attach_twice,
    },
    Operation {
        name: "attach: name in use",
        weight: 2,
        act: attach::attach_name_in_use,
    },
    Operation {
        name: "attach: nobody",
        weight: 2,
        act: attach::attach_no_process,
    },
    Operation {
        name: "attach to the first process",
        weight: 1,
        act: |worker| attach::attach_other(worker, 1),
    },
    Operation {
        name: "attach to ourselves",
        weight: 1,
        act: |worker| attach::attach_other(worker, std::process::id()),
    },
    Operation {
        name: "attach to a dying process",
        weight: 1,
        act: attach::attach_dying,
    },
    Operation {
        name: "control: nonsense",
        weight: 2,
        act: attach::write_nonsense,
    },
    Operation {
        name: "detach",
        weight: 18,
        act: attach::detach,
    },
    Operation {
        name: "arm",
        weight: 12,
        act: knobs::arm,
    },
    Operation {
        name: "disarm",
        weight: 4,
        act: knobs::disarm,
    },
    Operation {
        name: "set",
        weight: 24,
        act: knobs::set,
    },
    Operation {
        name: "set several",
        weight: 8,
        act: knobs::set_several,
    },
    Operation {
        name: "set: refused",
        weight: 4,
        act: knobs::set_wrong,
    },
    Operation {
        name: "read counters",
        weight: 12,
        act: reads::counters,
    },
    Operation {
        name: "read log",
        weight: 4,
        act: reads::log,
    },
    Operation {
        name: "read settings",
        weight: 4,
        act: reads::settings,
    },
    Operation {
        name: "read what a target is",
        weight: 3,
        act: reads::identity,
    },
    Operation {
        name: "look at a range",
        weight: 8,
        act: reads::look,
    },
    Operation {
        name: "read the list",
        weight: 3,
        act: reads::list,
    },
    Operation {
        name: "read total and help",
        weight: 1,
        act: reads::others,
    },
    Operation {
        name: "read: nobody",
        weight: 1,
        act: reads::no_target,
    },
    Operation {
        name: "clear_refs",
        weight: 2,
        act: reads::clear_refs,
    },
    Operation {
        name: "hold a file open",
        weight: 5,
        act: held::hold,
    },
    Operation {
        name: "use an open file",
        weight: 10,
        act: held::use_one,
    },
    Operation {
        name: "close an open file",
        weight: 3,
        act: held::close,
    },
    Operation {
        name: "session: open",
        weight: 3,
        act: session::open,
    },
    Operation {
        name: "session: attach",
        weight: 8,
        act: session::attach,
    },
    Operation {
        name: "session: detach",
        weight: 4,
        act: session::detach,
    },
    Operation {
        name: "session: list",
        weight: 3,
        act: session::list,
    },
    Operation {
        name: "session: duplicate",
        weight: 2,
        act: session::duplicate,
    },
    Operation {
        name: "session: close",
        weight: 4,
        act: session::close,
    },
    Operation {
        name: "session: end its owner",
        weight: 1,
        act: session::end_owner,
    },
];

/// Carries out one operation.
pub fn step(worker: &mut Worker) {
    // The reloader waits for the session to be closed.
    if worker.world.no_sessions.load(SeqCst) && worker.session.is_some() {
        worker.heartbeat.step("session: close");
        session::close(worker);
        worker.world.counts.one("session: close");
    }
    let (operation, rng) = worker.choices.next(TABLE);
    worker.rng = rng;
    let Some(operation) = operation else {
        return;
    };
    worker.heartbeat.step(operation.name);
    if (operation.act)(worker) {
        worker.world.counts.one(operation.name);
    } else {
        // A process or the module is missing. Leave the processor to the workers that start them.
        std::thread::sleep(PAUSE);
    }
}

/// Closes everything that a worker holds open.
pub fn end(worker: &mut Worker) {
    worker.heartbeat.step("ending");
    worker.held.clear();
    session::close(worker);
}
