// SPDX-License-Identifier: GPL-2.0

//! Conditions that disturb the machine: clock, processes, load, memory.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::mman::MmapAdvise;
use nix::sys::signal::{Signal, kill};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime, clock_settime};
use nix::unistd::Pid;

use mn_inject::os::sys;
use mn_inject::os::sys::{Area, ChildWork};
use mn_inject::os::wait::Waiter;

use crate::hostile::condition::{Act, Scene};
use crate::hostile::conditions::threads::{Threads, processors};
use crate::random::Rng;

/// Longest pause between two acts.
const PAUSE: Duration = Duration::from_millis(20);

/// Number of processes that sleep.
const CROWD: usize = 2000;

/// Number of pages that each thread touches.
const PAGES: usize = 64;

/// Memory that is left to other processes, in KiB.
const LEFT: u64 = 48 << 10;

/// Memory that is taken at once, in pages.
const CHUNK: usize = 1024;

/// Sets the wall clock forward or back by up to a day. Dropping it restores the clock.
struct Clock {
    begin: Instant,
    time: TimeSpec,
    rng: Rng,
}

pub(crate) fn clock(_: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    Ok(Box::new(Clock {
        begin: Instant::now(),
        time: clock_gettime(ClockId::CLOCK_REALTIME).context("cannot read the clock")?,
        rng: Rng::new(seed),
    }))
}

impl Clock {
    fn set(&self, off_seconds: i64) -> Result<()> {
        let passed = TimeSpec::from_duration(self.begin.elapsed());
        let time = self.time + passed + TimeSpec::seconds(off_seconds);
        clock_settime(ClockId::CLOCK_REALTIME, time).context("cannot set the clock")
    }
}

impl Act for Clock {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        const DAY: i64 = 86_400;
        let off = self.rng.number(-DAY, DAY);
        self.set(off)?;
        std::thread::sleep(PAUSE.mul_f64(self.rng.fraction()));
        Ok(1)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Err(error) = self.set(0) {
            eprintln!("mn-selftest: {error:#}");
        }
    }
}

/// Processes that sleep, and one at a time that starts and ends.
struct Crowd(Vec<Pid>);

pub(crate) fn crowd(_: &Waiter, _: u64) -> Result<Box<dyn Act>> {
    let mut crowd = Crowd(Vec::with_capacity(CROWD));
    for number in 0..CROWD {
        let pid = sys::fork_sleeper();
        crowd
            .0
            .push(pid.with_context(|| format!("cannot start process {number} of {CROWD}"))?);
    }
    Ok(Box::new(crowd))
}

impl Act for Crowd {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        start_a_process()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // They are children that are not waited for yet, so their ids cannot have been reused.
        for &pid in &self.0 {
            let _ = kill(pid, Signal::SIGKILL);
        }
        for &pid in &self.0 {
            let _ = waitpid(pid, None);
        }
    }
}

/// Threads that keep all processors busy, and processes that start and end.
struct Load {
    _threads: Threads,
}

pub(crate) fn load(_: &Waiter, _: u64) -> Result<Box<dyn Act>> {
    let mut threads = Threads::default();
    for _ in 0..2 * processors() {
        threads.start(|is_over| {
            let Ok(area) = Area::map(PAGES, None) else {
                return;
            };
            while !is_over.load(Relaxed) {
                // A failure is no matter: the load is the same.
                let _ = area.touch(0, PAGES);
                let _ = area.advise(MmapAdvise::MADV_DONTNEED);
            }
        });
    }
    Ok(Box::new(Load { _threads: threads }))
}

impl Act for Load {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        start_a_process()
    }
}

/// Starts a process that ends at once. Returns 1.
fn start_a_process() -> Result<u64> {
    let child = sys::fork_child(ChildWork::Exit).context("cannot fork")?;
    waitpid(child, None).context("cannot wait for a child")?;
    Ok(1)
}

/// Takes all memory but [`LEFT`], gives back a part, and takes it again.
struct Memory {
    hoard: Vec<Area>,
    rng: Rng,
}

pub(crate) fn memory(_: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    // Else the OOM killer would choose this process, and the pressure would end.
    fs::write("/proc/self/oom_score_adj", "-1000").context("cannot set oom_score_adj")?;
    let mut memory = Memory {
        hoard: Vec::new(),
        rng: Rng::new(seed),
    };
    memory.take()?;
    Ok(Box::new(memory))
}

fn available() -> Result<u64> {
    const FILE: &str = "/proc/meminfo";
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")
        })
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no MemAvailable in {FILE}"))
}

impl Memory {
    fn take(&mut self) -> Result<()> {
        while available()? > LEFT {
            let area = Area::map(CHUNK, None).context("cannot map memory")?;
            area.touch(0, CHUNK).context("cannot touch memory")?;
            self.hoard.push(area);
        }
        Ok(())
    }
}

impl Act for Memory {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        let given = self.rng.below(self.hoard.len() / 8 + 1);
        self.rng.shuffle(&mut self.hoard);
        for area in &self.hoard[..given] {
            area.advise(MmapAdvise::MADV_DONTNEED)
                .context("cannot give memory back")?;
        }
        std::thread::sleep(PAUSE.mul_f64(self.rng.fraction()));
        for area in &self.hoard[..given] {
            if available()? > LEFT {
                area.touch(0, CHUNK).context("cannot touch memory")?;
            }
        }
        self.take()?;
        Ok(1)
    }
}
