// SPDX-License-Identifier: GPL-2.0

//! Attaching: which processes can be attached, and in which pid namespace their ids count.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::gettid;

use mn_inject::injector::control_file;
use mn_inject::os::cgroup;
use mn_inject::os::cgroup::Cgroup;
use mn_inject::os::sys::Area;
use mn_inject::trigger::helper::{Answer, Helper};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, MISBEHAVE, Rig, STEP, mrelease, refused};
use crate::processes;

/// The kernel thread that starts all others (kernel/kthread.c).
const KTHREADD: i32 = 2;

pub fn dying(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    subject.hold_at_exit()?;
    subject.kill()?;
    subject.wait_held(rig.waiter, STEP)?;
    // Its memory is still there, so it can be attached like any other process.
    let attached = rig.attach(subject.pid().as_raw(), "")?;
    attached.set_range(subject.watched())?;
    attached.set_all(&[("record", "all"), ("actions/MMU_NOTIFY_CLEAR/error", "-11")])?;
    same("process_mrelease", mrelease(&subject)?, Err(Errno::EAGAIN))?;
    attached.demand_state("live")?;
    drop(subject);
    attached.demand_state("gone")
}

pub fn zombie(rig: &Rig<'_>) -> Outcome {
    let zombie = processes::zombie(rig.waiter)?;
    refused(format!("attach {}", zombie.pid()).as_bytes(), Errno::ESRCH)
}

pub fn dead(rig: &Rig<'_>) -> Outcome {
    let dead = processes::dead(rig.waiter)?;
    refused(format!("attach {dead}").as_bytes(), Errno::ESRCH)
}

pub fn kernel_thread(_: &Rig<'_>) -> Outcome {
    refused(format!("attach {KTHREADD}").as_bytes(), Errno::ESRCH)
}

pub fn no_pid(_: &Rig<'_>) -> Outcome {
    for (pid, errno) in [
        ("0", Errno::ESRCH),
        ("-1", Errno::ESRCH),
        ("-2147483648", Errno::ESRCH),
        ("2147483647", Errno::ESRCH),
        ("2147483648", Errno::ERANGE),
        ("99999999999999999999", Errno::ERANGE),
        ("0x1", Errno::EINVAL),
        ("+1", Errno::EINVAL),
        ("self", Errno::EINVAL),
    ] {
        refused(format!("attach {pid}").as_bytes(), errno)?;
    }
    Ok(())
}

pub fn first_process(rig: &Rig<'_>) -> Outcome {
    // Nothing is set, so that process 1 is not affected.
    let attached = rig.attach(1, "")?;
    attached.demand_state("live")?;
    attached.detach()
}

pub fn ourselves(rig: &Rig<'_>) -> Outcome {
    let attached = rig.attach(std::process::id() as i32, "")?;
    let area = Area::map(4, None).context("cannot map memory")?;
    attached.set_range(area.range())?;
    attached.set_all(&[("record", "all"), MISBEHAVE])?;
    area.touch(0, 4).context("cannot touch memory")?;
    area.unmap(0, 4).context("munmap failed")?;
    same("calls", attached.injected(area.range())?, vec![true])?;
    attached.detach()
}

pub fn thread(rig: &Rig<'_>) -> Outcome {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // The receiver exists until `stop` is dropped, which ends this wait.
        let _ = tell.send(gettid());
        let _ = stopped.recv();
    });
    let tid = told.recv().context("a thread ended too early")?;
    let result = attach_thread(rig, tid.as_raw());
    drop(stop);
    if thread.join().is_err() {
        return Err(Failure::Wrong("a thread panicked".into()));
    }
    result
}

/// Attaches by the id of a thread, and checks that its process is attached.
fn attach_thread(rig: &Rig<'_>, tid: i32) -> Outcome {
    let attached = rig.attach(tid, "")?;
    let area = Area::map(4, None).context("cannot map memory")?;
    attached.set_range(area.range())?;
    attached.set("record", "all")?;
    area.unmap(0, 4).context("munmap failed")?;
    same("calls", attached.injected(area.range())?.len(), 1)?;
    same("pid", attached.read("pid")?, tid.to_string())?;
    attached.detach()
}

