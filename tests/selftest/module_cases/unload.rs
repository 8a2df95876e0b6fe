// SPDX-License-Identifier: GPL-2.0

//! Detaching and unloading while callbacks run and files are open.

use std::ffi::CStr;
use std::fs::{self, File};
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
use mn_inject::model::MODULE_NAME;
use mn_inject::trigger::operation::Operation;

use crate::module_cases::log;
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Rig, STEP, open, read, write};

/// How long a callback sleeps that is to be met running.
const SLEEP: Duration = Duration::from_millis(300);

/// The least that a log may be given, in KiB.
const SMALL_LOG: &CStr = c"log_kib=4";

/// More calls than such a log has room for.
const MANY: usize = 400;

fn load(module: &Path, parameters: &CStr) -> Outcome {
    load::load(module, parameters).context("cannot load the module again")?;
    demand(injector::is_there(), || {
        "the module's folder is not there".into()
    })
}

/// The module's file. Skips a case after which the module could not be loaded again, or others would
/// lose what they have attached.
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
    let (mut target, attached) = rig.subject(Operation::Dontneed, "")?;
    attached.set("sleep_us", &SLEEP.as_micros().to_string())?;
    let begin = Instant::now();
    target.act_and_die()?;
    attached.wait_misbehaves()?;
    let name = attached.name.clone();
    attached.detach()?;
    let took = begin.elapsed();
    demand(took >= SLEEP, || {
        format!("detached {took:?} after the begin of a callback of {SLEEP:?}")
    })?;
    same("the operation", target.acted(rig.waiter, STEP)?, 0)?;
    demand(!target_folder(&name).exists(), || {
        "its folder is still there".into()
    })?;
    // Nothing sleeps any more.
    let begin = Instant::now();
    rig.act(&mut target, 1)?;
    let took = begin.elapsed();
    demand(took < SLEEP, || {
        format!("the operation took {took:?} when all is detached")
    })
}

pub fn detached_files(rig: &Rig<'_>) -> Outcome {
    let (_target, attached) = rig.subject(Operation::Hold, "")?;
    let files = [
        "settings",
        "counters",
        "log",
        "range",
        "actions/UNMAP/error",
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

/// Demands that open files of a target that is gone say EIO.
fn demand_dead(files: &[(&str, File)]) -> Outcome {
    for (name, file) in files {
        let seen = file
            .read_at(&mut [0; 64], 0)
            .map_err(|error| errno_of(&error));
        same(&format!("read of {name}"), seen, Err(Errno::EIO))?;
        if !["settings", "counters", "log"].contains(name) {
            let seen = write(file, b"0")?;
            same(&format!("write to {name}"), seen, Err(Errno::EIO))?;
        }
    }
    Ok(())
}

pub fn unload_running(rig: &Rig<'_>) -> Outcome {
    let module = may_unload(rig)?;
    // On as many processors as there are: some asleep in a callback, some waiting in one.
    let mut targets = Vec::new();
    for (setting, value) in [("sleep_us", SLEEP.as_micros()), ("delay_us", 100_000)]
        .into_iter()
        .cycle()
        .take(4)
    {
        let (target, attached) = rig.subject(Operation::Dontneed, "")?;
        attached.set(setting, &value.to_string())?;
        targets.push((target, attached));
    }
    let files = [("settings", &targets[0].1), ("range", &targets[1].1)]
        .into_iter()
        .map(|(name, attached)| Ok((name, open(&attached.path(name))?)))
        .collect::<Outcome<Vec<_>>>()?;
    let begin = Instant::now();
    for (target, _) in &mut targets {
        target.act_and_die()?;
    }
    targets[2].1.wait_misbehaves()?;
    let result = unload();
    let took = begin.elapsed();
    let loaded = if result.is_ok() {
        for (_, attached) in &mut targets {
            attached.forget();
        }
        let dead = demand_dead(&files);
        let gone = demand(!injector::is_there(), || "the folder is still there".into());
        load(module, c"").and(dead).and(gone)
    } else {
        Ok(())
    };
    for (target, _) in &mut targets {
        same("the operation", target.acted(rig.waiter, STEP)?, 0)?;
    }
    same("delete_module", result, Ok(()))?;
    demand(took >= SLEEP, || {
        format!("unloaded {took:?} after the begin of a callback of {SLEEP:?}")
    })?;
    loaded?;
    same("control of the new module", read("control")?.as_str(), "")?;
    same("total of the new module", read("total")?.as_str(), "0\n")?;
    // What ran in the old module's callbacks is none of the new one's business.
    for (mut target, _) in targets {
        rig.act(&mut target, 1)?;
        rig.finish(target)?;
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
    load(module, SMALL_LOG)?;
    let path = format!("/sys/module/{MODULE_NAME}/parameters/log_kib");
    let shown = fs::read_to_string(path).ok();
    let full = log::full(rig, MANY);
    same("delete_module", unload(), Ok(()))?;
    load(module, c"")?;
    full?;
    // A parameter need not be shown; where it is, it says what was given.
    same("log_kib", shown.as_deref().unwrap_or("4\n"), "4\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_loaded_again_from_wherever_it_was() {
        let given = Path::new("somewhere/module.ko");
        assert_eq!(file_to_load_again(Some(given)).unwrap(), given);
        assert!(matches!(file_to_load_again(None), Err(Failure::Skip(_))));
    }
}
