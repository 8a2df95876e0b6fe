// SPDX-License-Identifier: GPL-2.0

//! Sessions: targets that exist as long as the device is open.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector::DEVICE;
use mn_inject::injector::files::target_folder;
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, STEP, listed, open, read, wait_for, write};

pub fn closed(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let (name, other) = (rig.name(), rig.name());
    let session = open(Path::new(DEVICE))?;
    let line = format!("attach {} name={name}", subject.pid());
    same(&line, write(&session, line.as_bytes())?, Ok(()))?;
    // Another target, which must stay.
    let line = format!("attach {} name={other}", subject.pid());
    same(
        &line,
        crate::module_cases::rig::control(line.as_bytes())?,
        Ok(()),
    )?;
    let other = Attached::adopt(other);

    let line = listed(&name)?;
    demand(
        line.as_ref()
            .is_some_and(|line| line.contains(" owner=session ")),
        || format!("control has {line:?}"),
    )?;
    let mut own = String::new();
    (&session)
        .read_to_string(&mut own)
        .context("cannot read the session")?;
    same("the session reads", own, line.unwrap_or_default() + "\n")?;

    let again = session
        .try_clone()
        .context("cannot duplicate a descriptor")?;
    drop(session);
    demand(listed(&name)?.is_some(), || {
        "gone although the session is still open once".into()
    })?;
    drop(again);
    same("control when it is closed", listed(&name)?, None)?;
    demand(!target_folder(&name).exists(), || {
        "its folder is still there".into()
    })?;
    other.demand_state("live")?;
    other.detach()
}

pub fn killed(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let mut owner = rig.start(Operation::Hold)?;
    let name = rig.name();
    let line = format!("attach {} name={name}", subject.pid());
    let result = owner.write_to(Path::new(DEVICE), &line, rig.waiter, STEP)?;
    same(&line, result, 0)?;
    demand(listed(&name)?.is_some(), || "it is not there".into())?;
    owner.kill()?;
    drop(owner);
    // The drop has waited for the process, so its files are closed.
    let gone = wait_for(|| Ok(listed(&name)?.is_none()))?;
    demand(gone, || "it is there although its owner was killed".into())?;
    demand(!target_folder(&name).exists(), || {
        "its folder is still there".into()
    })
}

pub fn target_is_owner(rig: &Rig<'_>) -> Outcome {
    // The session is closed while the address space of its own target is torn down.
    let mut subject = rig.start(Operation::Hold)?;
    let name = rig.name();
    let line = format!("attach {} name={name}", subject.pid());
    let result = subject.write_to(Path::new(DEVICE), &line, rig.waiter, STEP)?;
    same(&line, result, 0)?;
    subject.kill()?;
    drop(subject);
    let gone = wait_for(|| Ok(listed(&name)?.is_none()))?;
    demand(gone, || "it is there although its owner was killed".into())
}

pub fn same_lines(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let session = open(Path::new(DEVICE))?;
    let before = read("control")?;
    for (line, errno) in [
        ("", Errno::EINVAL),
        ("attach", Errno::EINVAL),
        ("attach 0", Errno::ESRCH),
        ("attach 1 name=a/b", Errno::EINVAL),
        ("detach nobody", Errno::ENOENT),
    ] {
        let seen = write(&session, line.as_bytes())?;
        same(&format!("{line:?} to a session"), seen, Err(errno))?;
    }
    same("control after it", read("control")?, before)?;
    let name = rig.name();
    for line in [
        format!("attach {} name={name}\n", subject.pid()),
        format!("detach {name}\n"),
    ] {
        same(&line, write(&session, line.as_bytes())?, Ok(()))?;
    }
    same("control", listed(&name)?, None)
}
