// SPDX-License-Identifier: GPL-2.0

//! Deaths in which the kernel reaps the memory before the process is gone, the only cases where a
//! notifier may not sleep and may refuse: `process_mrelease(2)` and the OOM reaper.
//!
//! The victims are this worker's own: nobody else chooses them.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::WaitStatus;

use mn_inject::model::NotifierKind;
use mn_inject::os::cgroup;
use mn_inject::os::cgroup::Cgroup;
use mn_inject::os::sys;

use crate::stress::choice::Operation;
use crate::stress::class::Class;
use crate::stress::class::MayReturn;
use crate::stress::helper::Helper;
use crate::stress::knobs;
use crate::stress::request::AttachRequest;
use crate::stress::role::Role;
use crate::stress::target::Target;
use crate::stress::worker::Worker;

/// First part of the names of our cgroups; the runner's pid follows.
pub const CGROUP_PREFIX: &str = "mn-inject-stress.";

/// What a cgroup may have: more than its processes need, less than they then take.
const LIMIT: u64 = 16 << 20;

/// How long any step of a death may take.
const STEP: Duration = Duration::from_secs(60);

/// What the one worker does.
pub const MRELEASE: &[Operation<Worker, Result<bool>>] = &[
    Operation {
        name: "process_mrelease",
        weight: 4,
        act: mrelease,
    },
    Operation {
        name: "process_mrelease: race with exit",
        weight: 2,
        act: mrelease_race,
    },
];

/// What the other does, where there are memory cgroups.
pub const OOM: &[Operation<Worker, Result<bool>>] = &[
    Operation {
        name: "oom kill",
        weight: 2,
        act: |worker| oom(worker, 1, false),
    },
    Operation {
        name: "oom kill of a held process",
        weight: 1,
        act: |worker| oom(worker, 1, true),
    },
    Operation {
        name: "oom kill of a group",
        weight: 1,
        act: |worker| oom(worker, 2, false),
    },
];

/// One step of a worker with that table.
pub fn step(worker: &mut Worker, table: &[Operation<Worker, Result<bool>>]) {
    let (operation, rng) = worker.choices.next(table);
    worker.rng = rng;
    let Some(operation) = operation else {
        return;
    };
    worker.heartbeat.step(operation.name);
    match (operation.act)(worker) {
        Ok(true) => worker.world.counts.one(operation.name),
        Ok(false) => {}
        Err(error) => worker.finding(format_args!("{error:#}")),
    }
}

/// Attaches one or two notifiers to a process of the worker's own, all of a kind that may refuse
/// together. They are told to refuse some of the calls. Says whether any was told.
fn attach(worker: &mut Worker, helper: &Helper) -> (Vec<Arc<Target>>, bool) {
    let class = *worker
        .rng
        .pick(&[Class::Plain, Class::Interval, Class::Agreeing]);
    let mut armed = false;
    let mut targets = Vec::new();
    for _ in 0..=worker.rng.below(2) {
        let kind = *worker.rng.pick(&NotifierKind::ALL);
        let times = worker.rng.below(6);
        let Some(may_return) = class.may_return(kind) else {
            continue;
        };
        let request = AttachRequest {
            kind,
            victim: None,
            pid: helper.pid().as_raw(),
            may_return,
        };
        let Some(target) = worker.attach(&request) else {
            continue;
        };
        if may_return != MayReturn::Success && !target.sleeps {
            knobs::arm_for_reaping(worker, &target, times);
            armed |= times > 0;
        }
        targets.push(target);
    }
    (targets, armed)
}

fn detach(worker: &Worker, targets: &[Arc<Target>]) {
    for target in targets {
        worker.counters(target);
        worker.detach(target);
    }
}

