// SPDX-License-Identifier: GPL-2.0

//! Page aging: what asks a notifier whether a page was accessed, and its answer.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use mn_inject::injector::formats::{Counters, Entry, Op};
use mn_inject::model::FollowUp;
use mn_inject::os::lru_gen;
use mn_inject::os::lru_gen::LruGen;
use mn_inject::os::sys::{Area, PAGE};

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, wait_for};

/// Number of pages: more than the kernel keeps back, on each processor, from its list of pages.
const PAGES: usize = 256;

/// Maps memory of this process, and attaches a notifier that is asked about the age of pages.
fn attach(rig: &Rig<'_>) -> Outcome<(Area, Attached)> {
    let area = Area::map(PAGES, None).context("cannot map memory")?;
    area.touch(0, PAGES).context("cannot touch memory")?;
    let attached = rig.attach(std::process::id() as i32, "kind=plain-young")?;
    attached.set("record", "all")?;
    Ok((area, attached))
}

/// The entries of that callback about these addresses.
fn entries(attached: &Attached, op: FollowUp, (start, end): (u64, u64)) -> Outcome<Vec<Entry>> {
    let mut log = attached.log()?;
    log.retain(|entry| entry.op == Op::Later(op) && entry.start < end && start < entry.end);
    Ok(log)
}

/// Demands that one of the calling functions has that in its name.
fn demand_caller(entry: &Entry, part: &str) -> Outcome {
    let is_there = entry.callers.iter().any(|caller| caller.contains(part));
    demand(is_there, || {
        format!("no caller has {part} in its name: {entry:?}")
    })
}

/// Writes to a file of the kernel's own.
fn put(path: &Path, text: &str) -> Outcome {
    let written = fs::write(path, text);
    Ok(written.with_context(|| format!("cannot write {text:?} to {}", path.display()))?)
}

/// The bitmap of `CONFIG_IDLE_PAGE_TRACKING`: a bit for each page frame.
struct IdleBitmap(File);

impl IdleBitmap {
    const PATH: &str = "/sys/kernel/mm/page_idle/bitmap";

    fn open() -> Outcome<Self> {
        let file = OpenOptions::new().read(true).write(true).open(Self::PATH);
        match file {
            Ok(file) => Ok(IdleBitmap(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::Skip(
                "the kernel does not track idle pages (CONFIG_IDLE_PAGE_TRACKING)",
            )),
            Err(error) => Err(anyhow::Error::from(error)
                .context(format!("cannot open {}", Self::PATH))
                .into()),
        }
    }

    /// Marks a page frame as idle, which clears the accessed bits of its page.
    fn mark(&self, frame: u64) -> Outcome {
        let word = 1u64 << (frame % 64);
        self.0
            .write_all_at(&word.to_ne_bytes(), frame / 64 * 8)
            .with_context(|| format!("cannot write {}", Self::PATH))?;
        Ok(())
    }

    /// Whether the page in a frame was not accessed since it was marked.
    fn is_idle(&self, frame: u64) -> Outcome<bool> {
        let mut word = [0; 8];
        self.0
            .read_exact_at(&mut word, frame / 64 * 8)
            .with_context(|| format!("cannot read {}", Self::PATH))?;
        Ok(u64::from_ne_bytes(word) >> (frame % 64) & 1 == 1)
    }
}

/// The page frame of an address of this process (Documentation/admin-guide/mm/pagemap.rst).
fn frame_of(address: u64) -> Outcome<u64> {
    let path = "/proc/self/pagemap";
    let mut entry = [0; 8];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut entry, address / PAGE as u64 * 8))
        .with_context(|| format!("cannot read {path}"))?;
    match u64::from_ne_bytes(entry) & ((1 << 55) - 1) {
        0 => Err(anyhow::anyhow!("{path} has no frame for {address:#x}").into()),
        frame => Ok(frame),
    }
}

pub fn page_idle(rig: &Rig<'_>) -> Outcome {
    let bitmap = IdleBitmap::open()?;
    let (area, attached) = attach(rig)?;
    let (start, end) = area.range();
    let ours = entries(&attached, FollowUp::ClearYoung, (start, end))?.len();
    same("calls before anything is asked", ours, 0)?;

    // The kernel passes over pages that are not in its list yet.
    let mut found = None;
    for page in (start..end).step_by(PAGE) {
        bitmap.mark(frame_of(page)?)?;
        let range = (page, page + PAGE as u64);
        if let Some(entry) = entries(&attached, FollowUp::ClearYoung, range)?.pop() {
            found = Some((range, entry));
            break;
        }
    }
    let Some((range, entry)) = found else {
        return Err(Failure::Wrong(
            "clear_young is not called when pages are marked as idle".into(),
        ));
    };
    same("its range", (entry.start, entry.end), range)?;
    same("what it returned", entry.returned, 0)?;
    same("its thread", entry.tid, nix::unistd::gettid().as_raw())?;
    demand_caller(&entry, "page_idle")?;

    let frame = frame_of(range.0)?;
    same("idle with young=0", bitmap.is_idle(frame)?, true)?;
    attached.set("young", "1")?;
    same("idle with young=1", bitmap.is_idle(frame)?, false)?;
    let entry = entries(&attached, FollowUp::ClearYoung, range)?.pop();
    same(
        "what it returned with young=1",
        entry.map(|entry| entry.returned),
        Some(1),
    )?;

    let (log, counters) = (attached.log()?, attached.counters()?);
    let count = |op| log.iter().filter(|entry| entry.op == op).count() as u64;
    same("overwritten", counters.overwritten, 0)?;
    same("calls", counters.calls, count(Op::Start))?;
    let clear_young = count(Op::Later(FollowUp::ClearYoung));
    same("clear_young", counters.clear_young, clear_young)?;
    same("injected", counters.injected, 0)?;
    attached.detach()
}

