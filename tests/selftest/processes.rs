// SPDX-License-Identifier: GPL-2.0

//! Idle processes to attach, and process ids that cannot be attached.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use mn_inject::os::wait::Waiter;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

/// Time limit for the start and for the end of a process.
const STEP: Duration = Duration::from_secs(20);

/// The kernel thread that starts all others (kernel/kthread.c).
const KTHREADD: i32 = 2;

/// All processes of a fuzz run. They end when this is dropped.
#[derive(Debug)]
pub struct Processes {
    idle: Vec<Subject>,
    _zombie: Subject,
    /// Process ids that could not be attached at the beginning.
    pub dead: Vec<i32>,
}

fn start(waiter: &Waiter) -> Result<Subject> {
    Subject::start(Operation::Hold, waiter, STEP)
}

/// Makes a zombie: a process that has ended and is not waited for.
pub fn zombie(waiter: &Waiter) -> Result<Subject> {
    let subject = start(waiter)?;
    subject.kill()?;
    waitid(
        Id::Pid(subject.pid()),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
    )
    .with_context(|| format!("cannot wait for {}", subject.pid()))?;
    Ok(subject)
}

/// Starts and ends a process. Returns its process id, which is free again.
pub fn dead(waiter: &Waiter) -> Result<Pid> {
    let subject = start(waiter)?;
    let pid = subject.pid();
    subject.finish(waiter, STEP)?;
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

    /// The process ids of the idle processes.
    pub fn pids(&self) -> Vec<i32> {
        self.idle
            .iter()
            .map(|subject| subject.pid().as_raw())
            .collect()
    }

    /// Replaces the idle process of that index. Returns the old and the new process id.
    pub fn replace(&mut self, index: usize, waiter: &Waiter) -> Result<(i32, i32)> {
        let new = start(waiter)?;
        let new_pid = new.pid().as_raw();
        let old = std::mem::replace(&mut self.idle[index], new);
        let old_pid = old.pid().as_raw();
        old.finish(waiter, STEP)?;
        Ok((old_pid, new_pid))
    }
}
