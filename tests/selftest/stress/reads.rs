// SPDX-License-Identifier: GPL-2.0

//! Operations that read files of the module and of its targets.

use std::fs;
use std::num::NonZeroU32;

use anyhow::Result;
use nix::errno::Errno;

use mn_inject::injector::formats::{Entry, Mm, Seq, Settings, check_order};
use mn_inject::injector::{files, formats, target_file};
use mn_inject::model::NotifierEvent;

use crate::stress::target::Target;
use crate::stress::worker::Worker;

/// Events that only a process itself causes in its own address space. Reclaim by any other process
/// causes the others, too.
const OWN_EVENTS: [NotifierEvent; 3] = [
    NotifierEvent::Unmap,
    NotifierEvent::ProtectionVma,
    NotifierEvent::ProtectionPage,
];

/// Reads a file of some target, parses it, and checks the result.
fn read<T>(
    worker: &mut Worker,
    file: &str,
    parse: impl Fn(&str) -> Result<T>,
    check: impl Fn(&Worker, &Target, T),
) -> bool {
    let targets = worker.world.targets();
    let Some(target) = worker.rng.any(&targets) else {
        return false;
    };
    let Some(text) = worker.read(target, file) else {
        return false;
    };
    match parse(&text) {
        Ok(parsed) => check(worker, target, parsed),
        Err(error) => worker.finding(format_args!("{}/{file}: {error:#}", target.name)),
    }
    true
}

/// Reads the counters of some target.
pub fn counters(worker: &mut Worker) -> bool {
    let targets = worker.world.targets();
    match worker.rng.any(&targets) {
        Some(target) => worker.counters(target).is_some(),
        None => false,
    }
}

/// Reads the log of some target, which must contain no event of the control process.
pub fn log(worker: &mut Worker) -> bool {
    let log = |text: &str| {
        let entries = formats::log(text)?;
        entries.iter().try_for_each(Entry::check)?;
        check_order(&entries)?;
        Ok(entries)
    };
    read(worker, "log", log, |worker, target, entries| {
        let Some(control) = worker.world.control.get() else {
            return;
        };
        let control = control.pid.as_raw();
        let strange = entries.iter().find(|entry| {
            entry.tid == control && entry.event.is_some_and(|event| OWN_EVENTS.contains(&event))
        });
        if let Some(entry) = strange {
            worker.finding(format_args!(
                "process {control} has no notifier, but is in the log of {}: {entry:?}",
                target.name
            ));
        }
    })
}

/// Reads the settings of some target.
pub fn settings(worker: &mut Worker) -> bool {
    read(worker, "settings", Settings::parse, |_, _, _| {})
}

/// Reads the properties of some targets: state, way of its registration, address space, process id
/// and kind.
pub fn identity(worker: &mut Worker) -> bool {
    let state = |text: &str| match text {
        "live\n" | "gone\n" => Ok(()),
        _ => anyhow::bail!("{text:?} is no state"),
    };
    let pid = |text: &str| Ok(text.trim_end().parse::<i32>()?);
    let how = |text: &str| match text.trim_end().split_once(" users=") {
        None if matches!(text, "register\n" | "locked\n") => Ok(()),
        Some(("get", users)) => users.parse::<NonZeroU32>().map(|_| ()).map_err(Into::into),
        _ => anyhow::bail!("{text:?} is no way to register"),
    };
    read(worker, "state", state, |_, _, ()| {})
        && read(worker, "how", how, |_, _, ()| {})
        && read(worker, "mm", |text| Mm::parse(text)?.check(), |_, _, ()| {})
        && read(worker, "pid", pid, |worker, target, pid| {
            let known = target.victim.as_ref().map(|victim| victim.pid.as_raw());
            if known.is_some_and(|known| known != pid) {
                worker.finding(format_args!("{}/pid is {pid}, not {known:?}", target.name));
            }
        })
        && read(
            worker,
            "kind",
            |text| Ok(text.to_owned()),
            |worker, target, text| {
                if text.split_whitespace().next() != Some(target.kind.name()) {
                    let kind = target.kind.name();
                    worker.finding(format_args!("{}/kind is {text:?}, not {kind}", target.name));
                }
            },
        )
}

/// Reads and retries on an interval notifier, like a driver that mirrors the range.
pub fn look(worker: &mut Worker) -> bool {
    let mut targets = worker.world.targets();
    targets.retain(|target| target.kind.is_interval());
    let Some(target) = worker.rng.any(&targets).cloned() else {
        return false;
    };
    if !worker.set(&target, "read_begin", "begin") {
        return false;
    }
    let Some(text) = worker.read(&target, "read_begin") else {
        return false;
    };
    match Seq::parse(&text).and_then(|seq| seq.check().map(|()| seq)) {
        // An invalidation may have come in between.
        Ok(seq) => worker.may_refuse(&target, "read_retry", &seq.to_string(), &[Errno::EAGAIN]),
        Err(error) => {
            worker.finding(format_args!("{}/read_begin: {error:#}", target.name));
            false
        }
    }
}

/// Reads the list of targets in `control`, and the folder of the targets.
pub fn list(worker: &mut Worker) -> bool {
    let Some(text) = worker.read_root("control") else {
        return false;
    };
    if let Err(error) = formats::targets(&text) {
        worker.finding(format_args!("control: {error:#}"));
    }
    match fs::read_dir(files::path("targets")) {
        // Targets may be detached in between, so the two are not compared.
        Ok(entries) => entries.flatten().count() > 0,
        Err(_) => false,
    }
}

/// Reads the other files of the module.
pub fn others(worker: &mut Worker) -> bool {
    let Some(total) = worker.read_root("total") else {
        return false;
    };
    if let Err(error) = formats::total(&total) {
        worker.finding(format_args!("total: {error:#}"));
    }
    let Some(breach) = worker.read_root("breach") else {
        return false;
    };
    if let Err(error) = formats::breach(&breach) {
        worker.finding(format_args!("breach: {error:#}"));
    }
    match worker.read_root("help") {
        Some(help) => {
            if help.is_empty() {
                worker.finding("help is empty");
            }
            true
        }
        None => false,
    }
}

/// Opens a file of a target that does not exist, which returns -ENOENT.
pub fn no_target(worker: &mut Worker) -> bool {
    let file = target_file("stress.0.0", "counters");
    match fs::read_to_string(&file) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => true,
        result => {
            worker.finding(format_args!("{}: {result:?}", file.display()));
            false
        }
    }
}

/// Makes the kernel call notifiers of a victim from another process, by a write to its
/// `clear_refs`.
pub fn clear_refs(worker: &mut Worker) -> bool {
    let victims = worker.world.victims();
    let what = *worker.rng.pick(&["1", "4"]);
    match worker.rng.any(&victims) {
        // The victim may be gone, and soft-dirty bits need CONFIG_MEM_SOFT_DIRTY.
        Some(victim) => fs::write(format!("/proc/{}/clear_refs", victim.pid), what).is_ok(),
        None => false,
    }
}
