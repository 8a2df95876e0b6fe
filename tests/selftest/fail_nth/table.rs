// SPDX-License-Identifier: GPL-2.0

//! The walks: a system call each, with the number of faults that it must at least come to.

use mn_inject::scenario::is_wanted;

use crate::fail_nth::attach::{Attach, Detach, First, Via};
use crate::fail_nth::call::Call;
use crate::fail_nth::device::{OpenDevice, ReadDevice};
use crate::fail_nth::files::{Obey, Open, OpenFirst, Place, Read, Set};
use crate::fail_nth::load::{Load, Unload};
use crate::fail_nth::world::Stage;
use crate::fuzz::kind::{INTERVAL, KINDS, Kind, PLAIN, PLAIN_END, word};
use crate::fuzz::order::Order;
use crate::fuzz::setting::SETTINGS;
use crate::fuzz::subject::READ_ONLY;
use crate::module_cases::outcome::Outcome;

/// Files in the module's folder that can be read.
const OF_MODULE: [&str; 4] = ["control", "help", "total", "breach"];

/// The faults of a call that are injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Each of them.
    All,
    /// The first ones, and of the others every so many.
    Some {
        /// The number of the first ones.
        first: u32,
        /// The step after these.
        then_every: u32,
    },
}

impl Faults {
    /// The fault after that one.
    pub fn after(self, nth: u32) -> u32 {
        match self {
            Faults::Some { first, then_every } if nth >= first => nth + then_every,
            Faults::All | Faults::Some { .. } => nth + 1,
        }
    }
}

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

/// The files of a target are made one after the other, each in the same way, so most walks leave
/// some of them out.
const ATTACH: Faults = Faults::Some {
    first: 48,
    then_every: 61,
};

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
    // Closing it allocates nothing.
    walks.extend(writes());
    walks.extend(reads());
    walks.push(Walk {
        loads: true,
        ..walk("load", Faults::All, 40, |stage| {
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
        walk(name, faults, 40, move |stage| {
            let how = match how {
                "" => String::new(),
                how => format!("how={how}"),
            };
            Ok(Box::new(Attach::new(stage, kind, &how, via)?))
        })
    };
    for kind in KINDS {
        for how in ["register", "locked"] {
            // There is nothing to register.
            if kind.is_none() && how == "locked" {
                continue;
            }
            // One in full: they differ in what comes before the files.
            let faults = if (kind, how) == (PLAIN, "register") {
                Faults::All
            } else {
                ATTACH
            };
            let (name, how) = match kind {
                None => ("attach-none".into(), ""),
                _ => (format!("attach-{}-{how}", word(kind)), how),
            };
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
    walks.push(walk("attach-target", ATTACH, 40, |stage| {
        Ok(Box::new(Attach::of_target(stage)?))
    }));
    for kind in [PLAIN, INTERVAL] {
        let name = format!("attach-first-{}", word(kind));
        let faults = Faults::Some {
            first: 48,
            then_every: 1000,
        };
        walks.push(walk(name, faults, 40, move |stage| {
            Ok(Box::new(First::new(stage, kind)))
        }));
    }
    for kind in KINDS {
        let name = format!("detach-{}", word(kind));
        walks.push(walk(name, Faults::All, 1, move |stage| {
            Ok(Box::new(Detach::new(stage, kind)?))
        }));
    }
    walks
}

fn writes() -> Vec<Walk> {
    let mut walks = Vec::new();
    for setting in &SETTINGS {
        // Of this kind, since it takes all of them.
        let name = format!("write-{}", setting.path);
        walks.push(walk(name, Faults::All, 2, move |stage| {
            Ok(Box::new(Set::new(stage, PLAIN_END, setting)?))
        }));
    }
    for order in Order::ALL {
        let name = format!("write-{}", order.path());
        walks.push(walk(name, Faults::All, 2, move |stage| {
            Ok(Box::new(Obey::new(stage, INTERVAL, order)?))
        }));
    }
    walks
}

fn reads() -> Vec<Walk> {
    let mut walks = vec![walk("open-first", Faults::All, 4, |stage| {
        Ok(Box::new(OpenFirst::new(stage, PLAIN, "settings")))
    })];
    let settings = SETTINGS.iter().map(|setting| setting.path);
    let of_target = settings.chain(READ_ONLY).chain([Order::Begin.path()]);
    for file in of_target {
        walks.push(walk(format!("open-{file}"), Faults::All, 3, move |stage| {
            let place = Place::of_target(stage, INTERVAL, file)?;
            Ok(Box::new(Open::new(place)))
        }));
        walks.push(walk(format!("read-{file}"), Faults::All, 3, move |stage| {
            let place = Place::of_target(stage, INTERVAL, file)?;
            Ok(Box::new(Read::new(place)?))
        }));
    }
    for file in OF_MODULE {
        walks.push(walk(format!("open-{file}"), Faults::All, 3, move |stage| {
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
        assert!(walks.iter().all(|walk| walk.floor > 0));
        // The module is loaded once for all the others.
        assert!(walks.is_sorted_by_key(|walk| walk.loads));
    }

    #[test]
    fn every_file_that_can_be_written_is_written() {
        let names = names(&["write-*".to_owned()]);
        assert_eq!(names.len(), SETTINGS.len() + Order::ALL.len());
    }

    #[test]
    fn some_faults_are_left_out_after_the_first_ones() {
        let some = Faults::Some {
            first: 3,
            then_every: 10,
        };
        let mut nth = 0;
        let walked = [(); 5].map(|()| {
            nth = some.after(nth);
            nth
        });
        assert_eq!(walked, [1, 2, 3, 13, 23]);
        assert_eq!(Faults::All.after(700), 701);
    }
}
