// SPDX-License-Identifier: GPL-2.0

//! One walk: a system call with its first fault, its second, and so on.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use nix::errno::Errno;

use crate::complaints::Complaints;
use crate::fail_nth::course::{Course, Part};
use crate::fail_nth::faults::{Fault, Faults};
use crate::fail_nth::site::{Site, sites};
use crate::fail_nth::table::Walk;
use crate::fail_nth::tolerated::{Meaning, due, judge};
use crate::fail_nth::world::Stage;
use crate::module_cases::outcome::{Failure, Outcome};

/// Number of findings after which a walk ends: more would be consequences of the first ones.
const ENOUGH: usize = 5;

/// The highest number of a fault of a call. With more, it would never end.
const MOST: u32 = 2000;

/// Results of all walks.
#[derive(Debug, Default)]
pub struct Counts {
    /// Walks that came to their end.
    pub walks: u64,
    /// Those of them that ended before the call met no fault any more.
    pub cut: u64,
    /// Walks with something that this kernel does not have.
    pub skipped: u64,
    /// Faults injected.
    pub faults: u64,
    /// Calls that failed with the errno of the fault.
    pub failed: u64,
    /// Calls that succeeded after a fault in the kernel's part of a load.
    pub in_kernel: u64,
    /// Faults that the kernel did not print.
    pub unseen: u64,
    /// Calls that succeeded, by the reason in the table.
    pub tolerated: BTreeMap<&'static str, u64>,
    /// The findings.
    pub findings: Vec<String>,
    /// The reasons why a walk proves nothing.
    pub trouble: Vec<String>,
}

/// The tools of a walk.
pub struct Tools<'a, 'b> {
    /// Parts that the walks share.
    pub stage: &'a Stage<'a>,
    /// The kernel's fault injection.
    pub faults: &'a Faults,
    /// The kernel's log.
    pub complaints: &'a mut Complaints<'b>,
}

impl Counts {
    /// Makes one walk.
    ///
    /// # Errors
    ///
    /// Something could not be used.
    pub fn walk(
        &mut self,
        walk: &Walk,
        tools: &mut Tools<'_, '_>,
        say: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let before = self.findings.len();
        let mut injected = 0;
        let start = Instant::now();
        let outcome = self.steps(walk, tools, say, &mut injected);
        self.faults += u64::from(injected);
        let seconds = start.elapsed().as_secs_f64();
        say(&format!("{}: {injected} faults, {seconds:.1} s", walk.name));
        let complaints = tools.complaints.since_last();
        let complaints = complaints
            .iter()
            .map(|what| format!("{}: {what}", walk.name));
        self.findings.extend(complaints);
        match outcome {
            Ok(()) => self.walks += 1,
            Err(Failure::Skip(_)) => {
                self.skipped += 1;
                return Ok(());
            }
            Err(Failure::Wrong(what)) => self.findings.push(format!("{}: {what}", walk.name)),
            Err(Failure::Trouble(error)) => return Err(error.context(walk.name.clone())),
        }
        if self.findings.len() == before && injected < walk.floor {
            self.trouble.push(format!(
                "{}: only {injected} faults were injected, and {} are the least: it proves nothing",
                walk.name, walk.floor
            ));
        }
        Ok(())
    }