pub fn pid_namespace(rig: &Rig<'_>) -> Outcome {
    let own = Path::new("/proc/self/ns/pid");
    if !own.exists() {
        return Err(Failure::Skip(
            "the kernel has no pid namespaces (CONFIG_PID_NS)",
        ));
    }
    let own = File::open(own).context("cannot open /proc/self/ns/pid")?;
    // Only children that start before setns() are in the new namespace.
    unshare(CloneFlags::CLONE_NEWPID).context("cannot make a pid namespace")?;
    let subject = rig.start(Operation::Dontneed);
    setns(&own, CloneFlags::CLONE_NEWPID).context("cannot leave the pid namespace")?;
    let mut subject = subject?;

    let control = control_file();
    let outside = format!("attach {} name={}", subject.pid(), rig.name());
    let result = subject.write_to(&control, &outside, rig.waiter, STEP)?;
    same(
        "its number outside, written inside",
        result,
        -(Errno::ESRCH as i32),
    )?;
    // Inside the namespace, it is the first process.
    let name = rig.name();
    let inside = format!("attach 1 name={name}");
    let result = subject.write_to(&control, &inside, rig.waiter, STEP)?;
    same("its number inside, written inside", result, 0)?;
    let attached = Attached::adopt(name);
    attached.set_range(subject.watched())?;
    attached.set("record", "all")?;
    rig.act(&mut subject, 2)?;
    same("calls", attached.injected(subject.watched())?.len(), 2)?;
    attached.detach()
}

pub fn two_targets(rig: &Rig<'_>) -> Outcome {
    let (mut subject, one) = rig.subject(Operation::Dontneed, "")?;
    let two = rig.attach(subject.pid().as_raw(), "kind=plain-end")?;
    two.set_range(subject.watched())?;
    for attached in [&one, &two] {
        attached.set("record", "all")?;
    }
    one.set_all(&[MISBEHAVE])?;
    rig.act(&mut subject, 1)?;
    same(
        "calls of the first",
        one.injected(subject.watched())?,
        vec![true],
    )?;
    same(
        "calls of the second",
        two.injected(subject.watched())?,
        vec![false],
    )?;
    one.detach()?;
    rig.act(&mut subject, 1)?;
    same(
        "calls of the second",
        two.injected(subject.watched())?.len(),
        2,
    )?;
    two.demand_state("live")?;
    rig.finish(subject)?;
    two.demand_state("gone")
}

pub fn name_in_use(rig: &Rig<'_>) -> Outcome {
    let (subject, attached) = rig.subject(Operation::Hold, "")?;
    let line = format!("attach {} name={}", subject.pid(), attached.name);
    refused(line.as_bytes(), Errno::EEXIST)?;
    // A target whose process has exited keeps its name until it is detached.
    rig.finish(subject)?;
    let other = rig.start(Operation::Hold)?;
    let line = format!("attach {} name={}", other.pid(), attached.name);
    refused(line.as_bytes(), Errno::EEXIST)?;
    let name = attached.name.clone();
    attached.detach()?;
    refused(format!("detach {name}").as_bytes(), Errno::ENOENT)?;
    let line = format!("attach {} name={name}", other.pid());
    same(
        &line,
        crate::module_cases::rig::control(line.as_bytes())?,
        Ok(()),
    )?;
    let attached = Attached::adopt(name);
    demand(attached.counters()?.calls == 0, || {
        "a new target has the old one's counters".into()
    })?;
    attached.detach()
}

/// Number of targets whose memory is looked at, and the least that each of them takes for its log.
const CHARGED: u64 = 8;
const LOG: u64 = 512 << 10;

pub fn charged(rig: &Rig<'_>) -> Outcome {
    if cgroup::missing().is_some() {
        return Err(Failure::Skip("there is no memory cgroup (cgroup v2)"));
    }
    let subject = rig.start(Operation::Hold)?;
    let cgroup = Cgroup::new(&rig.name(), 64 << 20)?;
    let mut helper = Helper::start()?;
    cgroup.add(helper.pid())?;
    let before = cgroup.charged()?;
    let mut attached = Vec::new();
    for _ in 0..CHARGED {
        let name = rig.name();
        let line = format!("attach {} name={name}", subject.pid());
        let answer = helper.write(&control_file(), &line, rig.waiter, STEP)?;
        same(&line, answer, Answer::Done(0))?;
        attached.push(Attached::adopt(name));
    }
    let more = cgroup.charged()?.saturating_sub(before);
    // Less than all, since what the kernel has charged in advance may be used up first.
    demand(more >= CHARGED * LOG / 2, || {
        format!("{more} bytes are charged for {CHARGED} targets")
    })?;
    attached.into_iter().try_for_each(Attached::detach)?;
    // Waits for the process, which must end before its cgroup can be removed.
    drop(helper);
    rig.finish(subject)
}