/// A monitor of DAMON that is off and removed on drop.
struct Damon(PathBuf);

impl Damon {
    const KDAMONDS: &str = "/sys/kernel/mm/damon/admin/kdamonds";

    /// Makes it look at these addresses of this process.
    fn watch((start, end): (u64, u64)) -> Outcome<Self> {
        let kdamonds = Path::new(Self::KDAMONDS);
        let number = kdamonds.join("nr_kdamonds");
        if !number.exists() {
            return Err(Failure::Skip(
                "the kernel has no DAMON (CONFIG_DAMON_SYSFS)",
            ));
        }
        let others = fs::read_to_string(&number).context("cannot read nr_kdamonds")?;
        if others.trim_end() != "0" {
            return Err(Failure::Skip("somebody else uses DAMON"));
        }
        put(&number, "1")?;
        let damon = Damon(kdamonds.join("0"));
        let set = |file: &str, text: &str| put(&damon.0.join(file), text);
        set("contexts/nr_contexts", "1")?;
        set("contexts/0/operations", "vaddr")?;
        // Microseconds. The regions stay as they are: they are not looked for again. There are few,
        // and they are looked at seldom, or else the log would grow faster than it is read.
        let attrs = "contexts/0/monitoring_attrs";
        set(&format!("{attrs}/intervals/sample_us"), "50000")?;
        set(&format!("{attrs}/intervals/aggr_us"), "500000")?;
        set(&format!("{attrs}/intervals/update_us"), "1000000000")?;
        set(&format!("{attrs}/nr_regions/min"), "3")?;
        set(&format!("{attrs}/nr_regions/max"), "4")?;
        set("contexts/0/targets/nr_targets", "1")?;
        let pid = std::process::id().to_string();
        set("contexts/0/targets/0/pid_target", &pid)?;
        set("contexts/0/targets/0/regions/nr_regions", "1")?;
        set("contexts/0/targets/0/regions/0/start", &start.to_string())?;
        set("contexts/0/targets/0/regions/0/end", &end.to_string())?;
        set("state", "on")?;
        Ok(damon)
    }
}

impl Drop for Damon {
    fn drop(&mut self) {
        let number = Path::new(Self::KDAMONDS).join("nr_kdamonds");
        // It is off already if it was never on.
        let _ = fs::write(self.0.join("state"), "off");
        if let Err(error) = fs::write(&number, "0") {
            eprintln!("mn-selftest: a monitor of DAMON is left: {error}");
        }
    }
}

pub fn damon(rig: &Rig<'_>) -> Outcome {
    let (area, attached) = attach(rig)?;
    let damon = Damon::watch(area.range())?;
    for op in [FollowUp::ClearYoung, FollowUp::TestYoung] {
        let seen = |attached: &Attached| entries(attached, op, area.range());
        let is_called = wait_for(|| Ok(!seen(&attached)?.is_empty()))?;
        demand(is_called, || format!("DAMON does not call {}", op.name()))?;
        let entry = seen(&attached)?.swap_remove(0);
        same("what it returned", entry.returned, 0)?;
        demand_caller(&entry, "damon")?;
        demand(entry.comm.starts_with("kdamond"), || format!("{entry:?}"))?;
        if op == FollowUp::TestYoung {
            same("bytes asked for", entry.end - entry.start, 1)?;
        }
    }
    attached.set("young", "1")?;
    let is_young = wait_for(|| {
        let log = entries(&attached, FollowUp::TestYoung, area.range())?;
        Ok(log.iter().any(|entry| entry.returned == 1))
    })?;
    demand(is_young, || "test_young does not return 1".into())?;
    drop(damon);
    let Counters {
        clear_young,
        test_young,
        clear_flush_young,
        ..
    } = attached.counters()?;
    demand(clear_young > 0 && test_young > 0, || {
        format!("clear_young={clear_young} test_young={test_young}")
    })?;
    same("clear_flush_young", clear_flush_young, 0)?;
    attached.detach()
}

pub fn mglru(rig: &Rig<'_>) -> Outcome {
    let (area, attached) = attach(rig)?;
    if let Some(why) = lru_gen::missing() {
        return Err(Failure::Skip(why));
    }
    let enabled = LruGen::enable()?;
    let is_called = wait_for(|| {
        enabled.age()?;
        Ok(!entries(&attached, FollowUp::ClearYoung, area.range())?.is_empty())
    })?;
    demand(is_called, || {
        "clear_young is not called when pages age".into()
    })?;
    let entry = entries(&attached, FollowUp::ClearYoung, area.range())?.swap_remove(0);
    same("what it returned", entry.returned, 0)?;
    drop(enabled);
    attached.detach()
}
