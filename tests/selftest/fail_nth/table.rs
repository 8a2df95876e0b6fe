// SPDX-License-Identifier: GPL-2.0

//! The walks: a system call each, with the number of faults that it must at least come to.

use mn_inject::scenario::is_wanted;

use crate::fail_nth::attach::{Attach, Close, Detach, First, Via};
use crate::fail_nth::call::Call;
use crate::fail_nth::course::Faults;
use crate::fail_nth::device::{OpenDevice, ReadDevice};
use crate::fail_nth::files::{Change, Obey, Open, OpenFirst, Place, Read, Set};
use crate::fail_nth::load::{Load, Unload};
use crate::fail_nth::world::Stage;
use crate::fuzz::kind::{INTERVAL, KINDS, Kind, MIRROR, PLAIN, PLAIN_END, word};
use crate::fuzz::order::Order;
use crate::fuzz::setting::SETTINGS;
use crate::fuzz::subject::READ_ONLY;
use crate::module_cases::outcome::Outcome;

/// Files of a target that are opened: one for each way in which the module makes a file.
const OPENED: [&str; 4] = [
    "settings",
    "log",
    "fault/times",
    "actions/MMU_NOTIFY_UNMAP/error",
];

/// Settings that are read, of those that are shown in the same way.
const READ: [&str; 7] = [
    "settings",
    "record",
    "fault/events",
    "fault/range",
    "fault/task",
    "fault/times",
    "effect/error",
];

/// Files in the module's folder that can be read.
const OF_MODULE: [&str; 4] = ["control", "help", "total", "breach"];

type Begin = Box<dyn for<'a> Fn(&'a Stage<'a>) -> Outcome<Box<dyn Call + 'a>>>;

/// A walk over the faults of one system call.
pub struct Walk {
    /// Its name.
    pub name: String,
    /// Whether it loads the module itself, and it must not be loaded at the beginning.
    pub loads: bool,
    /// The faults that are injected.
    pub faults: Faults,
    /// The least number of faults. With fewer, the walk proves nothing.
    pub floor: u32,
    /// Makes everything ready.
    pub begin: Begin,
}

/// Faults before the files of a target are made, and in the first files, which are made one after
/// the other, each in the same way.
const ATTACH: Faults = Faults::First(20);

/// Faults before the files of a target are made.
const FIRST: Faults = Faults::First(12);

/// Faults before them, and in some of the files.
const WITH_FILES: Faults = Faults::First(48);

fn walk(
    name: impl Into<String>,
    faults: Faults,
    floor: u32,
    begin: impl for<'a> Fn(&'a Stage<'a>) -> Outcome<Box<dyn Call + 'a>> + 'static,
) -> Walk {
    Walk {
        name: name.into(),
        loads: false,
        faults,
        floor,
        begin: Box::new(begin),
    }
}

/// All walks, in the order in which they are made: those that load the module come last.
pub fn all() -> Vec<Walk> {
    let mut walks = attaches();
    walks.push(walk("device-open", Faults::All, 3, |stage| {
        Ok(Box::new(OpenDevice::new(stage)?))
    }));
    walks.push(walk("device-read", Faults::All, 3, |stage| {
        Ok(Box::new(ReadDevice::new(stage)?))
    }));
    // close(2) calls the module at once (fput_close_sync()), and neither allocates anything: with
    // a fault, there would be a finding, since __fput() has no use for an error of the module.
    walks.push(walk("device-close", Faults::All, 0, |stage| {
        Ok(Box::new(Close::new(stage)?))
    }));
    walks.extend(writes());
    walks.extend(reads());
    walks.push(Walk {
        loads: true,
        ..walk("load", Faults::OfInit, 20, |stage| {
            Ok(Box::new(Load::new(stage)?))
        })
    });
    walks.push(Walk {
        loads: true,
        ..walk("unload", Faults::All, 1, |stage| {
            Ok(Box::new(Unload::new(stage)?))
        })
    });
    walks
}

