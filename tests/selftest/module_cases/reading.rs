// SPDX-License-Identifier: GPL-2.0

//! Reading whatever the module is doing.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use mn_inject::injector::files;
use mn_inject::injector::line::errno_of;
use mn_inject::trigger::operation::Operation;

use crate::fuzz::order::Order;
use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Rig, STEP};

/// Time for which a callback sleeps: longer than it takes to read all files.
const SLEEP: Duration = Duration::from_secs(3);

/// All files in the module's folder.
fn every_file() -> Outcome<Vec<PathBuf>> {
    let (mut left, mut found) = (vec![files::path("")], Vec::new());
    while let Some(folder) = left.pop() {
        let why = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(why)? {
            let path = entry.with_context(why)?.path();
            let kind = if path.is_dir() { &mut left } else { &mut found };
            kind.push(path);
        }
    }
    Ok(found)
}

pub fn at_any_time(rig: &Rig<'_>) -> Outcome {
    let mut subject = rig.start(Operation::Dontneed)?;
    let (start, end) = subject.watched();
    let words = format!("kind=interval range={start:#x}-{end:#x}");
    let attached = rig.attach(subject.pid().as_raw(), &words)?;
    attached.set_all(&[("sleep_us", &SLEEP.as_micros().to_string()), ("times", "1")])?;
    let settings = attached.read("settings")?.replace("times=1", "times=0");
    subject.act_and_die()?;
    attached.wait_misbehaves()?;
    let asleep_until = attached
        .log()?
        .first()
        .map(|entry| Duration::from_nanos(entry.time_ns) + SLEEP);

    for path in every_file()? {
        let is_write_only = [Order::Retry, Order::Zap]
            .into_iter()
            .any(|order| path.ends_with(order.path()));
        let due = if is_write_only {
            Err(Errno::EPERM)
        } else {
            Ok(())
        };
        let seen = fs::read(&path).map(drop);
        let what = format!("read of {}", path.display());
        same(&what, seen.map_err(|error| errno_of(&error)), due)?;
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("clock_gettime failed")?;
        demand(
            asleep_until.is_some_and(|until| Duration::from(now) < until),
            || format!("{what} returned when the callback was over"),
        )?;
    }
    same("settings", attached.read("settings")?, settings)?;
    same("the operation", subject.acted(rig.waiter, STEP)?, 0)?;
    attached.detach()
}
