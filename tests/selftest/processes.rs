// SPDX-License-Identifier: GPL-2.0

//! Processes that are attached and do nothing, and those with which that cannot be done.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use mn_inject::os::wait::Waiter;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

/// The longest that a process may take to start or to end.
const STEP: Duration = Duration::from_secs(20);

/// The kernel's own first thread, which starts the others (kernel/kthread.c).
const KTHREADD: i32 = 2;

/// All processes of a run. They end when this is dropped.
#[derive(Debug)]
pub struct Processes {
    idle: Vec<Subject>,
    _zombie: Subject,
    /// Process ids with which nothing could be attached at the beginning.
    pub dead: Vec<i32>,
}

fn start(waiter: &Waiter) -> Result<Subject> {
    Subject::start(Operation::Hold, waiter, STEP)
}

/// Ends a process and leaves its exit status behind.
pub fn zombie(waiter: &Waiter) -> Result<Subject> {
    let target = start(waiter)?;
    target.kill()?;
    waitid(
        Id::Pid(target.pid()),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
    )
    .with_context(|| format!("cannot wait for {}", target.pid()))?;
    Ok(target)
}

/// Ends a process, and returns the number that it had.
pub fn dead(waiter: &Waiter) -> Result<Pid> {
    let target = start(waiter)?;
    let pid = target.pid();
    target.finish(waiter, STEP)?;
    Ok(pid)
}

impl Processes {
    /// Starts `count` idle processes.
    pub fn start(count: usize, waiter: &Waiter) -> Result<Self> {
        let idle = (0..count)
            .map(|_| start(waiter))
            .collect::<Result<Vec<_>>>()?;
        let zombie = zombie(waiter)?;
        let dead = vec![
            0,
            -1,
            i32::MIN,
            KTHREADD,
            zombie.pid().as_raw(),
            dead(waiter)?.as_raw(),
            // Beyond PID_MAX_LIMIT.
            4_194_305,
            i32::MAX,
        ];
        Ok(Processes {
            idle,
            _zombie: zombie,
            dead,
        })
    }

    /// The process ids of the idle ones.
    pub fn pids(&self) -> Vec<i32> {
        self.idle
            .iter()
            .map(|target| target.pid().as_raw())
            .collect()
    }

    /// Ends the idle process of that number and starts another; returns both process ids.
    pub fn replace(&mut self, index: usize, waiter: &Waiter) -> Result<(i32, i32)> {
        let new = start(waiter)?;
        let new_pid = new.pid().as_raw();
        let old = std::mem::replace(&mut self.idle[index], new);
        let old_pid = old.pid().as_raw();
        old.finish(waiter, STEP)?;
        Ok((old_pid, new_pid))
    }
}
