// SPDX-License-Identifier: GPL-2.0

//! The end of a run: unloads the module, and collects the complaints of the kernel.

use crate::injector;
use crate::injector::LoadedModule;
use crate::kmsg::Record;
use crate::model::Ownership;
use crate::observe::complaints::{Watch, Watched};
use crate::observe::kmemleak;

/// Number of leaks that are kept. The others are counted.
const LEAKS: usize = 20;

/// Ends the watch and leaves the module loaded, since a task may wait in it forever, and so would
/// the one that unloads it. `is_spoiled` is whether the boot was for scenarios that leave something
/// behind on purpose: lockdep may be off then. Complaints that are `expected` are left out.
pub fn leave(
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

/// Unloads the module if it was loaded here, and ends the watch. Complaints that are `expected` are
/// left out. May take several seconds on a kernel with kmemleak.
pub fn unload(
    watch: Watch,
    module: Option<LoadedModule>,
    expected: impl Fn(&Record) -> bool,
) -> Watched {
    let machine = watch.machine();
    let mut doubts = Vec::new();
    let mut leaks = Vec::new();
    // In the guest it is always this run that has loaded it.
    let unloads = module.is_some() || machine == Ownership::Ours;
    drop(module);
    if unloads && injector::is_there() {
        doubts.push("the module could not be unloaded".to_owned());
    }
    // On a shared machine a scan would delay other work for too long, and find the leaks of other
    // drivers.
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
