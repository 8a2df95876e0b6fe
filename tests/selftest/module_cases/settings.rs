// SPDX-License-Identifier: GPL-2.0

//! `settings`, and the settings in a line that attaches: several of them in one step.

use anyhow::{Context as _, anyhow};
use nix::errno::Errno;
use nix::sys::mman::MmapAdvise;

use mn_inject::injector::formats::Entry;
use mn_inject::model::NotifierKind;
use mn_inject::os::limit::Limit;
use mn_inject::os::sys::Area;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::fuzz::setting::{Rule, SETTINGS, defaults, judge_settings, settings_line};
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{
    Attached, Rig, STEP, control, listed, mrelease, open, refused, write,
};

/// Attaches a process with these settings and no others.
fn attach_only(rig: &Rig<'_>, pid: i32, settings: &str) -> Outcome<Attached> {
    let name = rig.name();
    let line = format!("attach {pid} name={name} {settings}");
    let line = line.trim_end();
    same(line, control(line.as_bytes())?, Ok(()))?;
    Ok(Attached::adopt(name))
}

/// Writes a line to `settings`, which must succeed.
fn change(attached: &Attached, line: &str) -> Outcome {
    same(line, attached.change(line)?, Ok(()))
}

/// The addresses as `range` takes and shows them.
fn shown((start, end): (u64, u64)) -> String {
    format!("{start:#x}-{end:#x}")
}

pub fn default_times(rig: &Rig<'_>) -> Outcome {
    let mut subject = rig.start(Operation::Dontneed)?;
    let attached = attach_only(rig, subject.pid().as_raw(), "")?;
    let text = attached.read("settings")? + "\n";
    same("settings of a new target", text, settings_line(&defaults()))?;
    attached.set("record", "all")?;
    attached.set_range(subject.watched())?;
    attached.set("delay_us", "1")?;
    rig.act(&mut subject, 3)?;
    same(
        "three calls",
        attached.injected(subject.watched())?,
        vec![true, false, false],
    )?;
    same("times", attached.read("times")?.as_str(), "0")?;
    attached.set("times", "1")?;
    rig.act(&mut subject, 2)?;
    same(
        "two more",
        attached.injected(subject.watched())?.get(3..),
        Some(&[true, false][..]),
    )
}

/// A function from which every callback is called.
const ON_EVERY_STACK: &str = "__mmu_notifier_invalidate_range_start";

pub fn together(rig: &Rig<'_>) -> Outcome {
    let mut subject = rig.start(Operation::Dontneed)?;
    let attached = attach_only(rig, subject.pid().as_raw(), "kind=plain-end")?;
    let range = shown(subject.watched());
    change(
        &attached,
        &format!(
            " delay_us=1 times=2 space=1  MMU_NOTIFY_UNMAP=-11 EXCLUSIVE=-5 record=all \
             range={range} events=CLEAR,UNMAP task=all \
             caller={ON_EVERY_STACK}\n"
        ),
    )?;
    for (name, due) in [
        ("delay_us", "1"),
        ("times", "2"),
        ("space", "1"),
        ("actions/MMU_NOTIFY_UNMAP/error", "-11"),
        ("actions/MMU_NOTIFY_EXCLUSIVE/error", "-5"),
        ("actions/MMU_NOTIFY_CLEAR/error", "0"),
        ("record", "all"),
        ("range", &range),
        ("events", "MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR"),
        ("caller", ON_EVERY_STACK),
        ("effect/error", "various"),
        ("probability", "100"),
    ] {
        same(name, attached.read(name)?.as_str(), due)?;
    }
    rig.act(&mut subject, 5)?;
    same(
        "five calls",
        attached.injected(subject.watched())?,
        vec![false, true, true, false, false],
    )?;
    change(&attached, "error=-12")?;
    let errors = || SETTINGS.iter().filter(|one| one.rule == Rule::Error);
    for one in errors() {
        same(one.path, attached.read(one.path)?.as_str(), "-12")?;
    }
    same("error", attached.read("effect/error")?.as_str(), "-12")?;
    attached.set("effect/error", "0")?;
    for one in errors() {
        same(one.path, attached.read(one.path)?.as_str(), "0")?;
    }
    attached.detach()
}