fn attaches() -> Vec<Walk> {
    let mut walks = Vec::new();
    let attach = |name: String, faults, kind: Kind, how: &'static str, via| {
        walk(name, faults, 20, move |stage| {
            let how = match how {
                "" => String::new(),
                how => format!("how={how}"),
            };
            Ok(Box::new(Attach::new(stage, kind, &how, via)?))
        })
    };
    walks.push(attach("attach-none".into(), ATTACH, None, "", Via::Control));
    let kinds = || KINDS.into_iter().chain([MIRROR]);
    for kind in kinds().filter(Option::is_some) {
        for how in ["register", "locked"] {
            // The functions of the kernel that take the lock are the same for both kinds.
            if how == "locked" && ![PLAIN, INTERVAL].contains(&kind) {
                continue;
            }
            let faults = match (kind, how) {
                (PLAIN, "register") => WITH_FILES,
                _ => ATTACH,
            };
            let name = format!("attach-{}-{how}", word(kind));
            walks.push(attach(name, faults, kind, how, Via::Control));
        }
    }
    walks.push(attach(
        "attach-device".into(),
        ATTACH,
        PLAIN,
        "register",
        Via::Session,
    ));
    walks.push(walk("attach-target", ATTACH, 20, |stage| {
        Ok(Box::new(Attach::of_target(stage)?))
    }));
    for kind in [PLAIN, INTERVAL] {
        let name = format!("attach-first-{}", word(kind));
        walks.push(walk(name, FIRST, 9, move |stage| {
            Ok(Box::new(First::new(stage, kind)))
        }));
    }
    for kind in kinds() {
        let name = format!("detach-{}", word(kind));
        walks.push(walk(name, Faults::All, 1, move |stage| {
            Ok(Box::new(Detach::new(stage, kind)?))
        }));
    }
    walks
}

fn writes() -> Vec<Walk> {
    let mut walks = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.has_file()) {
        // Of this kind, since it takes all of them.
        let name = format!("write-{}", setting.path);
        walks.push(walk(name, Faults::All, 2, move |stage| {
            Ok(Box::new(Set::new(stage, PLAIN_END, setting)?))
        }));
    }
    walks.push(walk("write-effect/error", Faults::All, 2, |stage| {
        Ok(Box::new(Set::common_error(stage, PLAIN_END)?))
    }));
    walks.push(walk("write-settings", Faults::All, 2, |stage| {
        Ok(Box::new(Change::new(stage, PLAIN_END)?))
    }));
    for order in Order::ALL {
        let name = format!("write-{}", order.path());
        walks.push(walk(name, Faults::All, 2, move |stage| {
            let kind = match order {
                Order::Copy => MIRROR,
                _ => INTERVAL,
            };
            Ok(Box::new(Obey::new(stage, kind, order)?))
        }));
    }
    walks
}

fn reads() -> Vec<Walk> {
    let mut walks = vec![walk("open-first", Faults::All, 2, |stage| {
        Ok(Box::new(OpenFirst::new(stage, PLAIN, "settings")))
    })];
    for file in OPENED {
        walks.push(walk(format!("open-{file}"), Faults::All, 2, move |stage| {
            let place = Place::of_target(stage, INTERVAL, file)?;
            Ok(Box::new(Open::new(place)))
        }));
    }
    let of_target = READ_ONLY.into_iter().chain(READ);
    for file in of_target.chain([Order::Begin.path()]) {
        walks.push(walk(format!("read-{file}"), Faults::All, 1, move |stage| {
            let place = Place::of_target(stage, INTERVAL, file)?;
            Ok(Box::new(Read::new(place)?))
        }));
    }
    for file in OF_MODULE {
        walks.push(walk(format!("open-{file}"), Faults::All, 2, move |stage| {
            Ok(Box::new(Open::new(Place::of_module(stage, file)?)))
        }));
        walks.push(walk(format!("read-{file}"), Faults::All, 1, move |stage| {
            Ok(Box::new(Read::new(Place::of_module(stage, file)?)?))
        }));
    }
    walks
}

/// The walks whose name matches one of the patterns, or all if there is no pattern.
pub fn select(only: &[String]) -> Vec<Walk> {
    let mut walks = all();
    walks.retain(|walk| is_wanted(only, &walk.name));
    walks
}

/// The names of the walks that match one of the patterns, or of all if there is no pattern.
pub fn names(only: &[String]) -> Vec<String> {
    select(only).into_iter().map(|walk| walk.name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_walk_has_a_name_of_its_own_and_a_floor() {
        let walks = all();
        let names: HashSet<&str> = walks.iter().map(|walk| walk.name.as_str()).collect();
        assert_eq!(names.len(), walks.len());
        let has_floor = |walk: &Walk| walk.floor > 0 || walk.name == "device-close";
        assert!(walks.iter().all(has_floor));
        // The module is loaded once for all the others.
        assert!(walks.is_sorted_by_key(|walk| walk.loads));
    }

    #[test]
    fn every_file_that_can_be_written_is_written() {
        let names = names(&["write-*".to_owned()]);
        let settings = SETTINGS.iter().filter(|setting| setting.has_file());
        assert_eq!(names.len(), settings.count() + 2 + Order::ALL.len());
    }
}
