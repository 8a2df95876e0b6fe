// SPDX-License-Identifier: GPL-2.0

//! Detaching and unloading while callbacks run and files are open.

use std::ffi::CStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector;
use mn_inject::injector::line::errno_of;
use mn_inject::injector::load;
use mn_inject::injector::load::unload;
use mn_inject::injector::{DEVICE, files::target_folder};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::log;
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Rig, STEP, open, read, write};

/// Time for which a callback sleeps, long enough to detach or unload while it runs.
const SLEEP: Duration = Duration::from_millis(300);

/// The smallest log that can be set, in KiB.
const SMALL_LOG: &CStr = c"log_kib=4";

/// More calls than fit into such a log.
const MANY: usize = 400;

fn load(module: &Path, parameters: &CStr) -> Outcome {
    load::load(module, parameters).context("cannot load the module again")?;
    demand(injector::is_there(), || {
        "the module's folder is not there".into()
    })
}

/// Returns the module's file. Skips the case if the module could not be loaded again, or if there
/// are targets of others, which would be detached.
fn may_unload<'a>(rig: &Rig<'a>) -> Outcome<&'a Path> {
    let module = file_to_load_again(rig.module)?;
    let others = read("control")?;
    if !others.is_empty() {
        return Err(Failure::Skip("somebody else has targets"));
    }
    Ok(module)
}

fn file_to_load_again(module: Option<&Path>) -> Outcome<&Path> {
    let reason = "the module's file is not known (--module), so it could not be loaded again";
    module.ok_or(Failure::Skip(reason))
}

pub fn detach_running(rig: &Rig<'_>) -> Outcome {
    let (mut subject, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set("sleep_us", &SLEEP.as_micros().to_string())?;
    let begin = Instant::now();
    subject.act_and_die()?;
    attached.wait_misbehaves()?;
    let name = attached.name.clone();
    attached.detach()?;
    let took = begin.elapsed();
    demand(took >= SLEEP, || {
        format!("detached {took:?} after the begin of a callback of {SLEEP:?}")
    })?;
    same("the operation", subject.acted(rig.waiter, STEP)?, 0)?;
    demand(!target_folder(&name).exists(), || {
        "its folder is still there".into()
    })?;
    // The callback is gone, so nothing sleeps any more.
    let begin = Instant::now();
    rig.act(&mut subject, 1)?;
    let took = begin.elapsed();
    demand(took < SLEEP, || {
        format!("the operation took {took:?} when all is detached")
    })
}

pub fn detached_files(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    let files = [
        "settings",
        "counters",
        "log",
        "range",
        "actions/MMU_NOTIFY_UNMAP/error",
    ]
    .into_iter()
    .map(|name| Ok((name, open(&attached.path(name))?)))
    .collect::<Outcome<Vec<_>>>()?;
    let again = attached.path("range");
    attached.detach()?;
    demand_dead(&files)?;
    match File::open(&again) {
        Err(error) => same("a new open", errno_of(&error), Errno::ENOENT),
        Ok(_) => Err(Failure::Wrong(
            "a detached target's file can be opened".into(),
        )),
    }
}

/// Demands that reads and writes of open files of a detached target return EIO.
fn demand_dead(files: &[(&str, File)]) -> Outcome {
    for (name, file) in files {
        let seen = file
            .read_at(&mut [0; 64], 0)
            .map_err(|error| errno_of(&error));
        same(&format!("read of {name}"), seen, Err(Errno::EIO))?;
        if !["counters", "log"].contains(name) {
            let seen = write(file, b"0")?;
            same(&format!("write to {name}"), seen, Err(Errno::EIO))?;
        }
    }
    Ok(())
}

pub fn unload_running(rig: &Rig<'_>) -> Outcome {
    let module = may_unload(rig)?;
    // Callbacks on all processors: some sleep, some busy-wait.
    let mut subjects = Vec::new();
    for (setting, value) in [("sleep_us", SLEEP.as_micros()), ("delay_us", 100_000)]
        .into_iter()
        .cycle()
        .take(4)
    {
        let (subject, attached) = rig.subject(Operation::Dontneed, "")?;
        attached.set(setting, &value.to_string())?;
        subjects.push((subject, attached));
    }
    let files = [("settings", &subjects[0].1), ("range", &subjects[1].1)]
        .into_iter()
        .map(|(name, attached)| Ok((name, open(&attached.path(name))?)))
        .collect::<Outcome<Vec<_>>>()?;
    let begin = Instant::now();
    for (subject, _) in &mut subjects {
        subject.act_and_die()?;
    }
    subjects[2].1.wait_misbehaves()?;
    let result = unload();
    let took = begin.elapsed();
    let loaded = if result.is_ok() {
        for (_, attached) in &mut subjects {
            attached.forget();
        }
        let dead = demand_dead(&files);
        let gone = demand(!injector::is_there(), || "the folder is still there".into());
        load(module, c"").and(dead).and(gone)
    } else {
        Ok(())
    };
    for (subject, _) in &mut subjects {
        same("the operation", subject.acted(rig.waiter, STEP)?, 0)?;
    }
    same("delete_module", result, Ok(()))?;
    demand(took >= SLEEP, || {
        format!("unloaded {took:?} after the begin of a callback of {SLEEP:?}")
    })?;
    loaded?;
    same("control of the new module", read("control")?.as_str(), "")?;
    same("total of the new module", read("total")?.as_str(), "0\n")?;
    // The subjects whose callbacks ran in the old module are not attached to the new one.
    for (mut subject, _) in subjects {
        rig.act(&mut subject, 1)?;
        rig.finish(subject)?;
    }
    Ok(())
}

pub fn unload_session(rig: &Rig<'_>) -> Outcome {
    let module = may_unload(rig)?;
    let session = open(Path::new(DEVICE))?;
    let result = unload();
    if result.is_ok() {
        drop(session);
        load(module, c"")?;
        return Err(Failure::Wrong("unloaded although a session is open".into()));
    }
    same("delete_module", result, Err(Errno::EWOULDBLOCK))?;
    demand(injector::is_there(), || "the folder is gone".into())?;
    drop(session);
    same("delete_module when it is closed", unload(), Ok(()))?;
    load(module, c"")
}

/// Carries out a case in a module that is loaded with these parameters, and loads it without again.
pub fn loaded_with(rig: &Rig<'_>, parameters: &CStr, case: impl FnOnce() -> Outcome) -> Outcome {
    let module = may_unload(rig)?;
    same("delete_module", unload(), Ok(()))?;
    let result = load(module, parameters).and_then(|()| {
        let result = case();
        same("delete_module", unload(), Ok(()))?;
        result
    });
    load(module, c"")?;
    result
}

pub fn small_log(rig: &Rig<'_>) -> Outcome {
    let module = may_unload(rig)?;
    same("delete_module", unload(), Ok(()))?;
    for wrong in [c"log_kib=3", c"log_kib=65537", c"log_kib=-1", c"log_kib=x"] {
        if load(module, wrong).is_ok() {
            same("delete_module", unload(), Ok(()))?;
            load(module, c"")?;
            return Err(Failure::Wrong(format!("loaded with {wrong:?}")));
        }
    }
    load(module, c"")?;
    loaded_with(rig, SMALL_LOG, || log::full(rig, MANY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_loaded_again_from_its_own_file() {
        let given = Path::new("somewhere/module.ko");
        assert_eq!(file_to_load_again(Some(given)).unwrap(), given);
        assert!(matches!(file_to_load_again(None), Err(Failure::Skip(_))));
    }
}