pub fn nothing_changes(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let attached = attach_only(
        rig,
        subject.pid().as_raw(),
        "times=7 CLEAR=-1 events=CLEAR caller=f",
    )?;
    let before = attached.read("settings")?;
    for (bad, errno) in [
        ("colour=blue", Errno::EINVAL),
        ("times", Errno::EINVAL),
        ("times=", Errno::EINVAL),
        // `good` has this key.
        ("times=8", Errno::EINVAL),
        ("space=1 space=1", Errno::EINVAL),
        ("UNMAP=0 MMU_NOTIFY_UNMAP=0", Errno::EINVAL),
        ("UNMAP=0 error=0", Errno::EINVAL),
        ("events=UNMAPPED", Errno::EINVAL),
        ("range=2-1", Errno::EINVAL),
        ("range=0-10000000000000000", Errno::ERANGE),
        ("task=tid=0", Errno::ERANGE),
        ("caller=", Errno::EINVAL),
        ("caller=g colour=blue", Errno::EINVAL),
        ("caller=g+0x1", Errno::EINVAL),
        ("context=all", Errno::EINVAL),
        ("probability=101", Errno::ERANGE),
        ("UNMAP=-4096", Errno::ERANGE),
        ("UNMAP=1", Errno::ERANGE),
        ("callback=end", Errno::EINVAL),
        ("lock=1", Errno::EPERM),
        ("alloc_bytes=4096", Errno::EPERM),
        ("remove=1", Errno::EPERM),
    ] {
        let good = "times=9 sleep_us=8 MMU_NOTIFY_MIGRATE=-6";
        for line in [format!("{good} {bad}"), format!("{bad} {good}")] {
            same(&line, attached.change(&line)?, Err(errno))?;
            same("settings", attached.read("settings")?, before.clone())?;
        }
    }
    for line in ["times=1\0", "times=1\nspace=1\n", "times=\u{e9}", " "] {
        same(line, attached.change(line)?, Err(Errno::EINVAL))?;
    }
    same("settings", attached.read("settings")?, before)?;
    attached.detach()
}

pub fn written_back(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let attached = attach_only(rig, subject.pid().as_raw(), "kind=plain-end")?;
    for line in [
        "times=-1",
        "events=UNMAP,EXCLUSIVE range=0x1000-0x2000 context=blockable task=comm=a=b caller=f.isra.0 \
         probability=5 interval=6 times=7 space=8 verbose=1 sleep_us=9 delay_us=10 callback=end record=all \
         error=-12",
        "task=tid=1 range=all UNMAP=-1 CLEAR=-2 PROTECTION_VMA=-3 PROTECTION_PAGE=-4 \
         SOFT_DIRTY=-5 RELEASE=-6 MIGRATE=-7 EXCLUSIVE=-4095",
    ] {
        change(&attached, line)?;
        let text = attached.read("settings")?;
        for (index, value) in judge_settings(line.as_bytes(), Some(NotifierKind::PlainEnd))
            .map_err(|refusal| Failure::Wrong(format!("{line}: {refusal:?}")))?
        {
            let word = format!(" {}={value} ", SETTINGS[index].key());
            demand(format!(" {text} ").contains(&word), || {
                format!("no {word:?} in {text:?}")
            })?;
        }
        change(&attached, settings_line(&defaults()).as_str())?;
        let due = settings_line(&defaults());
        same("the defaults", attached.read("settings")? + "\n", due)?;
        change(&attached, &text)?;
        same("settings", attached.read("settings")?, text)?;
    }
    attached.detach()
}

/// Number of calls that must be affected while lines are written.
const AFFECTED: u64 = 200;
/// Number of lines written, if that takes less than [`STEP`].
const LINES: usize = 6000;

