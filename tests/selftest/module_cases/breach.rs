// SPDX-License-Identifier: GPL-2.0

//! What the module does to a target besides calling back: zapping, and registering in other ways;
//! and that nothing of it breaks a rule of the kernel's where nobody has asked for that.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::unistd::gettid;

use mn_inject::model::NotifierEvent;
use mn_inject::os::sys::{Area, PAGE};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, control, open, refused, write};

/// Every kind that registers something, with what it needs.
const KINDS: [&str; 4] = [
    "kind=plain",
    "kind=plain-end",
    "kind=interval range=1000-2000",
    "kind=interval-two-pass range=1000-2000",
];

/// What writing that to `zap` gets.
fn zap(attached: &Attached, text: &str) -> Outcome<Result<(), Errno>> {
    let file = OpenOptions::new()
        .write(true)
        .open(attached.path("zap"))
        .context("cannot open zap")?;
    write(&file, text.as_bytes())
}

/// The first byte of a page of ours, which need not be there.
fn byte(memory: &File, address: u64) -> Outcome<u8> {
    let mut byte = [0];
    memory
        .read_exact_at(&mut byte, address)
        .context("cannot read /proc/self/mem")?;
    Ok(byte[0])
}

pub fn zaps(rig: &Rig<'_>) -> Outcome {
    let area = Area::map(8, None).context("cannot map memory")?;
    area.unmap(6, 2).context("munmap failed")?;
    let page = |index: u64| area.range().0 + index * PAGE as u64;
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .context("cannot open /proc/self/mem")?;
    for index in 0..6 {
        memory
            .write_all_at(b"x", page(index))
            .context("cannot write to /proc/self/mem")?;
    }

    let attached = rig.attach(std::process::id() as i32, "")?;
    attached.set_range((page(0), page(8)))?;
    attached.set("record", "all")?;
    for (text, errno) in [
        // Behind its end nothing is mapped.
        (format!("{:#x}-{:#x}", page(5), page(7)), Errno::EFAULT),
        (format!("{:#x}-{:#x}", page(6), page(7)), Errno::EFAULT),
        (format!("{:#x}-{:#x}", page(1) + 1, page(2)), Errno::EINVAL),
        (
            format!("{:#x}-{:#x} atomic", page(1), page(2)),
            Errno::EPERM,
        ),
    ] {
        same(&text, zap(&attached, &text)?, Err(errno))?;
    }
    let due = (page(1), page(3));
    let text = format!("{:#x}-{:#x}", due.0, due.1);
    same(&text, zap(&attached, &text)?, Ok(()))?;

    let log = attached.log()?;
    let ours: Vec<_> = log
        .iter()
        .filter(|entry| entry.is_start_in((page(0), page(6))))
        .filter(|entry| entry.tid == gettid().as_raw() && entry.event == NotifierEvent::Clear)
        .map(|entry| (entry.start, entry.end))
        .collect();
    same("calls by this thread", ours, vec![due])?;
    for (index, due) in [(0, b'x'), (1, 0), (2, 0), (3, b'x')] {
        same("a byte", byte(&memory, page(index))?, due)?;
    }
    attached.detach()?;

    // Any kind will do, and one whose process is gone has nothing left.
    let target = rig.target(Operation::Hold)?;
    let attached = rig.attach(target.pid().as_raw(), "kind=none")?;
    let (start, _) = target.watched();
    let text = format!("{start:#x}-{:#x}", start + PAGE as u64);
    same("of a live one", zap(&attached, &text)?, Ok(()))?;
    rig.finish(target)?;
    same(
        "of one that is gone",
        zap(&attached, &text)?,
        Err(Errno::ESRCH),
    )?;
    attached.detach()
}

pub fn locked(rig: &Rig<'_>) -> Outcome {
    let mut target = rig.target(Operation::Dontneed)?;
    let pid = target.pid().as_raw();
    let (start, end) = target.watched();
    for kind in ["plain", "plain-end"] {
        let attached = rig.attach(pid, &format!("kind={kind} how=locked"))?;
        attached.set_range((start, end))?;
        attached.set("record", "all")?;
        rig.act(&mut target, 2)?;
        same("calls", attached.injected((start, end))?.len(), 2)?;
        attached.detach()?;
        // Nobody holds the lock any more.
        rig.act(&mut target, 1)?;
    }
    // The first of its sort on an address space, and the second: the kernel does more for the one.
    let words = format!("kind=interval range={start:#x}-{end:#x} how=locked");
    let both = [rig.attach(pid, &words)?, rig.attach(pid, &words)?];
    rig.act(&mut target, 2)?;
    for attached in both {
        same("calls", attached.counters()?.calls, 2)?;
        attached.detach()?;
    }
    rig.finish(target)
}

pub fn by_target(rig: &Rig<'_>) -> Outcome {
    let (mut target, first) = rig.subject(Operation::Dontneed, "")?;
    let again = |words: &str| -> Outcome<(String, Result<(), Errno>)> {
        let name = rig.name();
        let line = format!("attach @{} name={name} {words}", first.name);
        Ok((name, control(line.trim_end().as_bytes())?))
    };
    let (name, result) = again("")?;
    same("attach @NAME", result, Ok(()))?;
    let second = Attached::adopt(name);
    same("pid", second.read("pid")?, first.read("pid")?)?;
    second.set_range(target.watched())?;
    second.set("record", "all")?;
    rig.act(&mut target, 1)?;
    same("calls", second.injected(target.watched())?.len(), 1)?;
    second.detach()?;
    refused(b"attach @nobody name=mn-inject-x", Errno::ENOENT)?;
    refused(format!("attach @{}", first.name).as_bytes(), Errno::EINVAL)?;

    rig.finish(target)?;
    first.demand_state("gone")?;
    for words in ["", "how=locked", "kind=interval range=1000-2000"] {
        same("attach a gone @NAME", again(words)?.1, Err(Errno::ESRCH))?;
    }
    let (name, result) = again("kind=none")?;
    same("hold a gone @NAME", result, Ok(()))?;
    let held = Attached::adopt(name);
    held.demand_state("gone")?;
    held.detach()
}

pub fn not_allowed(rig: &Rig<'_>) -> Outcome {
    let target = rig.target(Operation::Hold)?;
    let pid = target.pid().as_raw();
    for kind in KINDS {
        for how in ["unlocked", "recursive", "atomic", "twice"] {
            // Only one list can have something twice, and not every kernel has two passes.
            let errno = match (kind.contains("interval"), how) {
                (true, "twice") => Errno::EINVAL,
                _ => Errno::EPERM,
            };
            let name = rig.name();
            let line = format!("attach {pid} name={name} {kind} how={how}");
            match control(line.as_bytes())? {
                Err(Errno::EOPNOTSUPP) if kind.contains("two-pass") => {}
                seen => same(&line, seen, Err(errno))?,
            }
        }
    }
    let attached = rig.attach(pid, "")?;
    let remove = open(&attached.path("remove"))?;
    same("1 to remove", write(&remove, b"1")?, Err(Errno::EPERM))?;
    same("0 to remove", write(&remove, b"0")?, Ok(()))?;
    demand(attached.read("remove")?.as_str() == "0", || {
        "remove does not read 0".into()
    })?;
    attached.detach()
}