/// Kills a process that is held on its way out with its memory still whole, and reaps that.
fn mrelease(worker: &mut Worker) -> Result<bool> {
    let mut helper = Helper::start(Role::Idle)?;
    helper.answer()?;
    let (mut targets, mut armed) = attach(worker, &helper);
    hold_at_exit(&helper)?;
    helper.kill()?;
    wait_held(&mut helper)?;
    if worker.rng.one_in(3) {
        // Somebody who is dying can still be attached to.
        detach(worker, &targets);
        let again;
        (targets, again) = attach(worker, &helper);
        // Where the module is being unloaded, those from before may be there a little longer.
        armed |= again;
        worker.world.counts.one("attach to a held process");
    }
    let pidfd = sys::pidfd_open(helper.pid()).context("pidfd_open")?;
    for _ in 0..=worker.rng.below(3) {
        worker.world.counts.one("process_mrelease calls");
        match sys::process_mrelease(&pidfd) {
            Ok(()) => {}
            Err(Errno::EAGAIN) if armed => worker.world.counts.one("process_mrelease refused"),
            Err(errno) => worker.finding(format_args!("process_mrelease came to {errno}")),
        }
    }
    let late = worker.rng.one_in(2);
    if !late {
        detach(worker, &targets);
    }
    ptrace::cont(helper.pid(), None).context("cannot let it go")?;
    wait_end(&mut helper)?;
    if late {
        detach(worker, &targets);
    }
    Ok(true)
}

/// The same of a process that goes on dying meanwhile.
fn mrelease_race(worker: &mut Worker) -> Result<bool> {
    let mut helper = Helper::start(Role::Idle)?;
    helper.answer()?;
    let (targets, _) = attach(worker, &helper);
    let pidfd = sys::pidfd_open(helper.pid()).context("pidfd_open")?;
    helper.kill()?;
    match sys::process_mrelease(&pidfd) {
        // It is gone, or on its way out without its memory, or not yet dying, or refused.
        Ok(()) | Err(Errno::ESRCH | Errno::EINVAL | Errno::EAGAIN) => {}
        Err(errno) => worker.finding(format_args!("process_mrelease came to {errno}")),
    }
    wait_end(&mut helper)?;
    detach(worker, &targets);
    Ok(true)
}

/// Lets processes take memory until the OOM killer comes.
fn oom(worker: &mut Worker, count: usize, held: bool) -> Result<bool> {
    if cgroup::missing().is_some() {
        return Ok(false);
    }
    let number = worker.heartbeat.steps.load(SeqCst);
    let name = format!("{CGROUP_PREFIX}{}-{number}", std::process::id());
    // Declared before the helpers, so it goes after them.
    let cgroup = Cgroup::new(&name, LIMIT)?;
    if count > 1 {
        cgroup.kill_as_a_group()?;
    }
    let mut helpers = Vec::new();
    let mut targets = Vec::new();
    for _ in 0..count {
        let mut helper = Helper::start(Role::Hog)?;
        helper.answer()?;
        cgroup.add(helper.pid())?;
        targets.extend(attach(worker, &helper).0);
        if held {
            hold_at_exit(&helper)?;
        }
        helpers.push(helper);
    }
    for helper in &mut helpers {
        // Where the group has been killed by then, nobody reads.
        if helper.say("").is_err() && count == 1 {
            bail!("the hog ended too early");
        }
    }
    if held {
        for helper in &mut helpers {
            wait_held(helper)?;
            // The reaper comes 2 s after the killer, and tries for a second.
            std::thread::sleep(Duration::from_millis(2000 + worker.rng.within(..1200)));
            ptrace::cont(helper.pid(), None).context("cannot let it go")?;
        }
    }
    for helper in &mut helpers {
        wait_end(helper)?;
    }
    worker.world.counts.add("oom kills", cgroup.oom_kills()?);
    detach(worker, &targets);
    Ok(true)
}

/// From now on the process stops on its way out, with its address space still whole.
fn hold_at_exit(helper: &Helper) -> Result<()> {
    let options = ptrace::Options::PTRACE_O_TRACEEXIT | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(helper.pid(), options).context("cannot trace a helper")
}

fn wait_held(helper: &mut Helper) -> Result<()> {
    match helper.wait(STEP)? {
        WaitStatus::PtraceEvent(_, _, event)
            if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 =>
        {
            Ok(())
        }
        status => bail!("a helper was to stop on its way out, but: {status:?}"),
    }
}

/// Waits for the end of a process that was killed.
fn wait_end(helper: &mut Helper) -> Result<()> {
    match helper.wait(STEP)? {
        WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _) => Ok(()),
        status => bail!("a helper was to be killed, but: {status:?}"),
    }
}