pub fn at_once(rig: &Rig<'_>) -> Outcome {
    let map = || Area::map(1, None).context("cannot map memory");
    let (first, second) = (map()?, map()?);
    let attached = attach_only(rig, std::process::id() as i32, "times=-1")?;
    // Only calls with CLEAR are made. By each of these lines none on the second area is affected,
    // and by parts of two of them it is.
    let lines = [
        ("CLEAR", first.range(), 1),
        ("CLEAR", second.range(), 0),
        ("UNMAP", second.range(), 1),
    ]
    .map(|(events, range, delay)| {
        let (range, caller) = (shown(range), [ON_EVERY_STACK, "all"][delay]);
        format!("events={events} range={range} delay_us={delay} caller={caller}")
    });
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_in_turn(&attached, &lines));
        while !writer.is_finished() {
            for area in [&second, &first] {
                area.advise(MmapAdvise::MADV_DONTNEED)
                    .context("madvise failed")?;
            }
        }
        match writer.join() {
            Ok(written) => written,
            Err(_) => Err(Failure::Wrong("a thread panicked".into())),
        }
    })?;
    let wrong = |entry: &&Entry| !entry.is_start_in(first.range());
    let log = attached.log()?;
    let found = log.iter().find(wrong);
    same("affected by parts of two lines", found, None)?;
    attached.detach()
}

/// Writes these lines in turn until enough calls were affected. A busy machine writes fewer lines; one
/// on which too few calls are affected as well proves nothing.
fn write_in_turn(attached: &Attached, lines: &[String]) -> Outcome {
    let file = open(&attached.path("settings"))?;
    let mut limit = Limit::new(STEP);
    let mut written = 0;
    loop {
        let affected = attached.counters()?.injected;
        let is_over = limit.is_over();
        if affected >= AFFECTED && (written >= LINES || is_over) {
            return Ok(());
        }
        if is_over {
            let why = anyhow!(
                "only {affected} of {AFFECTED} calls were affected while {written} lines were written"
            );
            return Err(why.into());
        }
        for line in lines {
            same(line, write(&file, line.as_bytes())?, Ok(()))?;
            written += 1;
        }
    }
}

/// A subject that is killed and stopped before its memory is freed.
fn victim(rig: &Rig<'_>) -> Outcome<Subject> {
    let subject = rig.start(Operation::Hold)?;
    subject.hold_at_exit()?;
    subject.kill()?;
    subject.wait_held(rig.waiter, STEP)?;
    Ok(subject)
}

pub fn attach(rig: &Rig<'_>) -> Outcome {
    let mut subject = rig.start(Operation::Dontneed)?;
    let pid = subject.pid().as_raw();
    let range = shown(subject.watched());
    let words = format!("record=all times=2 range={range} kind=plain-end delay_us=1 events=CLEAR");
    let attached = attach_only(rig, pid, &words)?;
    for (name, due) in [
        ("kind", "plain-end"),
        ("range", &range),
        ("times", "2"),
        ("delay_us", "1"),
        ("events", "MMU_NOTIFY_CLEAR"),
    ] {
        same(name, attached.read(name)?.as_str(), due)?;
    }
    rig.act(&mut subject, 3)?;
    same(
        "three calls",
        attached.injected(subject.watched())?,
        vec![true, true, false],
    )?;
    attached.detach()?;
    for (words, errno) in [
        ("times=1 times=1", Errno::EINVAL),
        ("colour=blue", Errno::EINVAL),
        ("callback=end", Errno::EINVAL),
        ("kind=interval range=1000-2000 UNMAP=-12", Errno::EINVAL),
        ("times=-2", Errno::ERANGE),
        ("MMU_NOTIFY_CLEAR=1", Errno::ERANGE),
        ("remove=1", Errno::EPERM),
        ("lock=1", Errno::EPERM),
    ] {
        let name = rig.name();
        let line = format!("attach {pid} name={name} {words}");
        refused(line.as_bytes(), errno)?;
        same("control", listed(&name)?, None)?;
    }

    // The range of an interval notifier is no filter.
    let victim = victim(rig)?;
    let range = shown(victim.watched());
    let words = format!("kind=interval range={range} MMU_NOTIFY_CLEAR=-11 times=1");
    let attached = attach_only(rig, victim.pid().as_raw(), &words)?;
    same("range", attached.read("range")?.as_str(), "all")?;
    same("process_mrelease", mrelease(&victim)?, Err(Errno::EAGAIN))?;
    same("process_mrelease again", mrelease(&victim)?, Ok(()))?;
    same("times", attached.read("times")?.as_str(), "0")?;
    attached.detach()
}
