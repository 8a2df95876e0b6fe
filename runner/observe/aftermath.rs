// SPDX-License-Identifier: GPL-2.0

//! What is left when all is done: unloads the module, and asks the kernel whether all is well.

use crate::injector;
use crate::injector::LoadedModule;
use crate::kmsg::Record;
use crate::model::Ownership;
use crate::observe::kmemleak;
use crate::observe::watch::{Watch, Watched};

/// How many leaks are kept; the others are counted.
const LEAKS: usize = 20;

/// Ends the watch where the module stays, since somebody may wait in it for ever, and so would
/// whoever unloads it. `is_spoiled` is whether the boot was one for scenarios that leave something
/// behind on purpose: lockdep may be off there.
pub fn of_left(
    watch: Watch,
    module: Option<LoadedModule>,
    is_spoiled: bool,
    expected: impl Fn(&Record) -> bool,
) -> Watched {
    if let Some(module) = module {
        module.leave();
    }
    if is_spoiled {
        watch.end_without_lockdep(expected)
    } else {
        watch.end(expected)
    }
}

/// Unloads the module where it was loaded here, and ends the watch. Complaints that are `expected`
/// are none.
pub fn of(
    watch: Watch,
    module: Option<LoadedModule>,
    expected: impl Fn(&Record) -> bool,
) -> Watched {
    let machine = watch.machine();
    let mut doubts = Vec::new();
    let mut leaks = Vec::new();
    // In the guest nobody else loads it.
    let unloads = module.is_some() || machine == Ownership::Ours;
    drop(module);
    if unloads && injector::is_there() {
        doubts.push("the module could not be unloaded".to_owned());
    }
    // On a machine of others a scan stops too much for too long, and finds what others have lost.
    if machine == Ownership::Ours {
        match kmemleak::leaks() {
            Ok(found) => leaks = found,
            Err(error) => doubts.push(format!("nobody knows what has leaked: {error:#}")),
        }
    }
    if leaks.len() > LEAKS {
        doubts.push(format!("there are {} more leaks", leaks.len() - LEAKS));
        leaks.truncate(LEAKS);
    }
    let mut watched = watch.end(expected);
    watched.complaints.extend(leaks);
    watched.doubts.extend(doubts);
    watched
}