    fn steps(
        &mut self,
        walk: &Walk,
        tools: &mut Tools<'_, '_>,
        say: &mut dyn FnMut(&str),
        injected: &mut u32,
    ) -> Outcome {
        say(&walk.name);
        let mut call = (walk.begin)(tools.stage)?;
        let first = self.findings.len();
        let mut said = first;
        // Once without a fault: it must succeed, and brings in the pages that it touches.
        let mut nth = 0;
        let mut counted = 0;
        let mut course = Course::new(walk.faults);
        loop {
            tools
                .stage
                .rig
                .waiter
                .check()
                .map_err(|error| Failure::Trouble(error.into()))?;
            call.prepare()?;
            // Complaints and faults until here belong to what came before.
            let (before, complaints) = tools.complaints.records_since_last();
            self.add(walk, nth, None, complaints);
            if let Some(other) = sites(&before).first() {
                let what = anyhow::anyhow!("a fault that was not asked for: {other}");
                return Err(Failure::Trouble(what));
            }
            let (returned, fault) = tools.faults.during(nth, || call.make())?;
            let (records, complaints) = tools.complaints.records_since_last();
            // A fault that the call has not met is that of the system calls after it.
            let site = match fault {
                Fault::Injected => sites(&records).into_iter().next(),
                Fault::NotReached => None,
            };
            self.add(walk, nth, site.as_ref(), complaints);
            match fault {
                Fault::Injected => {
                    *injected += u32::from(nth != counted);
                    counted = nth;
                    self.judge(walk, nth, site.as_ref(), returned);
                }
                Fault::NotReached => returned.map_err(|errno| {
                    Failure::Wrong(format!("without a fault, it fails with {errno:?}"))
                })?,
            }
            let checked = match returned {
                Ok(()) => call.succeeded(),
                Err(_) => call.failed(),
            };
            if let Some(what) = wrong(checked)? {
                let (name, place) = (&walk.name, place(nth, site.as_ref()));
                self.findings
                    .push(format!("{name}, {place}: {}: {what}", text(returned)));
                if fault == Fault::NotReached {
                    return Ok(());
                }
            }
            if let Some(new) = self.findings.get(said..) {
                new.iter().for_each(|finding| say(finding));
            }
            said = self.findings.len();
            if self.findings.len() >= first + ENOUGH {
                self.findings.push(format!(
                    "{}: more than {ENOUGH} findings: stopped there",
                    walk.name
                ));
                return Ok(());
            }
            if nth > 0 && fault == Fault::NotReached {
                return Ok(());
            }
            nth = match course.next(part(site.as_ref())) {
                Some(next) if next > MOST => {
                    return Err(Failure::Wrong(format!("more than {MOST} faults")));
                }
                Some(next) => next,
                None => {
                    self.cut += 1;
                    return Ok(());
                }
            };
        }
    }

    fn judge(&mut self, walk: &Walk, nth: u32, site: Option<&Site>, returned: Result<(), Errno>) {
        match judge(site, returned, walk.faults) {
            Meaning::Failed => self.failed += 1,
            Meaning::InKernel => self.in_kernel += 1,
            Meaning::Unseen => self.unseen += 1,
            Meaning::Tolerated(why) => *self.tolerated.entry(why).or_default() += 1,
            Meaning::Wrong => self.findings.push(format!(
                "{}, {}: expected {}, got {}",
                walk.name,
                place(nth, site),
                due(site),
                text(returned)
            )),
        }
    }

    fn add(&mut self, walk: &Walk, nth: u32, site: Option<&Site>, complaints: Vec<String>) {
        let place = place(nth, site);
        self.findings.extend(
            complaints
                .iter()
                .map(|what| format!("{}, {place}: {what}", walk.name)),
        );
    }
}

fn place(nth: u32, site: Option<&Site>) -> String {
    match site {
        Some(site) => format!("fault {nth} ({site})"),
        None => format!("fault {nth}"),
    }
}

fn text(returned: Result<(), Errno>) -> String {
    match returned {
        Ok(()) => "success".to_owned(),
        Err(errno) => format!("{errno:?}"),
    }
}

/// The part of the module in which a fault was.
fn part(site: Option<&Site>) -> Part {
    match site {
        None => Part::Unknown,
        Some(site) if site.is_in_init() => Part::Init,
        Some(_) => Part::Elsewhere,
    }
}

/// The mistake that a call found in its own checks, if it is not trouble.
fn wrong(checked: Outcome) -> Result<Option<String>, Failure> {
    match checked {
        Err(Failure::Wrong(what)) => Ok(Some(what)),
        other => other.map(|()| None),
    }
}
