// SPDX-License-Identifier: GPL-2.0

//! Kills of processes whose memory the kernel reaps before they are gone, by
//! `process_mrelease(2)` or by the OOM reaper: the only calls of a notifier in non-blockable
//! context, where it may not sleep and may fail.
//!
//! The processes belong to the worker: no other worker attaches to them.

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

/// Prefix of the names of the stress's cgroups. The process id of the runner follows.
pub const CGROUP_PREFIX: &str = "mn-inject-stress.";

/// Memory limit of a cgroup: more than its processes need to start, less than they then take.
const LIMIT: u64 = 16 << 20;

/// Time limit for each change of a process's state.
const STEP: Duration = Duration::from_secs(60);

/// Operations of the worker "mrelease". Each returns whether it was carried out.
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

/// Operations of the worker "oom", which needs memory cgroups. Each returns whether it was carried
/// out.
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

/// Carries out one operation of this table.
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

/// Attaches one or two notifiers to a process of the worker, of kinds that may fail together, and
/// sets them to fail in some of the calls. Returns the targets, and whether any was set to fail.
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

/// Kills a process, stops it at its exit, where it still has its address space, and reaps that.
fn mrelease(worker: &mut Worker) -> Result<bool> {
    let mut helper = Helper::start(Role::Idle)?;
    helper.answer()?;
    let (mut targets, mut armed) = attach(worker, &helper);
    hold_at_exit(&helper)?;
    helper.kill()?;
    wait_held(worker, &mut helper)?;
    if worker.rng.one_in(3) {
        // The module can still attach to a dying process.
        detach(worker, &targets);
        let again;
        (targets, again) = attach(worker, &helper);
        // While the module is being unloaded, the earlier targets may stay a little longer.
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
    wait_end(worker, &mut helper)?;
    if late {
        detach(worker, &targets);
    }
    Ok(true)
}

/// Kills a process, and reaps its memory while it exits.
fn mrelease_race(worker: &mut Worker) -> Result<bool> {
    let mut helper = Helper::start(Role::Idle)?;
    helper.answer()?;
    let (targets, _) = attach(worker, &helper);
    let pidfd = sys::pidfd_open(helper.pid()).context("pidfd_open")?;
    helper.kill()?;
    match sys::process_mrelease(&pidfd) {
        // The process is gone, exits and has no memory any more, or does not exit yet, or
        // a notifier has failed.
        Ok(()) | Err(Errno::ESRCH | Errno::EINVAL | Errno::EAGAIN) => {}
        Err(errno) => worker.finding(format_args!("process_mrelease came to {errno}")),
    }
    wait_end(worker, &mut helper)?;
    detach(worker, &targets);
    Ok(true)
}

/// Makes processes take memory until the OOM killer kills them. `held`: they stop at their exit
/// until the OOM reaper has tried.
fn oom(worker: &mut Worker, count: usize, held: bool) -> Result<bool> {
    if cgroup::missing().is_some() {
        return Ok(false);
    }
    let number = worker.heartbeat.steps.load(SeqCst);
    let name = format!("{CGROUP_PREFIX}{}-{number}", std::process::id());
    // Declared before the helpers, so it is dropped after them.
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
        // In a group, the OOM killer may have killed this one by then.
        if helper.say("").is_err() && count == 1 {
            bail!("the hog ended too early");
        }
    }
    if held {
        for helper in &mut helpers {
            wait_held(worker, helper)?;
            // The OOM reaper starts 2 s after the OOM killer, and tries for a second.
            std::thread::sleep(Duration::from_millis(2000 + worker.rng.within(..1200)));
            ptrace::cont(helper.pid(), None).context("cannot let it go")?;
        }
    }
    for helper in &mut helpers {
        wait_end(worker, helper)?;
    }
    worker.world.counts.add("oom kills", cgroup.oom_kills()?);
    detach(worker, &targets);
    Ok(true)
}

/// Makes the process stop at its exit, where it still has its address space.
fn hold_at_exit(helper: &Helper) -> Result<()> {
    let options = ptrace::Options::PTRACE_O_TRACEEXIT | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(helper.pid(), options).context("cannot trace a helper")
}

/// Waits until a process that was killed has stopped at its exit.
fn wait_held(worker: &Worker, helper: &mut Helper) -> Result<()> {
    match helper.wait(STEP, || worker.heartbeat.still())? {
        WaitStatus::PtraceEvent(_, _, event)
            if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 =>
        {
            Ok(())
        }
        status => bail!("a helper was to stop on its way out, but: {status:?}"),
    }
}

/// Waits for the end of a process that was killed.
fn wait_end(worker: &Worker, helper: &mut Helper) -> Result<()> {
    match helper.wait(STEP, || worker.heartbeat.still())? {
        WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _) => Ok(()),
        status => bail!("a helper was to be killed, but: {status:?}"),
    }
}
